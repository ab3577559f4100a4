//! What is refused or warned of at start.

use http::HeaderName;

use super::super::{
    ClientIpHeader, Enforce, SourceOptions, SourceRules, parse_allow, parse_trusted,
};
use super::{options, rules, secrets, words};

/// The key and the message of the refusal that a change brings about.
fn refusal(change: impl FnOnce(&mut SourceOptions)) -> String {
    let mut options = options();
    change(&mut options);
    let error = SourceRules::new(options).unwrap_err();
    format!("{}: {error}", error.key())
}

fn trusting(blocks: &[&str]) -> impl FnOnce(&mut SourceOptions) {
    let blocks = parse_trusted(&words(blocks)).unwrap();
    |options| options.trusted_proxies = blocks
}

#[test]
fn proxies_that_cover_everything_are_refused() {
    insta::assert_snapshot!(refusal(trusting(&["0.0.0.0/0"])), @"source.trusted_proxies: 0.0.0.0/0 is trusted as a whole: list the addresses of your own proxies only");
    insta::assert_snapshot!(refusal(trusting(&["::/0"])), @"source.trusted_proxies: ::/0 is trusted as a whole: list the addresses of your own proxies only");
    for blocks in [
        &["0.0.0.0/1", "128.0.0.0/1"][..],
        &["::ffff:0:0/96"],
        &["8000::/1", "::/1"],
        &["private_ranges", "0.0.0.0/0"],
    ] {
        assert!(
            refusal(trusting(blocks)).contains("as a whole"),
            "{blocks:?}"
        );
    }
}

#[test]
fn proxies_that_cover_an_allowed_address_are_refused() {
    insta::assert_snapshot!(refusal(trusting(&["10.0.0.0/8", "47.94.0.0/16"])), @"source.trusted_proxies: 47.94.0.0/16 overlaps 47.94.95.118 in source.allow: an address is either a proxy or the sender, narrow one of them");
    for block in [
        "47.94.95.118",
        "::ffff:47.94.95.118",
        "2001:db8::/32",
        "2001:db8:5::1",
    ] {
        assert!(refusal(trusting(&[block])).contains("overlaps"), "{block}");
    }
}

