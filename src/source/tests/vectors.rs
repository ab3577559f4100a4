//! Hand-written forwarding headers: what stands on the wire, and who the client is.

use super::super::ClientIpHeader;
use super::{headers, peer, reading, verdict};

/// Name, the header's instances in order, and the client or the reason there is none. The sender
/// is 47.94.95.118; 10.0.0.0/8, 198.51.100.7 and 2001:db8:cafe::/48 are trusted.
type Vector = (&'static str, &'static [&'static [u8]], &'static str);

const X_FORWARDED_FOR: &[Vector] = &[
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

const FORWARDED: &[Vector] = &[
    ("one element", &[b"for=47.94.95.118"], "47.94.95.118"),
    (
        "more parameters",
        &[b"by=10.0.0.5;for=47.94.95.118;host=a.example;proto=https"],
        "47.94.95.118",
    ),
    (
        "capitals",
        &[b"FOR=47.94.95.118;Proto=https"],
        "47.94.95.118",
    ),
    (
        "blanks at semicolons",
        &[b"for=47.94.95.118 ; proto=https"],
        "47.94.95.118",
    ),
    ("empty pairs", &[b";;for=47.94.95.118;"], "47.94.95.118"),
    ("quotes", &[b"for=\"47.94.95.118\""], "47.94.95.118"),
    (
        "escapes inside of quotes",
        &[b"for=\"47\\.94.95.\\118\""],
        "47.94.95.118",
    ),
    (
        "quotes and a port",
        &[b"for=\"47.94.95.118:4711\""],
        "47.94.95.118",
    ),
    (
        "an obfuscated port",
        &[b"for=\"47.94.95.118:_p\""],
        "47.94.95.118",
    ),
    (
        "a port without quotes",
        &[b"for=47.94.95.118:4711"],
        "47.94.95.118",
    ),
    ("IPv6", &[b"for=\"[2001:db8:5::1]\""], "2001:db8:5::1"),
    (
        "IPv6 and a port",
        &[b"for=\"[2001:db8:5::1]:4711\""],
        "2001:db8:5::1",
    ),
    (
        "IPv6 without quotes",
        &[b"for=[2001:db8:5::1]"],
        "2001:db8:5::1",
    ),
    (
        "mapped",
        &[b"for=\"[::ffff:47.94.95.118]\""],
        "47.94.95.118",
    ),
    (
        "two elements",
        &[b"for=47.94.95.118, for=10.0.0.7"],
        "47.94.95.118",
    ),
    (
        "two instances",
        &[b"for=47.94.95.118", b"for=10.0.0.7;by=10.0.0.5"],
        "47.94.95.118",
    ),
    (
        "spoofed, then the real one",
        &[b"for=47.94.95.118, for=203.0.113.9"],
        "203.0.113.9",
    ),
    (
        "an open quote on the left",
        &[b"for=\"x, for=203.0.113.9"],
        "203.0.113.9",
    ),
    (
        "an open quote, then a quoted one",
        &[b"for=\", for=\"203.0.113.9\""],
        "203.0.113.9",
    ),
    (
        "an escape at the seam",
        &[b"for=\"x\\, for=\"203.0.113.9\";proto=\"http\""],
        "203.0.113.9",
    ),
    (
        "a semicolon at the seam",
        &[b"for=47.94.95.118;, for=203.0.113.9"],
        "203.0.113.9",
    ),
    (
        "an open quote in an instance",
        &[b"a=\"", b"for=203.0.113.9"],
        "203.0.113.9",
    ),
    (
        "an element inside of a quoted host",
        &[b"for=203.0.113.9;host=\"x\\\", for=47.94.95.118\""],
        "203.0.113.9",
    ),
    (
        "delimiters inside of quotes",
        &[b"for=203.0.113.9;host=\"a,b;c=d, for=47.94.95.118\""],
        "203.0.113.9",
    ),
    (
        "a backslash at a string's end",
        &[b"for=47.94.95.118;host=\"a\\\\\""],
        "47.94.95.118",
    ),
    (
        "an escaped backslash and quote",
        &[b"for=47.94.95.118;host=\"a\\\\\\\"b\""],
        "47.94.95.118",
    ),
    (
        "garbage on the left",
        &[b"=;\"\\\xff,,for=47.94.95.118"],
        "47.94.95.118",
    ),
    (
        "an empty host",
        &[b"for=47.94.95.118;host=;proto=http"],
        "47.94.95.118",
    ),
    ("no header", &[], "header_missing"),
    ("an empty header", &[b""], "header_unreadable"),
    (
        "a trailing comma",
        &[b"for=47.94.95.118,"],
        "header_unreadable",
    ),
    ("semicolons only", &[b";;"], "header_unreadable"),
    (
        "no for",
        &[b"for=47.94.95.118, proto=https"],
        "header_unreadable",
    ),
    (
        "two fors",
        &[b"for=47.94.95.118;for=10.0.0.7"],
        "header_unreadable",
    ),
    ("unknown", &[b"for=unknown"], "header_unreadable"),
    (
        "unknown, reached",
        &[b"for=47.94.95.118, for=unknown, for=10.0.0.7"],
        "header_unreadable",
    ),
    (
        "obfuscated",
        &[b"for=_hidden, for=10.0.0.7"],
        "header_unreadable",
    ),
    ("unspecified", &[b"for=0.0.0.0"], "header_unreadable"),
    (
        "IPv6 without brackets",
        &[b"for=\"2001:db8:5::1\""],
        "header_unreadable",
    ),
    (
        "a zone",
        &[b"for=\"[fe80::1%25eth0]\""],
        "header_unreadable",
    ),
    ("a bare address", &[b"47.94.95.118"], "header_unreadable"),
    (
        "blanks at the equals sign",
        &[b"for = 47.94.95.118"],
        "header_unreadable",
    ),
    (
        "single quotes",
        &[b"for='47.94.95.118'"],
        "header_unreadable",
    ),
    (
        "an unopened quote",
        &[b"for=47.94.95.118\""],
        "header_unreadable",
    ),
    (
        "an unclosed quote",
        &[b"for=\"47.94.95.118"],
        "header_unreadable",
    ),
    (
        "an escaped closing quote",
        &[b"for=\"47.94.95.118\\\""],
        "header_unreadable",
    ),
    (
        "text after the quote",
        &[b"for=\"47.94.95.118\"x"],
        "header_unreadable",
    ),
    (
        "text before the quote",
        &[b"for=x\"47.94.95.118\""],
        "header_unreadable",
    ),
    (
        "a blank inside of quotes",
        &[b"for=\" 47.94.95.118\""],
        "header_unreadable",
    ),
    (
        "a name that ends in for",
        &[b"xfor=47.94.95.118"],
        "header_unreadable",
    ),
    (
        "a string over two instances",
        &[b"a=\"x", b"\";for=47.94.95.118"],
        "header_unreadable",
    ),
    (
        "only proxies",
        &[b"for=10.0.0.8, for=\"[::ffff:10.0.0.7]\""],
        "only_proxies",
    ),
];

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
    check(ClientIpHeader::XForwardedFor, X_FORWARDED_FOR);
}

#[test]
fn forwarded_names_the_first_untrusted_address_from_the_right() {
    check(ClientIpHeader::Forwarded, FORWARDED);
}

#[test]
fn x_real_ip_names_one_address() {
    check(ClientIpHeader::XRealIp, X_REAL_IP);
}
