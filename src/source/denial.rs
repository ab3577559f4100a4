//! Why a push was refused for its address, in a word for the log and in a sentence that says what
//! to change.

use std::fmt;
use std::net::IpAddr;

use super::forwarding::Unreadable;
use super::networks::{Networks, private_ranges};

/// A list that is set replaces the built-in one, and who adds an address must not lose the others.
pub const BESIDE: &str = "beside the addresses it holds now";

/// The kinds of refusal, as they stand in the log's `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer speaks for another address, and is no trusted proxy.
    PeerNotTrusted,
    /// A trusted proxy did not say for whom it speaks.
    HeaderMissing,
    /// What it said is no address.
    HeaderUnreadable,
    /// It named nothing but trusted proxies.
    OnlyProxies,
    /// The client is known, and not on the list.
    NotAllowed,
}

impl Reason {
    /// The word used in the log, such as `peer_not_trusted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PeerNotTrusted => "peer_not_trusted",
            Self::HeaderMissing => "header_missing",
            Self::HeaderUnreadable => "header_unreadable",
            Self::OnlyProxies => "only_proxies",
            Self::NotAllowed => "not_allowed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal with its facts. Displayed, it is the hint.
#[derive(Debug, Clone, Copy)]
pub(super) enum Denial<'h> {
    /// PROXY headers are required, and this peer's are not believed.
    ProxyNotTrusted {
        socket: IpAddr,
    },
    /// The peer is not listed but sent the forwarding header.
    SenderNotTrusted {
        peer: IpAddr,
        header: &'static str,
    },
    /// The connection has no address that could be judged.
    Unspecified {
        start: IpAddr,
    },
    Missing {
        peer: IpAddr,
        header: &'static str,
    },
    Unreadable {
        header: &'static str,
        /// Counted from the right, from 1.
        position: usize,
        element: Unreadable<'h>,
    },
    OnlyProxies {
        header: &'static str,
        peer: IpAddr,
        count: usize,
    },
    /// A trusted proxy counts as the client, because nothing may speak for another.
    ProxyItself {
        proxy: IpAddr,
        local: bool,
    },
    NotListed {
        client: IpAddr,
        /// It is the peer itself, and so perhaps a proxy nobody told us of.
        direct: bool,
        /// Only the sender, or who stole its secret, could have sent this.
        secret_right: bool,
    },
}

impl Denial<'_> {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::ProxyNotTrusted { .. } | Self::SenderNotTrusted { .. } => Reason::PeerNotTrusted,
            Self::Missing { .. } => Reason::HeaderMissing,
            Self::Unspecified { .. } | Self::Unreadable { .. } => Reason::HeaderUnreadable,
            Self::OnlyProxies { .. } => Reason::OnlyProxies,
            Self::ProxyItself { .. } | Self::NotListed { .. } => Reason::NotAllowed,
        }
    }
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ProxyNotTrusted { socket } => write!(
                f,
                "PROXY headers are required, and believed from source.trusted_proxies only, where peer {socket} is not; if it is your load balancer, add \"{socket}\" there"
            ),
            Self::SenderNotTrusted { peer, header } => write!(
                f,
                "peer {peer} sent {header} but is not in source.trusted_proxies; if it is your proxy, add \"{peer}\"{} there",
                or_private_ranges(peer)
            ),
            Self::Unspecified { start } => {
                write!(
                    f,
                    "the connection's source is {start}, which is nobody's address"
                )
            }
            Self::Missing { peer, header } => write!(
                f,
                "trusted proxy {peer} sent no {header}; let it add the header, or name the one it writes in source.client_ip_header"
            ),
            Self::Unreadable {
                header,
                position,
                element,
            } => {
                write!(f, "{header}, element {position} from the right: {element}")
            }
            Self::OnlyProxies {
                header,
                peer,
                count,
            } => write!(
                f,
                "{header} of peer {peer} names only addresses of source.trusted_proxies ({count}); either the outermost proxy does not add its client, or the client's network is trusted by mistake"
            ),
            Self::ProxyItself { proxy, local: true } => write!(
                f,
                "the PROXY header of {proxy} names no source (LOCAL or UNKNOWN), so the proxy itself is the client, and it is not in source.allow"
            ),
            Self::ProxyItself {
                proxy,
                local: false,
            } => write!(
                f,
                "trusted proxy {proxy} is itself the client, because source.client_ip_header is \"none\"; name the header it writes there"
            ),
            Self::NotListed {
                client,
                secret_right: true,
                ..
            } => write!(
                f,
                "{client} sent the right secret but is not in source.allow; if the sender has moved, add \"{client}\" there, {BESIDE}"
            ),
            Self::NotListed {
                client,
                direct: true,
                ..
            } if is_private(client) => write!(
                f,
                "{client} is not in source.allow; if it is your proxy, add \"{client}\" or \"private_ranges\" to source.trusted_proxies and let it send the header of source.client_ip_header"
            ),
            Self::NotListed { client, .. } => write!(
                f,
                "{client} is not in source.allow; add \"{client}\" there, {BESIDE}, only if it is an address of the sender"
            ),
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    Networks::new(private_ranges()).contains(address)
}

fn or_private_ranges(address: IpAddr) -> &'static str {
    if is_private(address) {
        " or \"private_ranges\""
    } else {
        ""
    }
}
