//! Hand-written forwarding headers: what stands on the wire, and who the client is.

mod forwarded;
mod x_forwarded_for;

use super::super::ClientIpHeader;
use super::{headers, peer, reading, verdict};

/// Name, the header's instances in order, and the client or the reason there is none. The sender
/// is 47.94.95.118; 10.0.0.0/8, 198.51.100.7 and `2001:db8:cafe::/48` are trusted.
type Vector = (&'static str, &'static [&'static [u8]], &'static str);

const X_REAL_IP: &[Vector] = &[
    ("one address", &[b"47.94.95.118"], "47.94.95.118"),
    ("blanks around", &[b" 47.94.95.118\t"], "47.94.95.118"),
    ("a port", &[b"47.94.95.118:80"], "47.94.95.118"),
    ("IPv6", &[b"2001:db8:5::1"], "2001:db8:5::1"),
    ("mapped", &[b"::ffff:47.94.95.118"], "47.94.95.118"),
    ("another", &[b"203.0.113.9"], "203.0.113.9"),
    ("no header", &[], "header_missing"),
    ("an empty header", &[b""], "header_unreadable"),
    (
        "two instances",
        &[b"47.94.95.118", b"47.94.95.118"],
        "header_unreadable",
    ),
    (
        "two instances, one a proxy",
        &[b"47.94.95.118", b"10.0.0.7"],
        "header_unreadable",
    ),
    ("a list", &[b"47.94.95.118, 10.0.0.7"], "header_unreadable"),
    ("unknown", &[b"unknown"], "header_unreadable"),
    ("unspecified", &[b"::"], "header_unreadable"),
    ("a trusted proxy", &[b"10.0.0.7"], "only_proxies"),
];

/// The clients above that are on the list.
const LISTED: [&str; 2] = ["47.94.95.118", "2001:db8:5::1"];

fn check(header: ClientIpHeader, vectors: &[Vector]) {
    let rules = reading(header);
    let name = header.header().unwrap();
    let mut names: Vec<_> = vectors.iter().map(|(name, ..)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        vectors.len(),
        "every vector has a name of its own"
    );
    for (vector, instances, client) in vectors {
        let lines: Vec<_> = instances.iter().map(|value| (name, *value)).collect();
        let expected = ((*client).to_owned(), LISTED.contains(client));
        for socket in ["10.0.0.5", "::ffff:10.0.0.5"] {
            let found = verdict(&rules, &peer(socket), &headers(&lines));
            assert_eq!(found, expected, "{name}: {vector}");
        }
    }
}

#[test]
fn x_forwarded_for_names_the_first_untrusted_address_from_the_right() {
    check(ClientIpHeader::XForwardedFor, x_forwarded_for::VECTORS);
}

#[test]
fn forwarded_names_the_first_untrusted_address_from_the_right() {
    check(ClientIpHeader::Forwarded, forwarded::VECTORS);
}

#[test]
fn x_real_ip_names_one_address() {
    check(ClientIpHeader::XRealIp, X_REAL_IP);
}
