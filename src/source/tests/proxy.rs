//! PROXY headers on the wire: hand-written vectors, a naive reader, and what holds for any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use proxy_header::{ProxiedAddress, ProxyHeader};

use super::super::proxy::{LOCAL, MAX_HEADER_BYTES, Parsed, ProxyError, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n";
const REQUEST: &[u8] = b"POST /webhook HTTP/1.1\r\n";
const V4: &[u8] = &[47, 94, 95, 118, 10, 0, 0, 1, 0xc0, 1, 0, 80];

/// A version 2 header with this command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// The addresses of a version 2 header over IPv6.
fn v6(source: &str) -> Vec<u8> {
    let source: Ipv6Addr = source.parse().unwrap();
    [&source.octets()[..], &[1; 16], &[0; 4]].concat()
}

/// What a header is answered with when a request follows it: the source, `-` for none, or the
/// error's first word and version.
fn answer(header: &[u8]) -> String {
    match parse(&[header, REQUEST].concat()) {
        Ok(Parsed::Incomplete) => "incomplete".to_owned(),
        Ok(Parsed::Done { source, consumed }) => {
            assert_eq!(consumed, header.len());
            source.map_or_else(|| "-".to_owned(), |source| source.to_string())
        }
        Err(ProxyError::Missing) => "missing".to_owned(),
        Err(ProxyError::Malformed { version }) => format!("malformed {version}"),
        Err(ProxyError::TooLong { version }) => format!("too long {version}"),
    }
}

/// Version 1 lines and their answers.
const LINES: [(&[u8], &str); 28] = [
    (
        b"PROXY TCP4 47.94.95.118 10.0.0.1 49153 80\r\n",
        "47.94.95.118",
    ),
    (
        b"PROXY TCP6 2001:db8:5::1 2001:db8::2 49153 80\r\n",
        "2001:db8:5::1",
    ),
    (
        b"PROXY TCP6 ::ffff:47.94.95.118 ::ffff:10.0.0.1 49153 80\r\n",
        "47.94.95.118",
    ),
    (b"PROXY UNKNOWN\r\n", "-"),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "-"),
    (b"PROXY UNKNOWN anything \xff at all\r\n", "-"),
    (b"", "missing"),
    (b"proxy TCP4 47.94.95.118 10.0.0.1 49153 80\r\n", "missing"),
    (b"PROXX TCP4 47.94.95.118 10.0.0.1 49153 80\r\n", "missing"),
    (b"PROXYXTCP4 47.94.95.118 10.0.0.1 49153 80\r\n", "missing"),
    (b" PROXY TCP4 47.94.95.118 10.0.0.1 49153 80\r\n", "missing"),
    (
        b"PROXY  TCP4 47.94.95.118 10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP5 47.94.95.118 10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY UDP4 47.94.95.118 10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (b"PROXY UNKNOWNX\r\n", "malformed 1"),
    (b"PROXY TCP4\r\n", "malformed 1"),
    (b"PROXY TCP4 \r\n", "malformed 1"),
    (b"PROXY TCP4 47.94.95.118\r\n", "malformed 1"),
    (b"PROXY TCP4 47.94.95.118 10.0.0.1 49153\r\n", "malformed 1"),
    (
        b"PROXY TCP4 47.94.95.118 10.0.0.1 49153 80 1\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 47.94.95.118 10.0.0.1 49153 80\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 47.94.95.118 10.0.0.1 49153 80\rX",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 47.94.95.118  10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 47.94.95.300 10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 47.94.95.118 10.0.0.1 65536 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 2001:db8::1 2001:db8::2 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP6 47.94.95.118 10.0.0.1 49153 80\r\n",
        "malformed 1",
    ),
    (
        b"PROXY TCP4 flashduty.example 10.0.0.1 1 80\r\n",
        "malformed 1",
    ),
];

#[test]
fn version_1_lines_are_read_as_the_specification_says() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16));
    let longer = format!("PROXY UNKNOWN {}\r\n", "f".repeat(108 - 16));
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let worst = format!("PROXY TCP6 {full} {full} 65535 65535\r\n");
    let computed: [(&[u8], &str); 3] = [
        (worst.as_bytes(), full),
        (longest.as_bytes(), "-"),
        (longer.as_bytes(), "too long 1"),
    ];
    for (header, expected) in computed.into_iter().chain(LINES) {
        assert_eq!(answer(header), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn version_2_headers_are_read_as_the_specification_says() {
    let with_tlv = [V4, &[0x04, 0, 2, 0xff, 0xff]].concat();
    let broken_tlv = [V4, &[0x04, 0xff, 0xff]].concat();
    let mut largest = V4.to_vec();
    largest.resize(MAX_HEADER_BYTES - 16, 0);
    let mut larger = largest.clone();
    larger.push(0);
    let unix = [0; 216];
    let vectors: [(Vec<u8>, &str); 26] = [
        (v2(0x21, 0x11, V4), "47.94.95.118"),
        (v2(0x21, 0x11, &with_tlv), "47.94.95.118"),
        // What follows the addresses is not looked at, so it cannot be wrong.
        (v2(0x21, 0x11, &broken_tlv), "47.94.95.118"),
        (v2(0x21, 0x11, &largest), "47.94.95.118"),
        (v2(0x21, 0x21, &v6("2001:db8:5::1")), "2001:db8:5::1"),
        (v2(0x21, 0x21, &v6("::ffff:47.94.95.118")), "47.94.95.118"),
        (v2(0x20, 0x00, &[]), "-"),
        (LOCAL.to_vec(), "-"),
        // Of LOCAL all that follows is to be ignored.
        (v2(0x20, 0x11, V4), "-"),
        (v2(0x20, 0x11, &[1, 2, 3]), "-"),
        (v2(0x20, 0xff, &[0; 40]), "-"),
        (v2(0x21, 0x00, &[]), "-"),
        (v2(0x21, 0x00, &[1, 2, 3]), "-"),
        (v2(0x21, 0x31, &unix), "-"),
        (v2(0x21, 0x11, &larger), "too long 2"),
        (v2(0x20, 0x00, &larger), "too long 2"),
        (v2(0x21, 0x11, &V4[..11]), "malformed 2"),
        (v2(0x21, 0x21, &v6("::1")[..35]), "malformed 2"),
        (v2(0x21, 0x31, &unix[..215]), "malformed 2"),
        (v2(0x21, 0x12, V4), "malformed 2"),
        (v2(0x21, 0x22, &v6("::1")), "malformed 2"),
        (v2(0x21, 0x41, V4), "malformed 2"),
        (v2(0x22, 0x11, V4), "malformed 2"),
        (v2(0x11, 0x11, V4), "malformed 2"),
        (v2(0x31, 0x11, V4), "malformed 2"),
        (b"\r\n\r\n\x00\r\nQUIX\n".to_vec(), "missing"),
    ];
    for (header, expected) in vectors {
        assert_eq!(answer(&header), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn garbage_is_refused_at_its_first_byte() {
    let refused_after = |bytes: &[u8]| {
        let refused = |length: &usize| parse(&bytes[..*length]).is_err();
        (0..=bytes.len()).find(refused)
    };
    let cases: [(&[u8], usize); 12] = [
        (b"GET / HTTP/1.1\r\n", 1),
        (b"POST /webhook HTTP/1.1\r\n", 2),
        (b"\x16\x03\x01\x02\x00", 1),
        (b"\r\nPOST", 3),
        (b"PROXY QCP4", 7),
        (b"PROXY TCP4 x", 12),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rx", 32),
        (b"PROXY UNKNOWNx", 14),
        (b"\r\n\r\n\x00\r\nQUIT\n\x11", 13),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x99", 14),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x01", 16),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", 16),
    ];
    for (bytes, length) in cases {
        assert_eq!(
            refused_after(bytes),
            Some(length),
            "{}",
            bytes.escape_ascii()
        );
    }
    // A line that never ends is refused when it is as long as the longest.
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(refused_after(&endless), Some(107));
}

/// Version 1 by splitting the line into words; only for lines that are whole.
fn naive_v1(line: &str) -> Option<Option<IpAddr>> {
    let words: Vec<&str> = line.strip_suffix("\r\n")?.split(' ').collect();
    let port = |word: &str| word.parse::<u16>().is_ok();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] if line.len() <= 107 => Some(None),
        ["PROXY", "TCP4", source, target, from, to] if port(from) && port(to) => {
            let _target: Ipv4Addr = target.parse().ok()?;
            Some(Some(IpAddr::V4(source.parse().ok()?)))
        }
        ["PROXY", "TCP6", source, target, from, to] if port(from) && port(to) => {
            let _target: Ipv6Addr = target.parse().ok()?;
            let source: Ipv6Addr = source.parse().ok()?;
            Some(Some(
                source.to_ipv4_mapped().map_or(source.into(), IpAddr::V4),
            ))
        }
        _ => None,
    }
}

fn naive_v1_word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "TCP4",
        "TCP6",
        "UNKNOWN",
        "47.94.95.118",
        "::1",
        "::ffff:1.2.3.4",
        "80",
        "65536",
        "",
        "x",
    ])
}

