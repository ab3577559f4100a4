//! Forwarding headers: a stranger is itself whatever it sends, and a proxy is believed about the first
//! address that is no proxy, whatever stands left of it.
//!
//! The first byte chooses the header, `x`, `f` or `r`; each line behind it is an instance.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use flashduty_receiver::source::{
    ClientIpHeader, Decision, EXCERPT_BYTES, Enforce, Judgement, Peer, SourceOptions, SourceRules,
    Standing, parse_allow, parse_trusted,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(47, 94, 95, 118));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200));

/// What a client may have written left of what its proxy appends.
const INVENTED: &str = "for=\"\\\\\\\",;= 47.94.95.118";

/// Instances of a header at most.
const MOST: usize = 64;

static ALLOWED: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    parse_allow(&words(&["47.94.95.118", "2001:db8:5::/48"])).expect("these are addresses")
});

static RULES: LazyLock<[(ClientIpHeader, SourceRules); 3]> = LazyLock::new(|| {
    [
        ClientIpHeader::XForwardedFor,
        ClientIpHeader::Forwarded,
        ClientIpHeader::XRealIp,
    ]
    .map(|header| (header, rules(header)))
});

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn rules(client_ip_header: ClientIpHeader) -> SourceRules {
    let trusted = ["private_ranges", "198.51.100.7", "2001:db8:cafe::/48"];
    SourceRules::new(SourceOptions {
        allow: ALLOWED.clone(),
        enforce: Enforce::Address,
        trusted_proxies: parse_trusted(&words(&trusted)).expect("these are proxies"),
        client_ip_header,
        proxy_protocol: false,
        tokens: Vec::new(),
        token_header: HeaderName::from_static("x-flashduty-token"),
        headers: Vec::new(),
    })
    .expect("nothing in them contradicts anything")
}

/// Judges who sent these headers.
pub fn check(data: &[u8]) {
    let Some((kind, lines)) = data.split_first() else {
        return;
    };
    let (header, rules) = &RULES[match kind {
        b'f' => 1,
        b'r' => 2,
        _ => 0,
    }];
    let lines = lines.split(|byte| *byte == b'\n').take(MOST);
    let instances: Vec<HeaderValue> = lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let sent = headers(*header, &instances);
    who_is_no_proxy_is_itself(rules, &sent);

    let proxy = Peer::new(PROXY, None);
    let judgement = rules.judge(&proxy, &sent);
    what_is_told_is_what_was_decided(rules, &proxy, &sent, &judgement);
    let is_allowed = matches!(judgement.decision, Decision::Allowed { .. });
    let Some(client) = judgement.client else {
        assert!(!is_allowed, "nobody is let in: {judgement:?}");
        return;
    };
    assert!(!rules.trusts(client), "a proxy is no client: {client}");
    assert!(!client.is_unspecified() && client == client.to_canonical());
    assert!(named(&instances).contains(&client), "nobody named {client}");
    let is_listed = ALLOWED.iter().any(|block| block.contains(&client));
    assert_eq!(is_allowed, is_listed, "{judgement:?}");
    if *header != ClientIpHeader::XRealIp {
        the_left_is_not_heard(*header, rules, &instances, &judgement);
    }
}

fn headers(header: ClientIpHeader, instances: &[HeaderValue]) -> HeaderMap {
    let name = header.header().expect("all of these are read");
    let name = HeaderName::from_bytes(name.as_bytes()).expect("they are headers");
    let mut map = HeaderMap::new();
    for instance in instances {
        map.append(name.clone(), instance.clone());
    }
    map
}

fn who_is_no_proxy_is_itself(rules: &SourceRules, sent: &HeaderMap) {
    let stranger = Peer::new(STRANGER, None);
    let judgement = rules.judge(&stranger, sent);
    assert_eq!(judgement.client, Some(STRANGER));
    assert!(matches!(judgement.decision, Decision::Denied { .. }));
    assert_eq!(rules.standing(&stranger), Standing::Stranger);
    let judgement = rules.judge(&Peer::new(SENDER, None), sent);
    assert_eq!(judgement.client, Some(SENDER));
    assert_eq!(judgement.decision, Decision::Allowed { unlisted: false });
}

fn what_is_told_is_what_was_decided(
    rules: &SourceRules,
    peer: &Peer,
    sent: &HeaderMap,
    judgement: &Judgement,
) {
    let told = rules.explain(peer, sent);
    let last = told.last().map(String::as_str).unwrap_or_default();
    let is_allowed = matches!(judgement.decision, Decision::Allowed { .. });
    assert_eq!(last.starts_with("allowed"), is_allowed, "{told:?}");
    let excerpt = rules.forwarding_excerpt(sent).unwrap_or_default();
    assert!(excerpt.len() <= EXCERPT_BYTES && excerpt.is_ascii());
}

/// Every address in there, by a reading that splits wherever it can.
fn named(instances: &[HeaderValue]) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for instance in instances {
        let text = String::from_utf8_lossy(instance.as_bytes()).replace('\\', "");
        for piece in text.split([',', ';', '=', '"', ' ', '\t']) {
            let without_port = piece.rsplit_once(':').map(|(host, _)| host);
            for host in [Some(piece), without_port].into_iter().flatten() {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                found.extend(host.parse::<IpAddr>().map(|ip| ip.to_canonical()));
            }
        }
    }
    found
}

fn the_left_is_not_heard(
    header: ClientIpHeader,
    rules: &SourceRules,
    instances: &[HeaderValue],
    judgement: &Judgement,
) {
    let proxy = Peer::new(PROXY, None);
    let mut before = vec![HeaderValue::from_static(INVENTED)];
    before.extend_from_slice(instances);
    let heard = rules.judge(&proxy, &headers(header, &before));
    assert_eq!(&heard, judgement, "in a line before it");

    let mut within = instances.to_vec();
    if let Some(first) = within.first_mut() {
        let line = [INVENTED.as_bytes(), b", ", first.as_bytes()].concat();
        *first = HeaderValue::from_bytes(&line).expect("both were values of headers");
    }
    let heard = rules.judge(&proxy, &headers(header, &within));
    assert_eq!(&heard, judgement, "in the same line");
}
