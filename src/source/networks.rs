//! Sets of addresses, as the configuration writes them.
//!
//! A block inside `::ffff:0:0/96` is kept as the IPv4 block it means, so that canonical addresses
//! match it. A shorter IPv6 prefix means IPv6 addresses only, even where it spans that range.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The word for [`private_ranges`] in `source.trusted_proxies`.
pub const PRIVATE_RANGES: &str = "private_ranges";

/// What `private_ranges` stands for.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "127.0.0.0/8",
    "::1/128",
];

/// Why an element of a list of addresses cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It reads as nothing known.
    #[error(
        "{word:?} is no address: write one such as \"203.0.113.7\", a block such as \"203.0.113.0/24\" or \"2001:db8::/32\"{more}"
    )]
    Unreadable {
        /// The element as it was given.
        word: String,
        /// What else this list understands.
        more: &'static str,
    },
    /// A block whose address has bits beyond its prefix; either reading could be meant.
    #[error("{word:?} names an address inside its block: write \"{block}\" or \"{address}\"")]
    HostBits {
        /// The element as it was given.
        word: String,
        /// The whole block.
        block: IpNet,
        /// The one address.
        address: IpAddr,
    },
    /// `private_ranges` in the list of senders: it would let in the whole local network.
    #[error(
        "\"private_ranges\" is known to source.trusted_proxies only: list the blocks, such as \"10.0.0.0/8\""
    )]
    PrivateRanges,
}

/// Reads the elements of `source.allow`: addresses and CIDR blocks.
pub fn parse_allow(words: &[String]) -> Result<Vec<IpNet>, NetworkError> {
    words
        .iter()
        .map(|word| match word.trim() {
            PRIVATE_RANGES => Err(NetworkError::PrivateRanges),
            _ => parse_block(word, ""),
        })
        .collect()
}

/// Reads the elements of `source.trusted_proxies`: addresses, CIDR blocks, `private_ranges`.
pub fn parse_trusted(words: &[String]) -> Result<Vec<IpNet>, NetworkError> {
    let mut nets = Vec::with_capacity(words.len());
    for word in words {
        match word.trim() {
            PRIVATE_RANGES => nets.extend(private_ranges()),
            _ => nets.push(parse_block(word, ", or \"private_ranges\"")?),
        }
    }
    Ok(nets)
}

/// RFC 1918, the shared space of RFC 6598 (cloud balancers use it), unique local addresses of
/// RFC 4193, and loopback.
pub fn private_ranges() -> Vec<IpNet> {
    PRIVATE
        .iter()
        .map(|block| block.parse().expect("the private blocks are well-formed"))
        .collect()
}

fn parse_block(word: &str, more: &'static str) -> Result<IpNet, NetworkError> {
    let text = word.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let block: IpNet = text.parse().map_err(|_| NetworkError::Unreadable {
        word: word.to_owned(),
        more,
    })?;
    if block.trunc() != block {
        return Err(NetworkError::HostBits {
            word: word.to_owned(),
            block: block.trunc(),
            address: block.addr(),
        });
    }
    Ok(canonical(block))
}

/// The IPv4 block that an IPv4-mapped IPv6 block means; any other block as it is.
fn canonical(block: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = block else {
        return block;
    };
    match (
        v6.addr().to_ipv4_mapped(),
        v6.prefix_len().checked_sub(MAPPED_BITS),
    ) {
        (Some(v4), Some(prefix)) => {
            IpNet::V4(Ipv4Net::new(v4, prefix).expect("128 - 96 bits are an IPv4 prefix"))
        }
        _ => block,
    }
}

/// A set of blocks, asked for canonical addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    pub(super) fn new(blocks: Vec<IpNet>) -> Self {
        Self(blocks.into_iter().map(canonical).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first block that holds `address`.
    pub(super) fn find(&self, address: IpAddr) -> Option<&IpNet> {
        self.0.iter().find(|block| block.contains(&address))
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.find(address).is_some()
    }

    /// A block of this set and one of `other` that share an address.
    pub(super) fn overlap<'s>(&'s self, other: &'s Self) -> Option<(&'s IpNet, &'s IpNet)> {
        self.0.iter().find_map(|mine| {
            let theirs = other
                .0
                .iter()
                .find(|theirs| mine.contains(*theirs) || theirs.contains(mine))?;
            Some((mine, theirs))
        })
    }

    /// The whole of IPv4 or IPv6, when the blocks together cover it.
    pub(super) fn whole_family(&self) -> Option<IpNet> {
        let everything = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        IpNet::aggregate(&self.0)
            .into_iter()
            .find(|block| everything.contains(block))
    }
}

/// Shows a block as people write it: a single address without its prefix length.
pub(super) struct Block<'n>(pub(super) &'n IpNet);

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&word| word.to_owned()).collect()
    }

    fn shown(nets: &[IpNet]) -> Vec<String> {
        nets.iter().map(|net| Block(net).to_string()).collect()
    }

    #[test]
    fn addresses_blocks_and_the_private_ranges_are_read() {
        let nets = parse_trusted(&words(&[" 1.2.3.4 ", "10.0.0.0/8", "2001:db8::/32"])).unwrap();
        assert_eq!(shown(&nets), ["1.2.3.4", "10.0.0.0/8", "2001:db8::/32"]);
        let private = parse_trusted(&words(&["private_ranges", "::1"])).unwrap();
        assert_eq!(private.len(), 8);
        let private = Networks::new(private);
        for inside in [
            "10.9.9.9",
            "172.31.0.1",
            "192.168.1.1",
            "100.100.0.1",
            "fd00::1",
            "::1",
        ] {
            assert!(private.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "172.32.0.1",
            "100.128.0.1",
            "169.254.1.1",
            "fe80::1",
            "8.8.8.8",
        ] {
            assert!(!private.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn mapped_blocks_mean_ipv4_and_wider_ones_stay_ipv6() {
        let nets = parse_allow(&words(&["::ffff:10.0.0.0/104", "::ffff:1.2.3.4", "::/0"])).unwrap();
        assert_eq!(shown(&nets), ["10.0.0.0/8", "1.2.3.4", "::/0"]);
        let nets = Networks::new(vec!["::ffff:0:0/96".parse().unwrap()]);
        assert!(nets.contains("8.8.8.8".parse().unwrap()));
        assert!(nets.whole_family().is_some());
    }

    #[test]
    fn the_halves_of_a_family_are_the_whole_of_it() {
        let whole =
            |list: &[&str]| Networks::new(parse_trusted(&words(list)).unwrap()).whole_family();
        assert!(whole(&["0.0.0.0/1", "128.0.0.0/1"]).is_some());
        assert!(whole(&["::/1", "8000::/2", "c000::/2"]).is_some());
        assert!(whole(&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"]).is_none());
    }

    #[test]
    fn a_wrong_element_is_named_with_what_is_allowed() {
        let fail = |word: &str| {
            parse_trusted(&words(&["10.0.0.0/8", word]))
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(fail("10.0.0.300"), @"");
        insta::assert_snapshot!(fail("10.0.0.1/8"), @"");
        for word in [
            "",
            "fe80::1%eth0",
            "[::1]",
            "1.2.3.4:80",
            "10.0.0.0/33",
            "localhost",
            "010.0.0.1",
        ] {
            assert!(fail(word).contains(&format!("{word:?}")), "{word}");
        }
        insta::assert_snapshot!(parse_allow(&words(&["private_ranges"])).unwrap_err().to_string(), @"");
    }
}
