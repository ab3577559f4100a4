//! What holds for every forwarding header: agreement with the naive reading, and that the left
//! side is never heard.

use proptest::prelude::*;

use super::super::ClientIpHeader;
use super::{headers, naive, peer, reading, verdict};

const LISTS: [ClientIpHeader; 2] = [ClientIpHeader::XForwardedFor, ClientIpHeader::Forwarded];

/// Addresses and things in their place: the sender, strangers, proxies, and nonsense.
const NODES: [&str; 24] = [
    "47.94.95.118",
    "47.94.95.118:80",
    "203.0.113.9",
    "::ffff:47.94.95.118",
    "[::ffff:47.94.95.118]:443",
    "2001:db8:5::1",
    "[2001:db8:5::1]",
    "[2001:db8:5::1]:99999",
    "10.0.0.7",
    "10.0.0.7:8080",
    "10.0.0.8",
    "[::ffff:10.0.0.7]",
    "198.51.100.7",
    "[2001:db8:cafe::1]:1",
    "[2001:db8:cafe::2]",
    "unknown",
    "_hidden",
    "10.0.0.7:_p",
    "0.0.0.0",
    "[::]",
    "010.0.0.7",
    "10.0.0.7:",
    "",
    "x",
];

fn node() -> impl Strategy<Value = &'static str> {
    prop::sample::select(NODES.to_vec())
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", " ", "\t "])
}

/// A pair of a `Forwarded` element, mostly well-formed, quoted with and without need.
fn pair() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["for", "For", "by", "host", "proto", "", "f or"]);
    let text = prop_oneof![
        4 => node().prop_map(str::to_owned),
        1 => prop::string::string_regex("[a-z\",;=\\\\ ]{0,8}").unwrap(),
    ];
    let quoting = prop::sample::select(vec!["bare", "quoted", "quoted", "escaped"]);
    (
        prop::sample::select(vec!["for", "by", "host"]),
        name,
        text,
        quoting,
        any::<bool>(),
    )
        .prop_map(|(usual, odd, text, quoting, is_usual)| {
            let name = if is_usual { usual } else { odd };
            let value = match quoting {
                "bare" => text,
                "quoted" => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                _ => format!(
                    "\"{}\"",
                    text.chars().map(|c| format!("\\{c}")).collect::<String>()
                ),
            };
            format!("{name}={value}")
        })
}

/// One header line of either kind of list.
fn line(header: ClientIpHeader) -> BoxedStrategy<String> {
    let join = |parts: Vec<(&str, String, &str)>, separator: &str| {
        let whole = |(left, part, right): &(&str, String, &str)| format!("{left}{part}{right}");
        parts.iter().map(whole).collect::<Vec<_>>().join(separator)
    };
    match header {
        ClientIpHeader::Forwarded => {
            let pairs = prop::collection::vec((blank(), pair(), blank()), 1..4);
            let element = pairs.prop_map(move |pairs| join(pairs, ";"));
            let elements = prop::collection::vec((blank(), element, blank()), 0..4);
            elements
                .prop_map(move |elements| join(elements, ","))
                .boxed()
        }
        _ => {
            let element = node().prop_map(str::to_owned);
            let elements = prop::collection::vec((blank(), element, blank()), 0..6);
            elements
                .prop_map(move |elements| join(elements, ","))
                .boxed()
        }
    }
}

/// Any bytes a header may hold, with a liking for those that mean something.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = prop_oneof![Just(b'\t'), 0x20u8..=0x7e, 0x80u8..=0xff];
    let telling = prop::sample::select(vec![
        "\"",
        "\\",
        ",",
        ";",
        "=",
        " ",
        "for=",
        "for=\"",
        "47.94.95.118",
        "for=47.94.95.118",
        "\\\"",
        "\\\\",
        "10.0.0.7",
        "host=\"",
        "\", ",
    ]);
    prop_oneof![
        prop::collection::vec(any_byte, 0..40),
        prop::collection::vec(telling, 0..12).prop_map(|parts| parts.concat().into_bytes()),
    ]
}

