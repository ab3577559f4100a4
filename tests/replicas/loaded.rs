//! A load on two replicas of which each push has to be answered, and has to be stored in the end.

use std::collections::BTreeSet;

use crate::fleet::Fleet;
use crate::load::{Load, Plan, Tally};
use crate::postgres::Postgres;
use crate::stored::Stored;

/// How the ids of the pushes at each replica begin.
pub(crate) const PREFIXES: [&str; 2] = ["r0", "r1"];
/// Pushes a second, over both replicas.
pub(crate) const RATE: u32 = 300;
const CONNECTIONS: u32 = 24;
/// Of each replica's pushes; a multiple of the connections.
const SUBJECTS: u32 = 48;

/// Half of the load, at one of the replicas.
pub(crate) fn load(fleet: &Fleet, replica: usize) -> Load {
    load_called(fleet, replica, PREFIXES[replica])
}

/// The same with ids that begin with `prefix`.
pub(crate) fn load_called(fleet: &Fleet, replica: usize, prefix: &'static str) -> Load {
    let plan = Plan::of_sender(fleet.address(replica), RATE / 2);
    Load::start(&Plan {
        prefix,
        connections: CONNECTIONS,
        subjects: SUBJECTS,
        ..plan
    })
}

/// Each push was answered with 200 and has one row with an outcome, in order of arrival by replica and
/// subject. Tells how many there were.
pub(crate) fn all_are_stored<const N: usize>(server: &Postgres, tallies: [Tally; N]) -> usize {
    let mut pushed = BTreeSet::new();
    for tally in tallies {
        assert_eq!(tally.failed, [""; 0]);
        pushed.extend(tally.acknowledged_ids());
    }
    let stored = Stored::read(server);
    stored.has_once(&pushed);
    assert_eq!(stored.len(), pushed.len());
    assert_eq!(
        server.value("SELECT count(*) FROM events WHERE outcome IS NULL"),
        "0"
    );
    // A subject's pushes at a replica come one after the other, on one connection.
    stored.is_in_order(|id| {
        let (replica, turn) = id.split_once('-').unwrap();
        // One that is no part of a load comes after all of it.
        let turn: u64 = turn.parse().unwrap_or(u64::MAX);
        (format!("{replica} {}", turn % u64::from(SUBJECTS)), turn)
    });
    pushed.len()
}
