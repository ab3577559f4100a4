//! What the configuration says about sources, and which of it is refused or warned of at start.

use std::net::Ipv4Addr;

use http::HeaderName;
use ipnet::IpNet;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::networks::{Block, Networks};

/// Secrets shorter than this draw a warning: 16 random bytes in any spelling are longer.
const SHORT_SECRET_BYTES: usize = 16;

/// The addresses Flashduty publishes as those it pushes from. They may change.
pub const PUBLISHED: [Ipv4Addr; 4] = [
    Ipv4Addr::new(47, 94, 95, 118),
    Ipv4Addr::new(123, 56, 8, 183),
    Ipv4Addr::new(47, 94, 193, 81),
    Ipv4Addr::new(1, 13, 19, 96),
];

/// The `[source]` section, read but not yet checked as a whole.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Addresses the sender pushes from.
    pub allow: Vec<IpNet>,
    /// What keeps strangers out.
    pub enforce: Enforce,
    /// Peers whose forwarding header (or PROXY header) is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The one forwarding header that is read.
    pub client_ip_header: ClientIpHeader,
    /// Whether every connection must begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Values of `token_header`, any of which will do; empty: no such secret.
    pub tokens: Vec<SecretString>,
    /// Where the token is expected.
    pub token_header: HeaderName,
    /// More headers that must match, each with the values that will do.
    pub headers: Vec<(HeaderName, Vec<SecretString>)>,
}

/// What keeps strangers out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Enforce {
    /// The address must be listed, and the secret right where there is one.
    #[default]
    Address,
    /// The secret must be right; an unlisted address only warns.
    Secret,
}

/// The header in which a trusted proxy names its own peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientIpHeader {
    /// The de-facto list; each proxy appends its peer.
    #[default]
    XForwardedFor,
    /// RFC 7239; each proxy appends an element.
    Forwarded,
    /// One address, overwritten by the proxy.
    XRealIp,
    /// No header is believed: the connection's address is the client.
    None,
}

impl ClientIpHeader {
    /// As it is spelled on the wire and in messages; `None` when no header is read.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::XForwardedFor => Some("X-Forwarded-For"),
            Self::Forwarded => Some("Forwarded"),
            Self::XRealIp => Some("X-Real-IP"),
            Self::None => None,
        }
    }
}

/// Why a `[source]` section cannot work; [`SourceOptionsError::key`] says where to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceOptionsError {
    /// Nobody could push.
    #[error("no address is allowed, so every push would be refused: list the sender's addresses")]
    NoAllowed,
    /// Anybody could push.
    #[error(
        "enforce = \"secret\" without a secret would let anybody push: set source.token or source.headers"
    )]
    NoSecret,
    /// Anybody could name any address as theirs.
    #[error("{block} is trusted as a whole: list the addresses of your own proxies only")]
    TrustsEverything {
        /// `0.0.0.0/0` or `::/0`.
        block: IpNet,
    },
    /// The walk would look past the sender itself, and believe what it says of others.
    #[error(
        "{} overlaps {} in source.allow: an address is either a proxy or the sender, narrow one of them",
        Block(trusted),
        Block(allowed)
    )]
    TrustsAllowed {
        /// The block of `trusted_proxies`.
        trusted: IpNet,
        /// The block of `allow`.
        allowed: IpNet,
    },
    /// Every connection would be closed.
    #[error(
        "proxy_protocol = \"required\" is accepted from source.trusted_proxies only, and there is none: list the load balancer"
    )]
    NoProxies,
    /// Requests carry this header for a purpose of their own, or proxies drop it.
    #[error("{header} cannot carry a secret: pick a name of your own, such as X-Flashduty-Token")]
    UnfitHeader {
        /// The header.
        header: HeaderName,
        /// Where it was named.
        key: &'static str,
    },
    /// Two lists of values for one header contradict each other.
    #[error("{header} is listed twice: give all of its values in one place")]
    RepeatedHeader {
        /// The header.
        header: HeaderName,
    },
    /// No request could match.
    #[error("{header} has no value that would match: give at least one, or leave it out")]
    NoValue {
        /// The header.
        header: HeaderName,
    },
    /// A value that is empty, or that no header can carry as it is.
    #[error(
        "value {position} of {header} {fault}: use visible characters, without blanks at either end"
    )]
    UnfitValue {
        /// The header.
        header: HeaderName,
        /// Counted from 1; the value itself is never shown.
        position: usize,
        /// What is wrong with it.
        fault: &'static str,
        /// Where it was given.
        key: &'static str,
    },
}

impl SourceOptionsError {
    /// The configuration key that has to change, such as `source.trusted_proxies`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoAllowed => "source.allow",
            Self::NoSecret => "source.enforce",
            Self::TrustsEverything { .. } | Self::TrustsAllowed { .. } => "source.trusted_proxies",
            Self::NoProxies => "source.proxy_protocol",
            Self::UnfitHeader { key, .. } | Self::UnfitValue { key, .. } => key,
            Self::RepeatedHeader { .. } | Self::NoValue { .. } => "source.headers",
        }
    }
}

impl SourceOptions {
    /// All secret headers with their values, the token's first.
    pub(super) fn secrets(&self) -> Vec<(HeaderName, Vec<SecretString>)> {
        let token =
            (!self.tokens.is_empty()).then(|| (self.token_header.clone(), self.tokens.clone()));
        token.into_iter().chain(self.headers.clone()).collect()
    }