#[test]
fn doors_that_stand_open_or_stay_shut_are_refused() {
    insta::assert_snapshot!(refusal(|options| options.allow.clear()), @"source.allow: no address is allowed, so every push would be refused: list the sender's addresses");
    insta::assert_snapshot!(refusal(|options| options.enforce = Enforce::Secret), @r#"source.enforce: enforce = "secret" without a secret would let anybody push: set source.token or source.headers"#);
    insta::assert_snapshot!(refusal(|options| {
        options.proxy_protocol = true;
        options.trusted_proxies.clear();
    }), @r#"source.proxy_protocol: proxy_protocol = "required" is accepted from source.trusted_proxies only, and there is none: list the load balancer"#);
    // Where the secret decides, the list may be empty.
    rules(|options| {
        options.allow.clear();
        options.enforce = Enforce::Secret;
        options.tokens = secrets(&["0123456789abcdef"]);
    });
}

#[test]
fn secrets_that_could_never_match_are_refused_and_never_shown() {
    let token = |value: &'static str| {
        refusal(move |options| options.tokens = secrets(&["hunter2-hunter2", value]))
    };
    insta::assert_snapshot!(token(""), @"source.token: value 2 of x-flashduty-token is empty: use visible characters, without blanks at either end");
    insta::assert_snapshot!(token("hunter3 "), @"source.token: value 2 of x-flashduty-token has a blank at its end or its beginning, which HTTP removes: use visible characters, without blanks at either end");
    insta::assert_snapshot!(token("hunter3\nhunter4"), @"source.token: value 2 of x-flashduty-token holds a control character, such as a line break: use visible characters, without blanks at either end");
    for value in ["", " ", "\thunter3", "hunter3\r\n", "hun\0ter3"] {
        assert!(!token(value).contains("hun"), "{value:?}");
    }
    let team = HeaderName::from_static("x-team");
    insta::assert_snapshot!(refusal(|options| options.headers = vec![(team.clone(), Vec::new())]), @"source.headers: x-team has no value that would match: give at least one, or leave it out");
    let both = vec![(team.clone(), secrets(&["a"])), (team, secrets(&["b"]))];
    insta::assert_snapshot!(refusal(|options| options.headers = both), @"source.headers: x-team is listed twice: give all of its values in one place");
}

#[test]
fn headers_with_a_purpose_of_their_own_carry_no_secret() {
    let named = |name: &'static str| {
        refusal(move |options| {
            options.tokens = secrets(&["0123456789abcdef"]);
            options.token_header = HeaderName::from_static(name);
        })
    };
    insta::assert_snapshot!(named("transfer-encoding"), @"source.token_header: transfer-encoding cannot carry a secret: pick a name of your own, such as X-Flashduty-Token");
    for name in [
        "connection",
        "host",
        "content-length",
        "x-forwarded-for",
        "forwarded",
        "te",
    ] {
        assert!(named(name).contains("cannot carry a secret"), "{name}");
    }
    let extra = vec![(HeaderName::from_static("upgrade"), secrets(&["a"]))];
    assert!(refusal(|options| options.headers = extra).starts_with("source.headers: "));
    let again = vec![(
        HeaderName::from_static("x-flashduty-token"),
        secrets(&["a"]),
    )];
    let twice = refusal(|options| {
        options.tokens = secrets(&["0123456789abcdef"]);
        options.headers = again;
    });
    assert!(twice.contains("listed twice"), "{twice}");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let warnings = |change: &dyn Fn(&mut SourceOptions)| rules(change).warnings().join("\n");
    insta::assert_snapshot!(warnings(&|_| {}), @"no secret is set: the sender's addresses are shared by all of its customers, any of whom can push here; set source.token and send it as a custom header");
    insta::assert_snapshot!(warnings(&|options| {
        options.tokens = secrets(&["short"]);
        options.client_ip_header = ClientIpHeader::None;
    }), @r#"
    a value of x-flashduty-token is shorter than 16 bytes and can be guessed; take a random one
    source.trusted_proxies has no effect: client_ip_header is "none" and proxy_protocol is "off"
    "#);
    insta::assert_snapshot!(warnings(&|options| {
        options.tokens = secrets(&["0123456789abcdef"]);
        options.client_ip_header = ClientIpHeader::XRealIp;
        options.trusted_proxies.clear();
        options.allow = parse_allow(&words(&["0.0.0.0/0"])).unwrap();
    }), @r#"
    source.allow holds 0.0.0.0/0, so addresses keep nobody out
    X-Real-IP is never read: source.trusted_proxies is empty, so no peer is believed
    "#);
    assert_eq!(
        warnings(&|options| options.tokens = secrets(&["0123456789abcdef"])),
        ""
    );
}

#[test]
fn a_list_without_any_published_address_is_warned_of() {
    let warnings = |allow: &[&str], enforce: Enforce| {
        let allow = parse_allow(&words(allow)).unwrap();
        let rules = rules(|options| {
            options.tokens = secrets(&["0123456789abcdef"]);
            options.allow = allow;
            options.enforce = enforce;
        });
        rules.warnings().join("\n")
    };
    insta::assert_snapshot!(warnings(&["203.0.113.7"], Enforce::Address), @r#"source.allow takes the place of the built-in list and holds none of the addresses that Flashduty publishes, so pushes from these are not let in; list them beside your own: "47.94.95.118", "123.56.8.183", "47.94.193.81", "1.13.19.96""#);
    insta::assert_snapshot!(warnings(&["203.0.113.7"], Enforce::Secret), @r#"source.allow takes the place of the built-in list and holds none of the addresses that Flashduty publishes, so pushes from these are let in by their secret, and warned of; list them beside your own: "47.94.95.118", "123.56.8.183", "47.94.193.81", "1.13.19.96""#);
    for kept in ["1.13.19.96", "47.94.0.0/16", "::ffff:123.56.8.183"] {
        assert_eq!(
            warnings(&["203.0.113.7", kept], Enforce::Address),
            "",
            "{kept}"
        );
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let rules = rules(|options| options.tokens = secrets(&["0123456789abcdef"]));
    let shown = format!("{rules:?} {:?}", options());
    assert!(shown.contains("x-flashduty-token") && !shown.contains("0123456789abcdef"));
    // Digests would show as lists of bytes.
    assert!(shown.contains("values: 1"), "{shown}");
}
