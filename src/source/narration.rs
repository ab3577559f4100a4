//! The judging of a push, step by step, for whoever wants to listen.
//!
//! The decision and its explanation are one piece of code: it reports each step to an observer,
//! and the one used for real pushes does nothing.

use std::fmt;
use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;

use super::denial::Denial;
use super::networks::Block;
use super::secrets::Match;

/// Hears of each step as it is taken.
pub(super) trait Observer {
    fn step(&mut self, step: Step<'_>);
}

/// For real pushes: compiles to nothing.
pub(super) struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: Step<'_>) {}
}

/// Writes each step down as a sentence.
#[derive(Default)]
pub(super) struct Narrator {
    pub(super) sentences: Vec<String>,
}

impl Observer for Narrator {
    fn step(&mut self, step: Step<'_>) {
        self.sentences.push(step.to_string());
    }
}

/// One step, with its facts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'s> {
    Connected {
        socket: IpAddr,
    },
    Proxied {
        socket: IpAddr,
        block: &'s IpNet,
        source: Option<IpAddr>,
    },
    StartIsClient {
        start: IpAddr,
    },
    NoHeaderRead {
        start: IpAddr,
    },
    HeaderBelieved {
        start: IpAddr,
        block: &'s IpNet,
        header: &'static str,
    },
    Element {
        position: usize,
        address: IpAddr,
        block: Option<&'s IpNet>,
    },
    Allowed {
        client: IpAddr,
        block: &'s IpNet,
    },
    NotAllowed {
        client: IpAddr,
    },
    /// Where the secret decides; else the decision itself tells it.
    NoClient {
        denial: &'s Denial<'s>,
    },
    NoSecrets,
    Secret {
        header: &'s HeaderName,
        values: usize,
        found: Match,
    },
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Connected { socket } => write!(f, "the connection comes from {socket}"),
            Self::Proxied {
                socket,
                block,
                source,
            } => {
                let block = Block(block);
                write!(
                    f,
                    "{socket} is trusted ({block}), and its PROXY header names "
                )?;
                match source {
                    Some(source) => write!(f, "{source} as the source"),
                    None => write!(f, "no source (LOCAL or UNKNOWN)"),
                }
            }
            Self::StartIsClient { start } => write!(
                f,
                "{start} is not in source.trusted_proxies, so it is the client and no forwarding header is read"
            ),
            Self::NoHeaderRead { start } => write!(
                f,
                "source.client_ip_header is \"none\", so {start} is the client"
            ),
            Self::HeaderBelieved {
                start,
                block,
                header,
            } => {
                let block = Block(block);
                write!(
                    f,
                    "{start} is trusted ({block}), so {header} is read from the right"
                )
            }
            Self::Element {
                position,
                address,
                block: Some(block),
            } => {
                let block = Block(block);
                write!(
                    f,
                    "element {position} from the right is {address}, trusted ({block})"
                )
            }
            Self::Element {
                position,
                address,
                block: None,
            } => write!(
                f,
                "element {position} from the right is {address}, not trusted: this is the client, and what stands left of it is not read"
            ),
            Self::Allowed { client, block } => {
                write!(f, "{client} is in source.allow ({})", Block(block))
            }
            Self::NotAllowed { client } => write!(f, "{client} is not in source.allow"),
            Self::NoSecrets => write!(f, "no secret is asked for"),
            Self::NoClient { denial } => write!(f, "no client can be made out: {denial}"),
            Self::Secret {
                header,
                values,
                found,
            } => write!(f, "{header} {}", found.words(values)),
        }
    }
}

impl Match {
    fn words(self, values: usize) -> &'static str {
        match (self, values) {
            (Self::Right, 1) => "holds its value",
            (Self::Right, _) => "holds one of its values",
            (Self::Missing, _) => "is missing",
            (Self::Wrong, 1) => "does not hold its value",
            (Self::Wrong, _) => "holds none of its values",
            (Self::Repeated, _) => "came more than once, which is refused",
        }
    }
}
