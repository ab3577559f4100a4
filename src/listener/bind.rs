//! Opening the listening socket.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

const BACKLOG: i32 = 4096;

/// Why there is no listening socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another socket listens there.
    #[error("{0} is in use; stop the program that listens there or choose another port")]
    InUse(SocketAddr, #[source] io::Error),
    /// The port is kept for root.
    #[error(
        "port {port} of {address} is kept for root; use 1024 or above, or grant \
         CAP_NET_BIND_SERVICE",
        port = .0.port(),
        address = .0.ip(),
    )]
    Privileged(SocketAddr, #[source] io::Error),
    /// No interface has the address.
    #[error("{0} is no address of this machine; use one it has, or 0.0.0.0 for all of them")]
    NotHere(SocketAddr, #[source] io::Error),
    /// The machine has IPv6 turned off.
    #[error("cannot listen on {0}: this machine has no IPv6; use 0.0.0.0 instead of [::]")]
    NoIpv6(SocketAddr, #[source] io::Error),
    /// Anything else the system says.
    #[error("cannot listen on {0}")]
    Other(SocketAddr, #[source] io::Error),
    /// A socket handed over by someone else does not work.
    #[error("the inherited listening socket cannot be used")]
    Inherited(#[source] io::Error),
}

impl ListenError {
    pub(super) fn of(address: SocketAddr, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::ADDRINUSE) => Self::InUse(address, error),
            Some(Errno::ACCESS | Errno::PERM) => Self::Privileged(address, error),
            Some(Errno::ADDRNOTAVAIL) => Self::NotHere(address, error),
            Some(Errno::AFNOSUPPORT) if address.is_ipv6() => Self::NoIpv6(address, error),
            _ => Self::Other(address, error),
        }
    }
}

/// Binds and listens.
pub(super) fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether a listener could be bound to `address` now. Nothing listens there meanwhile, so nobody
/// connects to it, and who binds at the same moment is not kept from it.
///
/// # Errors
/// Why it could not.
pub fn try_bind(address: SocketAddr) -> Result<(), ListenError> {
    let bound = bound(address).map(drop);
    bound.map_err(|error| ListenError::of(address, error))
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of the previous process in TIME_WAIT must not delay a restart.
    socket.set_reuse_address(true)?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sets what accepted sockets inherit, so that accepting needs no call for each.
pub(super) fn configure(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    SockRef::from(socket).set_tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = ListenError::of(address, open(address).unwrap_err());
        assert!(matches!(error, ListenError::InUse(..)));
        assert_eq!(
            error.to_string(),
            format!(
                "{address} is in use; stop the program that listens there or choose another port"
            ),
        );
    }

    #[test]
    fn whether_a_port_could_be_bound_is_found_out_without_listening() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = try_bind(address).unwrap_err();
        assert!(matches!(refused, ListenError::InUse(..)), "{refused}");
        drop(taken);
        try_bind(address).unwrap();
        std::net::TcpStream::connect(address).unwrap_err();
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let said = |errno: Errno, address: &str| {
            ListenError::of(address.parse().unwrap(), errno.into()).to_string()
        };
        insta::assert_snapshot!(
            said(Errno::ACCESS, "0.0.0.0:80"),
            @"port 80 of 0.0.0.0 is kept for root; use 1024 or above, or grant CAP_NET_BIND_SERVICE"
        );
        insta::assert_snapshot!(
            said(Errno::ADDRNOTAVAIL, "192.0.2.1:8080"),
            @"192.0.2.1:8080 is no address of this machine; use one it has, or 0.0.0.0 for all of them"
        );
        insta::assert_snapshot!(
            said(Errno::AFNOSUPPORT, "[::]:8080"),
            @"cannot listen on [::]:8080: this machine has no IPv6; use 0.0.0.0 instead of [::]"
        );
        insta::assert_snapshot!(said(Errno::NOBUFS, "0.0.0.0:1"), @"cannot listen on 0.0.0.0:1");
    }

    #[test]
    fn sockets_inherit_no_delay() {
        let listener = open("127.0.0.1:0".parse().unwrap()).unwrap();
        configure(&listener).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn the_unspecified_ipv6_address_takes_ipv4_too() {
        let Ok(listener) = open("[::]:0".parse().unwrap()) else {
            return; // A machine without IPv6 has nothing to show here.
        };
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
