//! From the connection to the client: the walk over trusted proxies.
//!
//! It begins at the connection's source. While an address is a trusted proxy, the next element of
//! the one configured header, from the right, says who was behind it; the first address that is
//! none is the client, and what stands left of it is not looked at. Whatever leaves a doubt on the
//! way refuses.

use std::net::IpAddr;

use http::HeaderMap;

use super::Peer;
use super::denial::Denial;
use super::forwarding::{self, Unreadable};
use super::narration::{Observer, Step};
use super::networks::Networks;
use super::options::ClientIpHeader;

/// Whom to believe, and what to read.
#[derive(Debug)]
pub(super) struct TrustWalk {
    pub(super) trusted: Networks,
    pub(super) header: ClientIpHeader,
    pub(super) proxy_protocol: bool,
}

/// Where the walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) found: Found,
}

/// How the client was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is the connection's source, and no trusted proxy.
    Direct,
    /// It is a trusted proxy whose PROXY header named no source.
    Local,
    /// It is a trusted proxy, and no forwarding header is read.
    NoHeader,
    /// The forwarding header named it.
    Header,
}

impl TrustWalk {
    pub(super) fn run<'h>(
        &self,
        peer: &Peer,
        headers: &'h HeaderMap,
        observer: &mut impl Observer,
    ) -> Result<Client, Denial<'h>> {
        let start = self.start(peer, observer)?;
        let address = start;
        let block = match self.trusted.find(start) {
            // A proxy that does not say whom it accepted the connection from, does not say either
            // whether that one may be believed.
            Some(_) if self.proxy_protocol && peer.proxied.is_none() => {
                let found = Found::Local;
                return Ok(Client { address, found });
            }
            Some(block) => block,
            None => {
                observer.step(Step::StartIsClient { start });
                let found = Found::Direct;
                return Ok(Client { address, found });
            }
        };
        let Some(header) = self.header.header() else {
            observer.step(Step::NoHeaderRead { start });
            let found = Found::NoHeader;
            return Ok(Client { address, found });
        };
        observer.step(Step::HeaderBelieved {
            start,
            block,
            header,
        });
        let hops = Hops { start, header };
        let address = match self.header {
            ClientIpHeader::XForwardedFor => {
                self.follow(hops, forwarding::x_forwarded_for(headers), observer)
            }
            ClientIpHeader::Forwarded => {
                self.follow(hops, forwarding::forwarded(headers), observer)
            }
            ClientIpHeader::XRealIp => self.follow(hops, forwarding::x_real_ip(headers), observer),
            ClientIpHeader::None => Ok(start),
        }?;
        let found = Found::Header;
        Ok(Client { address, found })
    }

    /// The connection's source: the socket's address, or what a believed PROXY header says.
    fn start(&self, peer: &Peer, observer: &mut impl Observer) -> Result<IpAddr, Denial<'static>> {
        let socket = peer.socket.to_canonical();
        observer.step(Step::Connected { socket });
        let mut start = socket;
        if self.proxy_protocol {
            let Some(block) = self.trusted.find(socket) else {
                return Err(Denial::ProxyNotTrusted { socket });
            };
            let source = peer.proxied.map(|source| source.to_canonical());
            observer.step(Step::Proxied {
                socket,
                block,
                source,
            });
            start = source.unwrap_or(socket);
        }
        if start.is_unspecified() {
            return Err(Denial::Unspecified { start });
        }
        Ok(start)
    }

    fn follow<'h>(
        &self,
        hops: Hops,
        addresses: impl Iterator<Item = Result<IpAddr, Unreadable<'h>>>,
        observer: &mut impl Observer,
    ) -> Result<IpAddr, Denial<'h>> {
        let Hops { start, header } = hops;
        let mut count = 0;
        for (index, address) in addresses.enumerate() {
            let position = index + 1;
            let address = address.map_err(|element| Denial::Unreadable {
                header,
                position,
                element,
            })?;
            let block = self.trusted.find(address);
            observer.step(Step::Element {
                position,
                address,
                block,
            });
            if block.is_none() {
                return Ok(address);
            }
            count = position;
        }
        let peer = start;
        if count == 0 {
            return Err(Denial::Missing { peer, header });
        }
        Err(Denial::OnlyProxies {
            header,
            peer,
            count,
        })
    }
}

/// What a walk over a header begins with.
#[derive(Debug, Clone, Copy)]
struct Hops {
    start: IpAddr,
    header: &'static str,
}