/// What an honest chain of proxies appends: the client first, then proxies.
fn appended(header: ClientIpHeader) -> impl Strategy<Value = (String, &'static str)> {
    let clients = vec![
        "47.94.95.118",
        "203.0.113.9",
        "2001:db8:5::1",
        "2001:db8:bad::1",
    ];
    let proxies =
        prop::sample::subsequence(vec!["10.0.0.7", "198.51.100.7", "2001:db8:cafe::1"], 0..=3);
    let host = prop::sample::select(vec![
        "",
        ";proto=http",
        ";host=\"a, for=\\\"b\\\\\"",
        ";by=\"[::1]:80\"",
    ]);
    (prop::sample::select(clients), proxies, host).prop_map(move |(client, proxies, host)| {
        let mut elements = Vec::new();
        for ip in [client].into_iter().chain(proxies) {
            elements.push(match (header, ip.contains(':')) {
                (ClientIpHeader::Forwarded, true) => format!("for=\"[{ip}]\"{host}"),
                (ClientIpHeader::Forwarded, false) => format!("for={ip}{host}"),
                _ => ip.to_owned(),
            });
        }
        (elements.join(", "), client)
    })
}

fn check_left_is_not_heard(
    header: ClientIpHeader,
    garbage: &[Vec<u8>],
    (good, client): &(String, &str),
) -> Result<(), TestCaseError> {
    let rules = reading(header);
    let name = header.header().unwrap();
    let alone = verdict(&rules, &peer("10.0.0.5"), &headers(&[(name, good)]));
    prop_assert_eq!(&alone.0, client);
    let (last, before) = garbage.split_last().unwrap();
    let same_line = [last, &b", "[..], good.as_bytes()].concat();
    let mut lines: Vec<_> = before.iter().map(|line| (name, line.clone())).collect();
    lines.push((name, same_line));
    prop_assert_eq!(
        &alone,
        &verdict(&rules, &peer("10.0.0.5"), &headers(&lines))
    );
    lines.pop();
    lines.push((name, last.clone()));
    lines.push((name, good.clone().into_bytes()));
    prop_assert_eq!(
        &alone,
        &verdict(&rules, &peer("10.0.0.5"), &headers(&lines))
    );
    Ok(())
}

fn check_naive_agrees(header: ClientIpHeader, lines: &[String]) -> Result<(), TestCaseError> {
    let Some(expected) = naive::client(header, lines) else {
        return Ok(());
    };
    let name = header.header().unwrap();
    let map = headers(&lines.iter().map(|line| (name, line)).collect::<Vec<_>>());
    let (found, _) = verdict(&reading(header), &peer("10.0.0.5"), &map);
    prop_assert_eq!(found, expected, "{:?}", lines);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn x_forwarded_for_agrees_with_the_naive_reading(
        lines in prop::collection::vec(line(ClientIpHeader::XForwardedFor), 0..4),
    ) {
        check_naive_agrees(ClientIpHeader::XForwardedFor, &lines)?;
    }

    #[test]
    fn forwarded_agrees_with_the_naive_reading_where_that_has_one(
        lines in prop::collection::vec(line(ClientIpHeader::Forwarded), 0..4),
    ) {
        check_naive_agrees(ClientIpHeader::Forwarded, &lines)?;
    }

    #[test]
    fn forwarded_of_delimiters_agrees_with_the_naive_reading_where_that_has_one(
        parts in prop::collection::vec(
            prop::sample::select(vec!["\"", "\\", ",", ";", "=", " ", "a=", "for=10.0.0.7", "for=1.1.1.1"]),
            0..14,
        ),
    ) {
        check_naive_agrees(ClientIpHeader::Forwarded, &[parts.concat()])?;
    }

    #[test]
    fn nothing_on_the_left_changes_the_verdict(
        garbage in prop::collection::vec(garbage(), 1..4),
        goods in (appended(LISTS[0]), appended(LISTS[1])),
    ) {
        check_left_is_not_heard(LISTS[0], &garbage, &goods.0)?;
        check_left_is_not_heard(LISTS[1], &garbage, &goods.1)?;
    }

    #[test]
    fn an_untrusted_peer_is_never_let_in_by_a_header(lines in prop::collection::vec(garbage(), 0..4)) {
        for header in [LISTS[0], LISTS[1], ClientIpHeader::XRealIp] {
            let name = header.header().unwrap();
            let map = headers(&lines.iter().map(|line| (name, line)).collect::<Vec<_>>());
            let found = verdict(&reading(header), &peer("203.0.113.9"), &map);
            prop_assert_eq!(found, ("203.0.113.9".to_owned(), false));
        }
    }
}
