//! Which of its inputs a decision depends on, and which it must not.

use std::net::IpAddr;

use http::HeaderName;

use super::super::{ClientIpHeader, Decision, Enforce, Judgement, Peer, Reason, Standing};
use super::{headers, peer, reading, rules, secrets, verdict};

const SENDER: &str = "47.94.95.118";
const STRANGER: &str = "203.0.113.9";
const TOKEN: &str = "0123456789abcdef";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn reason(judgement: &Judgement) -> Option<(Reason, bool)> {
    match judgement.decision {
        Decision::Denied {
            reason,
            secret_right,
            ..
        } => Some((reason, secret_right)),
        _ => None,
    }
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_its_headers_say() {
    for header in [
        ClientIpHeader::XForwardedFor,
        ClientIpHeader::Forwarded,
        ClientIpHeader::XRealIp,
        ClientIpHeader::None,
    ] {
        let rules = reading(header);
        let spoofed = headers(&[
            ("x-forwarded-for", SENDER),
            ("forwarded", "for=47.94.95.118"),
            ("x-real-ip", SENDER),
        ]);
        assert_eq!(
            verdict(&rules, &peer(STRANGER), &spoofed),
            (STRANGER.to_owned(), false)
        );
        let foreign = headers(&[
            ("x-forwarded-for", "unknown"),
            ("forwarded", "\""),
            ("x-real-ip", STRANGER),
        ]);
        assert_eq!(
            verdict(&rules, &peer(SENDER), &foreign),
            (SENDER.to_owned(), true)
        );
    }
}

#[test]
fn only_the_configured_header_is_read() {
    let rules = reading(ClientIpHeader::Forwarded);
    let lines = [
        ("x-forwarded-for", SENDER),
        ("x-real-ip", SENDER),
        ("forwarded", "for=203.0.113.9"),
    ];
    let found = verdict(&rules, &peer("10.0.0.5"), &headers(&lines));
    assert_eq!(found, (STRANGER.to_owned(), false));
    let found = verdict(&rules, &peer("10.0.0.5"), &headers(&lines[..2]));
    assert_eq!(found, ("header_missing".to_owned(), false));
}

#[test]
fn without_a_header_to_read_a_proxy_is_itself_the_client() {
    let rules = reading(ClientIpHeader::None);
    let judgement = rules.judge(&peer("10.0.0.5"), &headers(&[("x-forwarded-for", SENDER)]));
    assert_eq!(judgement.client, Some(ip("10.0.0.5")));
    assert_eq!(reason(&judgement), Some((Reason::NotAllowed, false)));
}

#[test]
fn a_peer_that_speaks_for_another_without_trust_is_told_apart_from_a_stranger() {
    let rules = reading(ClientIpHeader::XForwardedFor);
    let forwarded = headers(&[("x-forwarded-for", SENDER)]);
    let judgement = rules.judge(&peer(STRANGER), &forwarded);
    assert_eq!(reason(&judgement), Some((Reason::PeerNotTrusted, false)));
    let judgement = rules.judge(&peer(STRANGER), &headers::<&str>(&[]));
    assert_eq!(reason(&judgement), Some((Reason::NotAllowed, false)));
    // Another header than the configured one says nothing.
    let other = headers(&[("x-real-ip", SENDER)]);
    let judgement = rules.judge(&peer(STRANGER), &other);
    assert_eq!(reason(&judgement), Some((Reason::NotAllowed, false)));
    // Behind a proxy, the client's own header was passed on by a proxy that may do so.
    let judgement = rules.judge(
        &peer("10.0.0.5"),
        &headers(&[("x-forwarded-for", STRANGER)]),
    );
    assert_eq!(reason(&judgement), Some((Reason::NotAllowed, false)));
}

/// Name, socket, source in its PROXY header, whether it sends an `X-Forwarded-For` that names the
/// sender, and the verdict.
type Proxied = (
    &'static str,
    &'static str,
    Option<&'static str>,
    bool,
    (&'static str, bool),
);

const PROXIED: [Proxied; 11] = [
    (
        "the sender",
        "10.0.0.5",
        Some(SENDER),
        false,
        (SENDER, true),
    ),
    (
        "mapped",
        "::ffff:10.0.0.5",
        Some("::ffff:47.94.95.118"),
        false,
        (SENDER, true),
    ),
    (
        "a stranger",
        "10.0.0.5",
        Some(STRANGER),
        false,
        (STRANGER, false),
    ),
    (
        "a stranger who spoofs",
        "10.0.0.5",
        Some(STRANGER),
        true,
        (STRANGER, false),
    ),
    (
        "a proxy in between",
        "10.0.0.5",
        Some("10.0.0.7"),
        true,
        (SENDER, true),
    ),
    (
        "a silent proxy",
        "10.0.0.5",
        Some("10.0.0.7"),
        false,
        ("header_missing", false),
    ),
    ("no source", "10.0.0.5", None, false, ("10.0.0.5", false)),
    (
        "no source but a header",
        "10.0.0.5",
        None,
        true,
        ("10.0.0.5", false),
    ),
    (
        "nobody",
        "10.0.0.5",
        Some("0.0.0.0"),
        false,
        ("header_unreadable", false),
    ),
    (
        "a stranger's header",
        STRANGER,
        Some(SENDER),
        false,
        ("peer_not_trusted", false),
    ),
    (
        "the sender's own",
        SENDER,
        Some(SENDER),
        false,
        ("peer_not_trusted", false),
    ),
];

#[test]
fn the_walk_begins_at_the_source_of_a_proxy_header() {
    let rules = rules(|options| options.proxy_protocol = true);
    for (name, socket, source, forwards, (client, allowed)) in PROXIED {
        let line = [("x-forwarded-for", SENDER)];
        let headers = headers(if forwards { &line[..] } else { &[] });
        let found = verdict(&rules, &Peer::new(ip(socket), source.map(ip)), &headers);
        assert_eq!(found, (client.to_owned(), allowed), "{name}");
    }
}

#[test]
fn a_proxy_header_counts_for_nothing_where_it_is_off() {
    let rules = rules(|_| {});
    let spoofed = Peer::new(ip(STRANGER), Some(ip(SENDER)));
    let found = verdict(&rules, &spoofed, &headers::<&str>(&[]));
    assert_eq!(found, (STRANGER.to_owned(), false));
}

#[test]
fn every_secret_header_must_hold_one_of_its_values() {
    let team = HeaderName::from_static("x-team");
    let rules = rules(|options| {
        options.tokens = secrets(&[TOKEN, "fedcba9876543210"]);
        options.headers = vec![(team.clone(), secrets(&["blue", "red"]))];
    });
    let token = HeaderName::from_static("x-flashduty-token");
    let wrong = |header: &HeaderName, missing| Decision::Unauthorized {
        header: header.clone(),
        missing,
    };
    let allowed = Decision::Allowed { unlisted: false };
    let cases: [(&[(&str, &str)], Decision); 12] = [
        (
            &[("X-Flashduty-Token", TOKEN), ("X-Team", "blue")],
            allowed.clone(),
        ),
        (
            &[("x-flashduty-token", "fedcba9876543210"), ("x-team", "red")],
            allowed,
        ),
        (&[("x-team", "red")], wrong(&token, true)),
        (&[("x-flashduty-token", TOKEN)], wrong(&team, true)),
        (&[], wrong(&token, true)),
        (
            &[("x-flashduty-token", ""), ("x-team", "red")],
            wrong(&token, false),
        ),
        (
            &[("x-flashduty-token", "0123456789abcde"), ("x-team", "red")],
            wrong(&token, false),
        ),
        (
            &[
                ("x-flashduty-token", "0123456789abcdef0"),
                ("x-team", "red"),
            ],
            wrong(&token, false),
        ),
        (
            &[("x-flashduty-token", "0123456789ABCDEF"), ("x-team", "red")],
            wrong(&token, false),
        ),
        (
            &[("x-flashduty-token", "red"), ("x-team", TOKEN)],
            wrong(&token, false),
        ),
        (
            &[
                ("x-flashduty-token", TOKEN),
                ("x-flashduty-token", TOKEN),
                ("x-team", "red"),
            ],
            wrong(&token, false),
        ),
        (
            &[("x-flashduty-token", TOKEN), ("x-team", "green")],
            wrong(&team, false),
        ),
    ];
    for (lines, decision) in cases {
        let judgement = rules.judge(&peer(SENDER), &headers(lines));
        assert_eq!(judgement.decision, decision, "{lines:?}");
        assert_eq!(judgement.client, Some(ip(SENDER)));
    }
}

#[test]
fn the_address_is_judged_before_the_secret() {
    let with_token = rules(|options| options.tokens = secrets(&[TOKEN]));
    let right = headers(&[("x-flashduty-token", TOKEN)]);
    let wrong = headers(&[("x-flashduty-token", "guess")]);
    let denied = |headers| reason(&with_token.judge(&peer(STRANGER), headers));
    assert_eq!(denied(&right), Some((Reason::NotAllowed, true)));
    assert_eq!(denied(&wrong), Some((Reason::NotAllowed, false)));
    let silent = with_token.judge(&peer("10.0.0.5"), &right);
    assert_eq!(reason(&silent), Some((Reason::HeaderMissing, true)));
    // Where no secret is asked for, none was right.
    let without = rules(|_| {});
    let judgement = without.judge(&peer(STRANGER), &right);
    assert_eq!(reason(&judgement), Some((Reason::NotAllowed, false)));
}

#[test]
fn where_the_secret_decides_the_address_only_warns() {
    let change = |proxy_protocol| {
        rules(|options| {
            options.enforce = Enforce::Secret;
            options.tokens = secrets(&[TOKEN]);
            options.proxy_protocol = proxy_protocol;
        })
    };
    let rules = change(false);
    let right = headers(&[("x-flashduty-token", TOKEN)]);
    let unlisted = |socket: &str| rules.judge(&peer(socket), &right).decision;
    assert_eq!(unlisted(SENDER), Decision::Allowed { unlisted: false });
    assert_eq!(unlisted(STRANGER), Decision::Allowed { unlisted: true });
    // A trusted proxy that forgot its header: no client, and still the right secret.
    assert_eq!(unlisted("10.0.0.5"), Decision::Allowed { unlisted: true });
    for socket in [SENDER, STRANGER, "10.0.0.5"] {
        let judgement = rules.judge(&peer(socket), &headers::<&str>(&[]));
        assert!(
            matches!(
                judgement.decision,
                Decision::Unauthorized { missing: true, .. }
            ),
            "{socket}"
        );
    }
    // A PROXY header from a stranger is not a question of the list.
    let stranger = Peer::new(ip(STRANGER), Some(ip(SENDER)));
    let judgement = change(true).judge(&stranger, &right);
    assert_eq!(reason(&judgement), Some((Reason::PeerNotTrusted, true)));
}

#[test]
fn a_connection_stands_by_its_socket_or_by_the_client_its_proxy_header_names() {
    let by_address = rules(|_| {});
    let by_secret = rules(|options| {
        options.enforce = Enforce::Secret;
        options.tokens = secrets(&[TOKEN]);
    });
    let by_proxy = rules(|options| options.proxy_protocol = true);
    let by_proxy_alone = rules(|options| {
        options.proxy_protocol = true;
        options.client_ip_header = ClientIpHeader::None;
    });
    let all = [&by_address, &by_secret, &by_proxy, &by_proxy_alone];
    let cases = [
        (SENDER, None, [true, true, false, false]),
        ("::ffff:47.94.95.118", None, [true, true, false, false]),
        ("2001:db8:5::77", None, [true, true, false, false]),
        ("10.0.0.5", None, [true, true, true, true]),
        ("::ffff:10.0.0.5", None, [true, true, true, true]),
        ("127.0.0.1", None, [true, true, true, true]),
        (STRANGER, None, [false, true, false, false]),
        // What a PROXY header says counts where it is asked for, and from a trusted peer only.
        ("10.0.0.5", Some(SENDER), [true, true, true, true]),
        ("10.0.0.5", Some(STRANGER), [true, true, false, false]),
        ("10.0.0.5", Some("10.0.0.6"), [true, true, true, false]),
        (STRANGER, Some(SENDER), [false, true, false, false]),
    ];
    for (socket, proxied, expected) in cases {
        let peer = Peer::new(ip(socket), proxied.map(ip));
        let found = all.map(|rules| rules.standing(&peer) == Standing::MayPush);
        assert_eq!(found, expected, "{socket}, {proxied:?}");
    }
}
