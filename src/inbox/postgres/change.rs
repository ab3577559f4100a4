//! What people change by hand: deliveries replayed or given up, with a line in the audit.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::audit::write_down;
use super::error::Failure;
use super::links::{self, Held};
use super::sql;
use super::tally;
use crate::inbox::{Audit, Change, Changed, Order, What};

/// Applies `changes` within a transaction that does nothing else. `now` is the database's clock, in
/// microseconds.
pub(super) async fn change(
    client: &(impl GenericClient + Sync),
    (changes, audit): (&[Change], &Audit),
    now: i64,
) -> Result<Vec<Changed>, Failure> {
    let mut seqs: Vec<i64> = changes.iter().map(|change| change.seq.0).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let deliveries: Vec<_> = changes
        .iter()
        .map(|change| (change.seq, change.sink))
        .collect();
    let events = links::lock_events(client, &seqs, Held::Wait).await?;
    links::ensure_subjects(client, &seqs, now).await?;
    links::lock_lanes(client, &deliveries, &events, now).await?;

    let (changed, waiting) = apply(client, (changes, &audit.reason), now).await?;
    let count = changed
        .iter()
        .filter(|done| **done == Changed::Done)
        .count();
    write_down(client, audit, (count, now)).await?;
    tally::add(client, &waiting).await?;
    Ok(changed)
}

/// Carries the changes out one after the other, and says how many more deliveries wait, by sink.
async fn apply(
    client: &(impl GenericClient + Sync),
    (changes, reason): (&[Change], &str),
    now: i64,
) -> Result<(Vec<Changed>, BTreeMap<i64, i64>), Failure> {
    let seqs: Vec<i64> = changes.iter().map(|change| change.seq.0).collect();
    let sinks: Vec<i64> = changes.iter().map(|change| change.sink.0).collect();
    let whats: Vec<i16> = changes.iter().map(|change| number(change.what)).collect();
    let error = format!("dropped by hand: {}", sql::text(reason));
    let done = sql::rows(
        client,
        "SELECT done, waiting FROM inbox_change($1, $2, $3, $4, $5) ORDER BY nth",
        &[
            (&seqs, Type::INT8_ARRAY),
            (&sinks, Type::INT8_ARRAY),
            (&whats, Type::INT2_ARRAY),
            (&error, Type::TEXT),
            (&now, Type::INT8),
        ],
    )
    .await?;
    let mut changed = Vec::with_capacity(done.len());
    let mut waiting = BTreeMap::new();
    for (row, change) in done.iter().zip(changes) {
        changed.push(changed_as(row.try_get(0)?));
        *waiting.entry(change.sink.0).or_default() += i64::from(row.try_get::<_, i16>(1)?);
    }
    Ok((changed, waiting))
}

fn number(what: What) -> i16 {
    match what {
        What::Drop => 0,
        What::Replay(Order::Subject | Order::Latest) => 1,
        What::Replay(Order::None) => 2,
    }
}

fn changed_as(number: i16) -> Changed {
    match number {
        0 => Changed::Done,
        1 => Changed::Waiting,
        2 => Changed::Running,
        3 => Changed::Settled,
        _ => Changed::Gone,
    }
}
