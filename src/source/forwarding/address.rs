//! One address as proxies write it: with or without a port, IPv6 in brackets or (outside of
//! RFC 7239) bare.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is wrong with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Empty,
    NotAnAddress,
    /// `unknown`, RFC 7239 section 6.2.
    Unknown,
    /// `_hidden`, RFC 7239 section 6.3.
    Obfuscated,
    /// `0.0.0.0` or `::`, which nobody can connect from.
    Unspecified,
    /// The element has no `for` parameter.
    NoFor,
    /// The element has two.
    TwoFors,
    /// It breaks the grammar of RFC 7239 section 4.
    Malformed,
    /// A header that stands for one address came more than once.
    Repeated,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::NotAnAddress => "is no IP address",
            Self::Unknown => "says that the address is unknown",
            Self::Obfuscated => "hides the address",
            Self::Unspecified => "is the unspecified address",
            Self::NoFor => "has no \"for\" parameter",
            Self::TwoFors => "has two \"for\" parameters",
            Self::Malformed => "is malformed (RFC 7239)",
            Self::Repeated => "is only one of several instances of the header",
        })
    }
}

/// An element of `X-Forwarded-For` or `X-Real-IP`: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:80` (Azure and ALB add ports). Canonical.
pub(super) fn plain(text: &[u8]) -> Result<IpAddr, Fault> {
    if let Some(address) = str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<IpAddr>().ok())
    {
        return usable(address);
    }
    with_port(text, is_port)
}

/// A node of RFC 7239 section 6: IPv6 needs its brackets, a port may be obfuscated. Canonical.
pub(super) fn node(text: &[u8]) -> Result<IpAddr, Fault> {
    with_port(text, |port| is_port(port) || is_obfuscated(port))
}

fn with_port(text: &[u8], port_fits: impl Fn(&[u8]) -> bool) -> Result<IpAddr, Fault> {
    let (host, port) = match text.iter().rposition(|&byte| byte == b':') {
        // Inside the brackets a colon belongs to the address.
        Some(colon) if !text[colon..].contains(&b']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    if port.is_some_and(|port| !port_fits(port)) {
        return Err(Fault::NotAnAddress);
    }
    let inner = host
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let address = match inner {
        Some(inner) => parse::<Ipv6Addr>(inner).map(IpAddr::V6),
        None => parse::<Ipv4Addr>(host).map(IpAddr::V4),
    };
    match address {
        Some(address) => usable(address),
        None if text.is_empty() => Err(Fault::Empty),
        None if host.eq_ignore_ascii_case(b"unknown") => Err(Fault::Unknown),
        None if is_obfuscated(host) => Err(Fault::Obfuscated),
        None => Err(Fault::NotAnAddress),
    }
}

fn usable(address: IpAddr) -> Result<IpAddr, Fault> {
    let address = address.to_canonical();
    if address.is_unspecified() {
        return Err(Fault::Unspecified);
    }
    Ok(address)
}

/// The standard parsers refuse leading zeros (octal elsewhere) and zone ids (local to a host).
fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn is_port(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

fn is_obfuscated(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text {
        [b'_', name @ ..] => !name.is_empty() && name.iter().all(allowed),
        _ => false,
    }
}
