//! A second reading of the forwarding headers, written as differently as can be: everything is
//! parsed first, from the left, into lists; then the list is searched.
//!
//! It can say only what well-formed headers mean. That is the point: on those the two must agree.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::super::{ClientIpHeader, parse_trusted};
use super::{TRUSTED, words};

/// What an element says: an address, or something without one.
type Element = Option<IpAddr>;

/// The client by the naive reading: its address, a reason, or nothing when the header is not
/// well-formed as a whole.
pub(super) fn client(header: ClientIpHeader, instances: &[String]) -> Option<String> {
    let elements = match header {
        ClientIpHeader::Forwarded => {
            let lists: Option<Vec<_>> = instances.iter().map(|line| forwarded(line)).collect();
            lists?.concat()
        }
        _ => {
            let joined = instances.join(",");
            let parts = joined.split(',').filter(|_| !instances.is_empty());
            parts.map(|part| address(part.trim(), true)).collect()
        }
    };
    if elements.is_empty() {
        return Some("header_missing".to_owned());
    }
    let trusted = parse_trusted(&words(&TRUSTED)).unwrap();
    let is_proxy =
        |element: &Element| element.is_some_and(|ip| trusted.iter().any(|net| net.contains(&ip)));
    let others: Vec<_> = elements
        .into_iter()
        .filter(|element| !is_proxy(element))
        .collect();
    Some(match others.last() {
        None => "only_proxies".to_owned(),
        Some(None) => "header_unreadable".to_owned(),
        Some(Some(ip)) => ip.to_string(),
    })
}

/// An address by the standard library's own notions of addresses with and without ports.
fn address(text: &str, bare_ipv6: bool) -> Element {
    let port = text.rsplit_once(':').map_or("", |(_, port)| port);
    let bare = || {
        text.parse::<IpAddr>()
            .ok()
            .filter(|ip| bare_ipv6 || ip.is_ipv4())
    };
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let with_port = || {
        let known = port.len() <= 5 && !port.contains('+');
        // The port may be obfuscated, or too large for a port; only the address matters.
        let obfuscated = !bare_ipv6
            && port.len() > 1
            && port.starts_with('_')
            && port
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let digits = known && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        if !digits && !obfuscated {
            return None;
        }
        let host = text.strip_suffix(port)?;
        let socket: SocketAddr = format!("{host}1").parse().ok()?;
        Some(socket.ip())
    };
    let ip = bare().or_else(bracketed).or_else(with_port)?;
    let ip = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    (!ip.is_unspecified()).then_some(ip)
}

/// Where a reader from the left stands in a header.
enum State {
    Name,
    Bare,
    Quoted,
    Escape,
    /// Behind a closing quote.
    Closed,
}

/// The elements of a `Forwarded` line, or nothing when its grammar is broken.
fn forwarded(line: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut pairs: Vec<(String, String)> = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    let mut state = State::Name;
    for c in line.chars().chain([',']) {
        state = match (state, c) {
            (State::Quoted, '\\') => State::Escape,
            (State::Quoted, '"') => State::Closed,
            (State::Quoted | State::Escape, c) => {
                value.push(c);
                State::Quoted
            }
            (State::Name, '=') => State::Bare,
            (State::Bare, '"') if value.is_empty() => State::Quoted,
            (State::Name, ',' | ';') if !name.trim().is_empty() => return None,
            (before, ',' | ';') => {
                if matches!(before, State::Bare) {
                    value.truncate(value.trim_end_matches([' ', '\t']).len());
                    if value.contains([' ', '\t']) {
                        return None;
                    }
                }
                if !matches!(before, State::Name) {
                    pairs.push((std::mem::take(&mut name), std::mem::take(&mut value)));
                }
                if c == ',' {
                    elements.push(element(&std::mem::take(&mut pairs))?);
                }
                State::Name
            }
            (State::Name, '"' | '\\') | (State::Bare, '"' | '\\' | '=') => return None,
            (State::Name, c) => {
                name.push(c);
                State::Name
            }
            (State::Bare, c) => {
                value.push(c);
                State::Bare
            }
            (State::Closed, ' ' | '\t') => State::Closed,
            (State::Closed, _) => return None,
        };
    }
    matches!(state, State::Name).then_some(elements)
}

/// What the pairs of one element say, or nothing when one of them is broken.
fn element(pairs: &[(String, String)]) -> Option<Element> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let mut fors = Vec::new();
    for (name, value) in pairs {
        let name = name.trim_start_matches([' ', '\t']);
        if name.is_empty() || !name.chars().all(token) {
            return None;
        }
        if name.to_lowercase() == "for" {
            fors.push(value);
        }
    }
    Some(match fors[..] {
        [value] => address(value, false),
        _ => None,
    })
}
