//! Sockets that listen already when the process starts (`sd_listen_fds(3)`).

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::listener::Listener;

/// What the sockets are called that could be taken for each other.
const PUBLIC: &str = "public";
const ADMIN: &str = "admin";

/// The number of the first file that is handed over.
const FIRST: usize = 3;

/// The listeners that were handed over.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For pushes.
    pub public: Option<Listener>,
    /// For metrics, health and the API.
    pub admin: Option<Listener>,
}

/// Why what was handed over cannot be served on.
#[derive(Debug, thiserror::Error)]
pub enum WrongSocket {
    /// It is something else.
    #[error(
        "the inherited file {0} is no TCP socket ({1}); a socket unit needs ListenStream= with a \
         port, or with an address and a port"
    )]
    NoTcp(String, #[source] io::Error),
    /// It is one end of a connection.
    #[error(
        "the inherited socket {0} does not listen; a socket unit needs Accept=no, so that one \
         process serves all connections"
    )]
    NoListener(String),
    /// The system does not let it be used.
    #[error("the inherited socket {0} cannot be used")]
    Unusable(String, #[source] crate::listener::ListenError),
    /// There is nothing to serve on it.
    #[error(
        "{0} sockets were inherited, and there are two listeners: the public one and the admin \
         one; remove ListenStream= lines from the socket unit"
    )]
    TooMany(usize),
    /// Which is which is not clear.
    #[error(
        "two inherited sockets are called {0}; give them FileDescriptorName=public and \
         FileDescriptorName=admin"
    )]
    SameName(&'static str),
}

impl Sockets {
    /// Takes what was handed over; none is no error.
    pub(super) fn of_process(names: &[String]) -> Result<Self, WrongSocket> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Self::default();
        for (number, role) in roles(handed.len(), names)?.into_iter().enumerate() {
            let file = number + FIRST;
            let called = match names.get(number) {
                Some(name) => format!("{file} ({name})"),
                None => file.to_string(),
            };
            let socket = match handed.take_tcp_listener(number) {
                Ok(Some(socket)) => socket,
                Ok(None) => continue,
                Err(error) => return Err(WrongSocket::NoTcp(called, error)),
            };
            *sockets.place(role) = Some(listener(socket, called)?);
        }
        Ok(sockets)
    }

    fn place(&mut self, role: Role) -> &mut Option<Listener> {
        match role {
            Role::Public => &mut self.public,
            Role::Admin => &mut self.admin,
        }
    }
}

fn listener(socket: TcpListener, called: String) -> Result<Listener, WrongSocket> {
    if !socket_acceptconn(&socket).unwrap_or(false) {
        return Err(WrongSocket::NoListener(called));
    }
    Listener::from_std(socket).map_err(|error| WrongSocket::Unusable(called, error))
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Public,
    Admin,
}

/// What each of `count` sockets is for: what its name says; those whose name says nothing (systemd
/// calls them after their unit) are, in their order, the public one and the admin one.
fn roles(count: usize, names: &[String]) -> Result<Vec<Role>, WrongSocket> {
    if count > 2 {
        return Err(WrongSocket::TooMany(count));
    }
    let said = |number: usize| match names.get(number).map(String::as_str) {
        Some(PUBLIC) => Some(Role::Public),
        Some(ADMIN) => Some(Role::Admin),
        _ => None,
    };
    match (said(0), said(1)) {
        (Some(Role::Public), Some(Role::Public)) => Err(WrongSocket::SameName(PUBLIC)),
        (Some(Role::Admin), Some(Role::Admin)) => Err(WrongSocket::SameName(ADMIN)),
        (Some(Role::Admin), _) | (None, Some(Role::Public)) => Ok(vec![Role::Admin, Role::Public]),
        _ => Ok(vec![Role::Public, Role::Admin]),
    }
    .map(|roles| roles.into_iter().take(count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles_of(names: &[&str]) -> Vec<Role> {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        roles(names.len(), &owned).unwrap()
    }

    #[test]
    fn sockets_are_told_apart_by_name_and_without_one_by_their_order() {
        use Role::{Admin, Public};
        for (names, wanted) in [
            (vec![], vec![]),
            (vec!["flashduty-receiver.socket"], vec![Public]),
            (vec!["admin"], vec![Admin]),
            (vec!["public", "admin"], vec![Public, Admin]),
            (vec!["admin", "public"], vec![Admin, Public]),
            (vec!["x.socket", "x.socket"], vec![Public, Admin]),
            (vec!["admin", "x.socket"], vec![Admin, Public]),
            (vec!["x.socket", "admin"], vec![Public, Admin]),
            (vec!["x.socket", "public"], vec![Admin, Public]),
        ] {
            assert_eq!(roles_of(&names), wanted, "{names:?}");
        }
        assert_eq!(roles(2, &[]).unwrap(), [Public, Admin], "without any names");
    }

    #[test]
    fn sockets_that_cannot_be_told_apart_are_refused() {
        let same = ["admin".to_owned(), "admin".to_owned()];
        assert!(matches!(roles(2, &same), Err(WrongSocket::SameName(ADMIN))));
        assert!(matches!(roles(3, &[]), Err(WrongSocket::TooMany(3))));
    }
}
