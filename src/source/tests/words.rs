//! What people read: hints, explanations, excerpts.

use std::fmt::Write as _;

use super::super::{ClientIpHeader, Decision, Enforce, Peer, SourceRules};
use super::{headers, peer, reading, rules, secrets};

/// The reason and hint of a denial.
fn hint(rules: &SourceRules, peer: &Peer, lines: &[(&str, &str)]) -> String {
    match rules.judge(peer, &headers(lines)).decision {
        Decision::Denied { reason, hint, .. } => format!("{reason}: {hint}"),
        other => format!("{other:?}"),
    }
}

fn explain(rules: &SourceRules, peer: &Peer, lines: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (index, sentence) in rules.explain(peer, &headers(lines)).iter().enumerate() {
        writeln!(text, "{}. {sentence}", index + 1).unwrap();
    }
    text
}

#[test]
fn a_denial_hints_at_what_to_change() {
    let list = reading(ClientIpHeader::XForwardedFor);
    let xff = |value| [("x-forwarded-for", value)];
    insta::assert_snapshot!(hint(&list, &peer("203.0.113.9"), &xff("47.94.95.118")), @r#"peer_not_trusted: peer 203.0.113.9 sent X-Forwarded-For but is not in source.trusted_proxies; if it is your proxy, add "203.0.113.9" there"#);
    insta::assert_snapshot!(hint(&list, &peer("203.0.113.9"), &[]), @r#"not_allowed: 203.0.113.9 is not in source.allow; add "203.0.113.9" there, beside the addresses it holds now, only if it is an address of the sender"#);
    insta::assert_snapshot!(hint(&list, &peer("10.0.0.5"), &[]), @"header_missing: trusted proxy 10.0.0.5 sent no X-Forwarded-For; let it add the header, or name the one it writes in source.client_ip_header");
    insta::assert_snapshot!(hint(&list, &peer("10.0.0.5"), &xff("unknown, 10.0.0.7")), @r#"header_unreadable: X-Forwarded-For, element 2 from the right: "unknown" says that the address is unknown"#);
    insta::assert_snapshot!(hint(&list, &peer("10.0.0.5"), &xff("")), @"header_unreadable: X-Forwarded-For, element 1 from the right: is empty");
    insta::assert_snapshot!(hint(&list, &peer("10.0.0.5"), &xff("10.0.0.8, 10.0.0.7")), @"only_proxies: X-Forwarded-For of peer 10.0.0.5 names only addresses of source.trusted_proxies (2); either the outermost proxy does not add its client, or the client's network is trusted by mistake");
    insta::assert_snapshot!(hint(&list, &peer("10.0.0.5"), &xff("203.0.113.9")), @r#"not_allowed: 203.0.113.9 is not in source.allow; add "203.0.113.9" there, beside the addresses it holds now, only if it is an address of the sender"#);
    insta::assert_snapshot!(hint(&list, &peer("0.0.0.0"), &[]), @"header_unreadable: the connection's source is 0.0.0.0, which is nobody's address");
    let none = rules(|options| options.trusted_proxies.clear());
    insta::assert_snapshot!(hint(&none, &peer("100.117.3.9"), &xff("47.94.95.118")), @r#"peer_not_trusted: peer 100.117.3.9 sent X-Forwarded-For but is not in source.trusted_proxies; if it is your proxy, add "100.117.3.9" or "private_ranges" there"#);
    insta::assert_snapshot!(hint(&none, &peer("100.117.3.9"), &[]), @r#"not_allowed: 100.117.3.9 is not in source.allow; if it is your proxy, add "100.117.3.9" or "private_ranges" to source.trusted_proxies and let it send the header of source.client_ip_header"#);
    let off = reading(ClientIpHeader::None);
    insta::assert_snapshot!(hint(&off, &peer("10.0.0.5"), &xff("47.94.95.118")), @r#"not_allowed: trusted proxy 10.0.0.5 is itself the client, because source.client_ip_header is "none"; name the header it writes there"#);
    let token = rules(|options| options.tokens = secrets(&["0123456789abcdef"]));
    let right = [("x-flashduty-token", "0123456789abcdef")];
    insta::assert_snapshot!(hint(&token, &peer("203.0.113.9"), &right), @r#"not_allowed: 203.0.113.9 sent the right secret but is not in source.allow; if the sender has moved, add "203.0.113.9" there, beside the addresses it holds now"#);
}

#[test]
fn a_denial_on_a_proxied_connection_hints_at_the_proxy() {
    let required = rules(|options| options.proxy_protocol = true);
    insta::assert_snapshot!(hint(&required, &peer("203.0.113.9"), &[]), @r#"peer_not_trusted: PROXY headers are required, and believed from source.trusted_proxies only, where peer 203.0.113.9 is not; if it is your load balancer, add "203.0.113.9" there"#);
    insta::assert_snapshot!(hint(&required, &peer("10.0.0.5"), &[]), @"not_allowed: the PROXY header of 10.0.0.5 names no source (LOCAL or UNKNOWN), so the proxy itself is the client, and it is not in source.allow");
}

#[test]
fn a_hint_quotes_little_of_a_hostile_header() {
    let rules = reading(ClientIpHeader::Forwarded);
    let long = format!("for=\"\u{e9}{}\"", "x".repeat(5000));
    let hint = hint(&rules, &peer("10.0.0.5"), &[("forwarded", &long)]);
    assert!(hint.len() < 200, "{hint}");
    assert!(hint.is_ascii());
    let hint = super::words::hint(&rules, &peer("10.0.0.5"), &[("forwarded", "a=\u{e9}\"")]);
    insta::assert_snapshot!(hint, @r#"header_unreadable: Forwarded, element 1 from the right: "a=\xc3\xa9\"" is malformed (RFC 7239)"#);
}

#[test]
fn an_explanation_tells_every_step() {
    let rules =
        rules(|options| options.tokens = secrets(&["0123456789abcdef", "fedcba9876543210"]));
    insta::assert_snapshot!(explain(&rules, &peer("10.0.0.5"), &[
        ("x-forwarded-for", "1.1.1.1, 47.94.95.118, 10.0.0.7"),
        ("x-flashduty-token", "fedcba9876543210"),
    ]), @r#"
    1. the connection comes from 10.0.0.5
    2. 10.0.0.5 is trusted (10.0.0.0/8), so X-Forwarded-For is read from the right
    3. element 1 from the right is 10.0.0.7, trusted (10.0.0.0/8)
    4. element 2 from the right is 47.94.95.118, not trusted: this is the client, and what stands left of it is not read
    5. 47.94.95.118 is in source.allow
    6. x-flashduty-token holds one of its values
    7. allowed
    "#);
    insta::assert_snapshot!(explain(&rules, &peer("203.0.113.9"), &[("x-forwarded-for", "47.94.95.118")]), @r#"
    1. the connection comes from 203.0.113.9
    2. 203.0.113.9 is not in source.trusted_proxies, so it is the client and no forwarding header is read
    3. 203.0.113.9 is not in source.allow
    4. x-flashduty-token is missing
    5. denied (peer_not_trusted): peer 203.0.113.9 sent X-Forwarded-For but is not in source.trusted_proxies; if it is your proxy, add "203.0.113.9" there
    "#);
    insta::assert_snapshot!(explain(&rules, &peer("47.94.95.118"), &[("x-flashduty-token", "guess")]), @r#"
    1. the connection comes from 47.94.95.118
    2. 47.94.95.118 is not in source.trusted_proxies, so it is the client and no forwarding header is read
    3. 47.94.95.118 is in source.allow
    4. x-flashduty-token holds none of its values
    5. unauthorized: x-flashduty-token is wrong
    "#);
}

#[test]
fn an_explanation_tells_of_proxy_headers_and_of_doubts() {
    let required = rules(|options| options.proxy_protocol = true);
    let from = |source: Option<&str>| {
        Peer::new(
            "10.0.0.5".parse().unwrap(),
            source.map(|source| source.parse().unwrap()),
        )
    };
    insta::assert_snapshot!(explain(&required, &from(Some("47.94.95.118")), &[]), @r#"
    1. the connection comes from 10.0.0.5
    2. 10.0.0.5 is trusted (10.0.0.0/8), and its PROXY header names 47.94.95.118 as the source
    3. 47.94.95.118 is not in source.trusted_proxies, so it is the client and no forwarding header is read
    4. 47.94.95.118 is in source.allow
    5. no secret is asked for
    6. allowed
    "#);
    insta::assert_snapshot!(explain(&required, &from(None), &[]), @r#"
    1. the connection comes from 10.0.0.5
    2. 10.0.0.5 is trusted (10.0.0.0/8), and its PROXY header names no source (LOCAL or UNKNOWN), so it is itself the client
    3. 10.0.0.5 is not in source.allow
    4. no secret is asked for
    5. denied (not_allowed): the PROXY header of 10.0.0.5 names no source (LOCAL or UNKNOWN), so the proxy itself is the client, and it is not in source.allow
    "#);
    let by_secret = rules(|options| {
        options.enforce = Enforce::Secret;
        options.tokens = secrets(&["0123456789abcdef"]);
    });
    insta::assert_snapshot!(explain(&by_secret, &peer("10.0.0.5"), &[("x-flashduty-token", "0123456789abcdef")]), @r#"
    1. the connection comes from 10.0.0.5
    2. 10.0.0.5 is trusted (10.0.0.0/8), so X-Forwarded-For is read from the right
    3. no client can be made out: trusted proxy 10.0.0.5 sent no X-Forwarded-For; let it add the header, or name the one it writes in source.client_ip_header
    4. x-flashduty-token holds its value
    5. allowed for its secret, with a warning about its address
    "#);
}

#[test]
fn an_explanation_ends_in_the_decision_and_shows_no_secret() {
    let rules = rules(|options| options.tokens = secrets(&["0123456789abcdef"]));
    let lines = [
        ("x-flashduty-token", "0123456789abcdef"),
        ("x-forwarded-for", "47.94.95.118"),
    ];
    for socket in ["10.0.0.5", "203.0.113.9", "47.94.95.118"] {
        let steps = rules.explain(&peer(socket), &headers(&lines));
        let last = steps.last().unwrap();
        match rules.judge(&peer(socket), &headers(&lines)).decision {
            Decision::Allowed { .. } => assert_eq!(last, "allowed"),
            Decision::Denied { reason, hint, .. } => {
                assert_eq!(*last, format!("denied ({reason}): {hint}"));
            }
            Decision::Unauthorized { .. } => unreachable!("the secret is right"),
        }
        assert!(!steps.concat().contains("0123456789abcdef"));
    }
}

#[test]
fn an_excerpt_is_the_end_of_the_header_and_never_long() {
    let rules = reading(ClientIpHeader::XForwardedFor);
    let excerpt = |lines: &[(&str, &str)]| rules.forwarding_excerpt(&headers(lines));
    assert_eq!(excerpt(&[]), None);
    assert_eq!(excerpt(&[("forwarded", "for=1.1.1.1")]), None);
    let both = [
        ("x-forwarded-for", "\u{e9}, 1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
    ];
    assert_eq!(excerpt(&both).unwrap(), r"\xc3\xa9, 1.1.1.1, 2.2.2.2");
    let long = format!("{}, 1.1.1.1", "\u{e9}".repeat(3000));
    let cut = excerpt(&[("x-forwarded-for", "left"), ("x-forwarded-for", &long)]).unwrap();
    assert!(cut.len() == 256 && cut.ends_with(", 1.1.1.1"), "{cut}");
}
