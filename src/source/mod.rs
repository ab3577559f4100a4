//! Who may push: from the connection and its headers to the client's address, and from there,
//! with the secret, to a decision.
//!
//! All of it is pure: no I/O, no clock, no configuration lookup. Addresses are canonical wherever
//! they are compared: `::ffff:a.b.c.d` is the IPv4 address `a.b.c.d`.

pub mod proxy;

use std::net::IpAddr;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The socket's remote address.
    pub socket: IpAddr,
    /// The source a PROXY header named; `None` when it named none (`LOCAL`, `UNKNOWN`), or when
    /// the protocol is off.
    pub proxied: Option<IpAddr>,
}

impl Peer {
    /// Makes both addresses canonical.
    pub fn new(socket: IpAddr, proxied: Option<IpAddr>) -> Self {
        Self {
            socket: socket.to_canonical(),
            proxied: proxied.map(|address| address.to_canonical()),
        }
    }
}

/// What may be said of a connection before its first byte, for the cap on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An allowed address, or a proxy that may speak for one.
    MayPush,
    /// Nothing it could send would be accepted.
    Stranger,
}
