//! The list that proxies append to, without quoting.

use super::Vector;

pub(super) const VECTORS: &[Vector] = &[
    ("one address", &[b"47.94.95.118"], "47.94.95.118"),
    (
        "spoofed, then the real one",
        &[b"47.94.95.118, 203.0.113.9"],
        "203.0.113.9",
    ),
    ("two proxies", &[b"47.94.95.118, 10.0.0.7"], "47.94.95.118"),
    (
        "a trusted proxy outside",
        &[b"47.94.95.118, 198.51.100.7, 10.0.0.7"],
        "47.94.95.118",
    ),
    ("no blanks", &[b"47.94.95.118,10.0.0.7"], "47.94.95.118"),
    (
        "tabs and many blanks",
        &[b" \t47.94.95.118 \t ,\t10.0.0.7  "],
        "47.94.95.118",
    ),
    (
        "two instances",
        &[b"47.94.95.118", b"10.0.0.7"],
        "47.94.95.118",
    ),
    (
        "a client's instance before the proxy's",
        &[b"47.94.95.118", b"203.0.113.9"],
        "203.0.113.9",
    ),
    (
        "garbage on the left",
        &[b"\";;\\, \xff,, unknown,47.94.95.118"],
        "47.94.95.118",
    ),
    (
        "an open quote on the left",
        &[b"\"a, 47.94.95.118"],
        "47.94.95.118",
    ),
    (
        "a port, as Azure adds it",
        &[b"47.94.95.118:50301"],
        "47.94.95.118",
    ),
    ("IPv6", &[b"2001:db8:5::1"], "2001:db8:5::1"),
    ("IPv6 in brackets", &[b"[2001:db8:5::1]"], "2001:db8:5::1"),
    (
        "IPv6 with a port, as ALB adds it",
        &[b"[2001:db8:5::1]:443"],
        "2001:db8:5::1",
    ),
    ("IPv6 in capitals", &[b"2001:DB8:5:0::1"], "2001:db8:5::1"),
    (
        "an IPv6 proxy",
        &[b"47.94.95.118, 2001:db8:cafe::9"],
        "47.94.95.118",
    ),
    ("a mapped client", &[b"::ffff:47.94.95.118"], "47.94.95.118"),
    (
        "a mapped client in hex",
        &[b"::ffff:2f5e:5f76"],
        "47.94.95.118",
    ),
    (
        "a mapped proxy",
        &[b"47.94.95.118, ::ffff:10.0.0.7"],
        "47.94.95.118",
    ),
    ("no header", &[], "header_missing"),
    ("an empty header", &[b""], "header_unreadable"),
    ("a trailing comma", &[b"47.94.95.118,"], "header_unreadable"),
    (
        "an empty element reached",
        &[b"47.94.95.118, , 10.0.0.7"],
        "header_unreadable",
    ),
    (
        "an empty instance reached",
        &[b"47.94.95.118", b"", b"10.0.0.7"],
        "header_unreadable",
    ),
    ("unknown", &[b"unknown"], "header_unreadable"),
    ("a host name", &[b"flashduty.example"], "header_unreadable"),
    ("quotes", &[b"\"47.94.95.118\""], "header_unreadable"),
    (
        "leading zeros, octal to some",
        &[b"047.94.95.118"],
        "header_unreadable",
    ),
    (
        "an integer, an address to some",
        &[b"794713974"],
        "header_unreadable",
    ),
    ("three numbers", &[b"47.94.118"], "header_unreadable"),
    (
        "a blank inside",
        &[b"47.94.95.118 10.0.0.7"],
        "header_unreadable",
    ),
    ("a zone", &[b"fe80::1%eth0"], "header_unreadable"),
    (
        "a port without digits",
        &[b"47.94.95.118:"],
        "header_unreadable",
    ),
    (
        "a port of six digits",
        &[b"47.94.95.118:123456"],
        "header_unreadable",
    ),
    (
        "a port behind a blank",
        &[b"47.94.95.118: 80"],
        "header_unreadable",
    ),
    (
        "IPv4 in brackets",
        &[b"[47.94.95.118]"],
        "header_unreadable",
    ),
    ("an open bracket", &[b"[2001:db8:5::1"], "header_unreadable"),
    (
        "bytes outside of ASCII",
        &[b"47.94.95.118\xa0"],
        "header_unreadable",
    ),
    ("a block", &[b"47.94.95.118/32"], "header_unreadable"),
    ("0.0.0.0", &[b"0.0.0.0"], "header_unreadable"),
    ("0.0.0.0, mapped", &[b"::ffff:0.0.0.0"], "header_unreadable"),
    ("::", &[b"47.94.95.118, ::"], "header_unreadable"),
    ("only proxies", &[b"10.0.0.8, 10.0.0.7"], "only_proxies"),
];