    /// Refuses what contradicts itself or opens the door to everybody.
    pub(super) fn check(&self) -> Result<(), SourceOptionsError> {
        let allow = Networks::new(self.allow.clone());
        let trusted = Networks::new(self.trusted_proxies.clone());
        if allow.is_empty() && self.enforce == Enforce::Address {
            return Err(SourceOptionsError::NoAllowed);
        }
        if self.enforce == Enforce::Secret && self.secrets().is_empty() {
            return Err(SourceOptionsError::NoSecret);
        }
        if let Some(block) = trusted.whole_family() {
            return Err(SourceOptionsError::TrustsEverything { block });
        }
        if let Some((&trusted, &allowed)) = trusted.overlap(&allow) {
            return Err(SourceOptionsError::TrustsAllowed { trusted, allowed });
        }
        if self.proxy_protocol && trusted.is_empty() {
            return Err(SourceOptionsError::NoProxies);
        }
        self.check_secrets()
    }

    fn check_secrets(&self) -> Result<(), SourceOptionsError> {
        let token = (!self.tokens.is_empty()).then_some((&self.token_header, &self.tokens));
        if let Some((name, values)) = token {
            check_header(name, "source.token_header")?;
            check_values(name, values, "source.token")?;
        }
        let mut seen: Vec<&HeaderName> = token.iter().map(|(name, _)| *name).collect();
        for (name, values) in &self.headers {
            check_header(name, "source.headers")?;
            if seen.contains(&name) {
                let header = name.clone();
                return Err(SourceOptionsError::RepeatedHeader { header });
            }
            check_values(name, values, "source.headers")?;
            seen.push(name);
        }
        Ok(())
    }

    /// What works but is probably not meant, one sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let secrets = self.secrets();
        if secrets.is_empty() {
            warnings.push(
                "no secret is set: the sender's addresses are shared by all of its customers, any of whom can push here; set source.token and send it as a custom header"
                    .to_owned(),
            );
        }
        for (header, values) in &secrets {
            let short = |value: &&SecretString| value.expose_secret().len() < SHORT_SECRET_BYTES;
            if values.iter().any(|value| short(&value)) {
                warnings.push(format!(
                    "a value of {header} is shorter than {SHORT_SECRET_BYTES} bytes and can be guessed; take a random one"
                ));
            }
        }
        let allow = Networks::new(self.allow.clone());
        if let Some(block) = allow.whole_family() {
            warnings.push(format!(
                "source.allow holds {block}, so addresses keep nobody out"
            ));
        }
        if !PUBLISHED.into_iter().any(|at| allow.contains(at.into())) {
            warnings.push(self.without_the_sender());
        }
        match (self.client_ip_header.header(), self.trusted_proxies.is_empty()) {
            (None, false) if !self.proxy_protocol => warnings.push(
                "source.trusted_proxies has no effect: client_ip_header is \"none\" and proxy_protocol is \"off\""
                    .to_owned(),
            ),
            // X-Forwarded-For is the default, so it says nothing about what was meant.
            (Some(header), true) if self.client_ip_header != ClientIpHeader::default() => {
                warnings.push(format!(
                    "{header} is never read: source.trusted_proxies is empty, so no peer is believed"
                ));
            }
            _ => {}
        }
        warnings
    }

    /// What comes of a list that somebody meant to add to, and replaced.
    fn without_the_sender(&self) -> String {
        let effect = match self.enforce {
            Enforce::Address => "pushes from these are not let in",
            Enforce::Secret => "pushes from these are let in by their secret, and warned of",
        };
        let published = PUBLISHED.map(|address| format!("\"{address}\"")).join(", ");
        format!(
            "source.allow takes the place of the built-in list and holds none of the addresses that \
             Flashduty publishes, so {effect}; list them beside your own: {published}"
        )
    }
}

/// Refuses names that HTTP itself or a proxy in between writes or removes.
fn check_header(name: &HeaderName, key: &'static str) -> Result<(), SourceOptionsError> {
    const TAKEN: [&str; 16] = [
        // Hop-by-hop, RFC 9110 section 7.6.1 and what older proxies add to it.
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        // Message framing and addressing.
        "content-encoding",
        "content-length",
        "expect",
        "host",
        // Who the client is.
        "forwarded",
        "x-forwarded-for",
        "x-real-ip",
    ];
    if TAKEN.contains(&name.as_str()) {
        let header = name.clone();
        return Err(SourceOptionsError::UnfitHeader { header, key });
    }
    Ok(())
}

fn check_values(
    name: &HeaderName,
    values: &[SecretString],
    key: &'static str,
) -> Result<(), SourceOptionsError> {
    if values.is_empty() {
        let header = name.clone();
        return Err(SourceOptionsError::NoValue { header });
    }
    for (index, value) in values.iter().enumerate() {
        let value = value.expose_secret();
        let fault = if value.trim().is_empty() {
            "is empty"
        } else if value.trim_matches([' ', '\t']) != value {
            "has a blank at its end or its beginning, which HTTP removes"
        } else if value.chars().any(char::is_control) {
            "holds a control character, such as a line break"
        } else {
            continue;
        };
        return Err(SourceOptionsError::UnfitValue {
            header: name.clone(),
            position: index + 1,
            fault,
            key,
        });
    }
    Ok(())
}
