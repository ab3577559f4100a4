//! Locks on what a change by hand, or one for room, takes out of its lane or puts at its end.
//!
//! Locks are taken in the order of a commit, so that neither waits for the other in a circle: subjects
//! by number, deliveries under shared leases, which get lanes, and lanes by number. Before them stand
//! the events: no commit locks one, so they only keep changes and pruning off each other. A statement
//! must see what was committed while it waited for a lock, so the transaction's isolation is READ
//! COMMITTED.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::error::Failure;
use super::sql;
use crate::inbox::{Seq, SinkId};

/// What to do about an event that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Wait,
    PassOver,
}

/// Locks the events at `seqs` that there are, and says which lane orders each.
pub(super) async fn lock_events(
    client: &(impl GenericClient + Sync),
    seqs: &[i64],
    held: Held,
) -> Result<BTreeMap<Seq, i64>, Failure> {
    let skip = match held {
        Held::Wait => "",
        Held::PassOver => " SKIP LOCKED",
    };
    let found = sql::rows(
        client,
        &format!("SELECT seq, lane FROM events WHERE seq = ANY($1) ORDER BY seq FOR UPDATE{skip}"),
        &[(&seqs, Type::INT8_ARRAY)],
    )
    .await?;
    let mut lanes = BTreeMap::new();
    for row in found {
        lanes.insert(Seq(row.try_get(0)?), row.try_get(1)?);
    }
    Ok(lanes)
}

/// Makes sure that there is a row to lock for the subjects of the events at `seqs`: one whose last
/// event is gone may be forgotten while earlier ones are still here.
pub(super) async fn ensure_subjects(
    client: &(impl GenericClient + Sync),
    seqs: &[i64],
    now: i64,
) -> Result<(), Failure> {
    sql::run(
        client,
        "INSERT INTO subjects (id, route, subject, last_received) \
         SELECT DISTINCT ON (e.lane) e.lane, e.route, e.subject, $2 FROM events e \
         WHERE e.seq = ANY($1) AND e.lane > 0 \
         AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.id = e.lane) \
         ORDER BY e.lane ON CONFLICT (id) DO NOTHING",
        &[(&seqs, Type::INT8_ARRAY), (&now, Type::INT8)],
    )
    .await
    .map(|_number| ())
}

/// Locks the subjects and the lanes of `deliveries`, whose events were locked before, and says of
/// which deliveries of these lanes an attempt may be under way at `now`.
pub(super) async fn lock_lanes(
    client: &(impl GenericClient + Sync),
    deliveries: &[(Seq, SinkId)],
    events: &BTreeMap<Seq, i64>,
    now: i64,
) -> Result<BTreeSet<(Seq, SinkId)>, Failure> {
    let mut subjects = BTreeSet::new();
    let mut wanted = BTreeSet::new();
    for (seq, sink) in deliveries {
        // An event's delivery is ordered by its subject, or stands alone.
        wanted.insert((sink.0, -seq.0));
        if let Some(lane) = events.get(seq) {
            wanted.insert((sink.0, *lane));
            subjects.extend(Some(*lane).filter(|lane| *lane > 0));
        }
    }
    let subjects: Vec<i64> = subjects.into_iter().collect();
    sql::rows(
        client,
        "SELECT id FROM subjects WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        &[(&subjects, Type::INT8_ARRAY)],
    )
    .await?;
    let seqs: Vec<i64> = deliveries.iter().map(|(seq, _)| seq.0).collect();
    sql::run(
        client,
        "SELECT inbox_give_lanes($1, $2, $3)",
        &[
            (&subjects, Type::INT8_ARRAY),
            (&seqs, Type::INT8_ARRAY),
            (&now, Type::INT8),
        ],
    )
    .await?;
    let (sinks, lanes): (Vec<i64>, Vec<i64>) = wanted.into_iter().unzip();
    let locked = sql::rows(
        client,
        "SELECT l.head, l.sink, l.leased AND l.available > $3 \
         FROM unnest($1::bigint[], $2::bigint[]) AS w (sink, lane) \
         JOIN lanes l ON l.sink = w.sink AND l.lane = w.lane \
         ORDER BY l.sink, l.lane FOR UPDATE OF l",
        &[
            (&sinks, Type::INT8_ARRAY),
            (&lanes, Type::INT8_ARRAY),
            (&now, Type::INT8),
        ],
    )
    .await?;
    let mut running = BTreeSet::new();
    for row in locked {
        if row.try_get(2)? {
            running.insert((Seq(row.try_get(0)?), SinkId(row.try_get(1)?)));
        }
    }
    Ok(running)
}

/// Takes unsettled deliveries out of their lanes, which are locked; one behind them is due at `now`
/// if it then comes first.
pub(super) async fn unlink(
    client: &(impl GenericClient + Sync),
    deliveries: &[(Seq, SinkId)],
    now: i64,
) -> Result<(), Failure> {
    let (seqs, sinks): (Vec<i64>, Vec<i64>) =
        deliveries.iter().map(|(seq, sink)| (seq.0, sink.0)).unzip();
    sql::run(
        client,
        "SELECT inbox_unlink(u.seq, u.sink, $3) \
         FROM unnest($1::bigint[], $2::bigint[]) AS u (seq, sink)",
        &[
            (&seqs, Type::INT8_ARRAY),
            (&sinks, Type::INT8_ARRAY),
            (&now, Type::INT8),
        ],
    )
    .await
    .map(|_number| ())
}
