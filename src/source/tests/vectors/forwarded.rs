//! RFC 7239: quotes, escapes, ports, obfuscation, and what breaks the grammar.

use super::Vector;

pub(super) const VECTORS: &[Vector] = &[
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
        "an escaped closing quote elsewhere",
        &[b"for=47.94.95.118;host=\"a\\\""],
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
