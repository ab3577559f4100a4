//! The lines that whoever connects can provoke, few of each kind.

use std::io;
use std::net::IpAddr;

use super::proxied::HeaderError;
use super::seats::{Class, stranger_share};
use super::throttle::Throttle;

#[derive(Debug, Default)]
pub(super) struct Complaints {
    header: Throttle,
    untrusted: Throttle,
    evicted: Throttle,
    full: Throttle,
    accept: Throttle,
}

impl Complaints {
    /// A connection that should begin with a PROXY header does not.
    pub(super) fn header(&self, socket: IpAddr, error: &HeaderError) {
        let cause = match error {
            // A probe that only connects, or a client that went away: nothing to tell anybody.
            HeaderError::Closed { after_bytes: 0 } | HeaderError::Io(_) => return,
            HeaderError::Closed { .. } => error.to_string(),
            HeaderError::Refused(cause) => cause.to_string(),
        };
        if let Some(silenced) = self.header.pass() {
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                cause,
                "connection refused: no PROXY protocol header, which \
                 source.proxy_protocol requires"
            );
        }
    }

    /// A peer from which no PROXY header would be believed.
    pub(super) fn untrusted(&self, socket: IpAddr) {
        if let Some(silenced) = self.untrusted.pass() {
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                "connection refused: peer {socket} is not in source.trusted_proxies, and \
                 source.proxy_protocol takes connections from those only"
            );
        }
    }

    /// Room was made.
    pub(super) fn evicted(&self) {
        if let Some(silenced) = self.evicted.pass() {
            tracing::warn!(
                silenced,
                "connection limit reached: the connection longest without a request was closed"
            );
        }
    }

    /// There was no room, and none could be made.
    pub(super) fn full(&self, socket: IpAddr, class: Class, max_connections: usize) {
        if let Some(silenced) = self.full.pass() {
            let limit = if class == Class::Stranger {
                stranger_share(max_connections)
            } else {
                max_connections
            };
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                limit,
                "connection refused: all connections are in use; raise server.max_connections"
            );
        }
    }

    /// The system had nothing left for one more connection.
    pub(super) fn accept(&self, error: &io::Error, made_room: bool) {
        if let Some(silenced) = self.accept.pass() {
            tracing::error!(
                silenced,
                made_room,
                "cannot accept connections: {error}; raise the limit of open files \
                 (ulimit -n) above server.max_connections"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use crate::source::proxy::ProxyError;

    #[test]
    fn who_is_refused_for_the_proxy_protocol_is_told_the_key_that_says_so() {
        let (lines, _guard) = Lines::begin();
        let complaints = Complaints::default();
        let socket = IpAddr::from([192, 0, 2, 1]);
        complaints.header(socket, &HeaderError::Refused(ProxyError::Missing));
        complaints.untrusted(socket);
        let told = lines.all();
        assert!(told.contains("source.proxy_protocol requires"), "{told}");
        assert!(told.contains("source.proxy_protocol takes"), "{told}");
    }
}
