//! How many connections the limit of open files leaves room for.
//!
//! Who has to make room is a question of class and of time waited, and that can only be asked
//! while a new connection can still be accepted. So the cap stays below what the system allows.

use rustix::process::{Resource, getrlimit};

/// What the process itself holds open: two dozen for sockets, runtime, log and store, and some to
/// spare for a check of the store, a changed file, and connections that are being closed.
const OWN: usize = 40;

/// What the admin port gets, as far as there is room.
const ADMIN: usize = 256;

/// What both ports are served with whatever the limit is; below this something has to fail.
const LEAST_PUBLIC: usize = 10;
const LEAST_ADMIN: usize = 4;

/// Connections that may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) public: usize,
    pub(super) admin: usize,
}

/// The limit in force; the start has raised it as far as it may. `None`: there is none.
pub(super) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// What `limit` leaves of the `wanted` public connections.
pub(super) fn room(limit: Option<u64>, wanted: usize) -> Room {
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let left = limit.saturating_sub(OWN);
    let admin = (left / 8).clamp(LEAST_ADMIN, ADMIN);
    let public = left.saturating_sub(admin).max(LEAST_PUBLIC).min(wanted);
    Room { public, admin }
}

/// Public connections that may be open at once, `wanted` at most, where so many files may be.
pub fn public_connections(limit: Option<u64>, wanted: usize) -> usize {
    room(limit, wanted).public
}

/// The limit of open files that leaves room for all `wanted` public connections.
pub fn files_for(wanted: usize) -> usize {
    wanted.saturating_add(OWN + ADMIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_many_as_wanted_and_never_more_than_files() {
        for (limit, wanted, public, admin) in [
            (None, 4096, 4096, 256),
            (Some(u64::MAX), 1_000_000, 1_000_000, 256),
            (Some(1 << 20), 4096, 4096, 256),
            (Some(4392), 4096, 4096, 256),
            (Some(4096), 4096, 3800, 256),
            (Some(1024), 4096, 861, 123),
            (Some(1024), 100, 100, 123),
            (Some(64), 4096, 20, 4),
            (Some(20), 4096, 10, 4),
            (Some(0), 10, 10, 4),
        ] {
            assert_eq!(room(limit, wanted), Room { public, admin }, "{limit:?}");
        }
    }

    #[test]
    fn with_the_limit_that_is_named_there_is_room_for_all_of_them() {
        for wanted in [10, 100, 2_000, 4_096, 1_000_000] {
            let limit = u64::try_from(files_for(wanted)).unwrap();
            assert_eq!(public_connections(Some(limit), wanted), wanted);
        }
        assert_eq!(public_connections(Some(1024), 4_096), 861);
    }
}
