//! The PROXY protocol's header: answered as soon as it is whole, the same whatever follows, and as a
//! second reader reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flashduty_receiver::source::proxy::{MAX_HEADER_BYTES, Parsed, parse};

/// Enough to have something behind the longest header.
const MOST: usize = MAX_HEADER_BYTES + 64;

/// Reads the first bytes of a connection, of which one more comes at each look.
pub fn check(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let mut answer = Ok(Parsed::Incomplete);
    for length in 0..=data.len() {
        let now = parse(&data[..length]);
        if answer != Ok(Parsed::Incomplete) {
            assert_eq!(now, answer, "changed its mind after {length} bytes");
            continue;
        }
        answer = now;
        match now {
            Ok(Parsed::Incomplete) => assert!(length < MAX_HEADER_BYTES, "asks for ever more"),
            Ok(Parsed::Done { consumed, .. }) => {
                assert_eq!(consumed, length, "a header is answered when it is whole");
            }
            Err(_) => {}
        }
    }
    if let Ok(Parsed::Done { source, consumed }) = answer {
        let header = &data[..consumed];
        let with_other_bytes_behind = [header, &[0xff; 40]].concat();
        assert_eq!(parse(&with_other_bytes_behind), answer);
        assert_eq!(source, second_reading(header));
    }
}

/// The source that a whole header names, read by position.
fn second_reading(header: &[u8]) -> Option<IpAddr> {
    if header.first() == Some(&b'P') {
        let line = std::str::from_utf8(header).ok()?;
        let mut words = line.split(' ').skip(1);
        let family = words.next()?;
        let source = words.next().filter(|_| family.starts_with("TCP"))?;
        return source.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    }
    let (command, family) = (header.get(12)?, header.get(13)?);
    let source: IpAddr = match (command, family) {
        (0x21, 0x11) => Ipv4Addr::from(*header.get(16..)?.first_chunk::<4>()?).into(),
        (0x21, 0x21) => Ipv6Addr::from(*header.get(16..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(source.to_canonical())
}
