//! The whole door, from headers to decision.

mod decisions;
mod naive;
mod options;
mod properties;
mod proxy;
mod vectors;
mod words;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{
    ClientIpHeader, Decision, Enforce, Peer, SourceOptions, SourceRules, parse_allow, parse_trusted,
};

/// The sender, and an IPv6 network it may use one day.
const ALLOW: [&str; 2] = ["47.94.95.118", "2001:db8:5::/48"];
/// A balancer inside, one outside, and one that speaks IPv6.
const TRUSTED: [&str; 3] = ["private_ranges", "198.51.100.7", "2001:db8:cafe::/48"];

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// Options that let the sender in through a proxy, without a secret.
fn options() -> SourceOptions {
    SourceOptions {
        allow: parse_allow(&words(&ALLOW)).unwrap(),
        enforce: Enforce::Address,
        trusted_proxies: parse_trusted(&words(&TRUSTED)).unwrap(),
        client_ip_header: ClientIpHeader::XForwardedFor,
        proxy_protocol: false,
        tokens: Vec::new(),
        token_header: HeaderName::from_static("x-flashduty-token"),
        headers: Vec::new(),
    }
}

/// [`options`] with something changed, checked.
fn rules(change: impl FnOnce(&mut SourceOptions)) -> SourceRules {
    let mut options = options();
    change(&mut options);
    SourceRules::new(options).unwrap()
}

fn reading(header: ClientIpHeader) -> SourceRules {
    rules(|options| options.client_ip_header = header)
}

fn secrets(values: &[&str]) -> Vec<SecretString> {
    values.iter().map(|&value| value.into()).collect()
}

/// A header map with these lines, in this order.
fn headers<V: AsRef<[u8]>>(lines: &[(&str, V)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    map
}

/// A peer without a PROXY header.
fn peer(socket: &str) -> Peer {
    Peer::new(socket.parse().unwrap(), None)
}

/// What a table or a property compares: the client's address, or the reason it is unknown, and
/// whether the push is let in.
fn verdict(rules: &SourceRules, peer: &Peer, headers: &HeaderMap) -> (String, bool) {
    let judgement = rules.judge(peer, headers);
    let allowed = matches!(judgement.decision, Decision::Allowed { .. });
    let text = match (judgement.client, judgement.decision) {
        (Some(client), _) => client.to_string(),
        (None, Decision::Denied { reason, .. }) => reason.to_string(),
        (None, other) => format!("{other:?}"),
    };
    (text, allowed)
}