/// Bytes that often are, or begin like, a header.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let any = || prop::collection::vec(any::<u8>(), 0..64);
    let v1_rest = prop::string::string_regex("[TCPUNKOW46]{0,7}[ .:0-9a-fx\r\n]{0,90}").unwrap();
    prop_oneof![
        any(),
        v1_rest.prop_map(|rest| format!("PROXY {rest}").into_bytes()),
        any().prop_map(|rest| [SIGNATURE, &rest].concat()),
        (
            0x20u8..=0x21,
            prop::sample::select(vec![0u8, 0x11, 0x21, 0x31]),
            any()
        )
            .prop_map(|(command, family, rest)| v2(command, family, &rest)),
    ]
}

proptest! {
    #[test]
    fn an_answer_once_given_holds_whatever_follows(bytes in wire(), more in wire()) {
        let bytes = [bytes, more].concat();
        let answers: Vec<_> = (0..=bytes.len()).map(|length| parse(&bytes[..length])).collect();
        for (length, pair) in answers.windows(2).enumerate() {
            if pair[0] != Ok(Parsed::Incomplete) {
                prop_assert_eq!(pair[0], pair[1], "after {} bytes", length);
            }
        }
    }

    #[test]
    fn what_a_proxy_encodes_is_read_back_byte_by_byte(
        source: IpAddr, target: IpAddr, ports: (u16, u16), version in 1u8..=2,
    ) {
        let target = match (source, target) {
            (IpAddr::V4(_), IpAddr::V6(_)) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(_), IpAddr::V4(_)) => Ipv6Addr::LOCALHOST.into(),
            (_, target) => target,
        };
        let address = ProxiedAddress::stream(
            SocketAddr::new(source, ports.0),
            SocketAddr::new(target, ports.1),
        );
        let mut bytes = Vec::new();
        let header = ProxyHeader::with_address(address);
        match version {
            1 => header.encode_v1(&mut bytes).unwrap(),
            _ => header.encode_v2(&mut bytes).unwrap(),
        }
        for length in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..length]), Ok(Parsed::Incomplete));
        }
        let done = Parsed::Done { source: Some(source.to_canonical()), consumed: bytes.len() };
        bytes.extend_from_slice(REQUEST);
        prop_assert_eq!(parse(&bytes), Ok(done));
    }

    #[test]
    fn a_naive_reader_of_version_1_agrees(
        words in prop::collection::vec(naive_v1_word(), 0..7),
        good in any::<bool>(),
    ) {
        let line = if good {
            format!("PROXY TCP4 {} 1.1.1.1 1 2\r\n", words.concat())
        } else {
            format!("PROXY {}\r\n", words.join(" "))
        };
        let found = match parse(line.as_bytes()) {
            Ok(Parsed::Done { source, consumed }) => {
                prop_assert_eq!(consumed, line.len());
                Some(source)
            }
            Ok(Parsed::Incomplete) => panic!("the line is whole: {line:?}"),
            Err(_) => None,
        };
        prop_assert_eq!(found, naive_v1(&line), "{:?}", line);
    }
}
