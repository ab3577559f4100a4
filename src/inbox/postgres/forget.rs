//! Forgetting keys, subjects, records of the sender's history, unreadable pushes and URLs past their
//! age, and leases that nobody looks after, a small part of them a step.
//!
//! Keys, of which there are most, go in the order of their age; what has no order but that of its
//! digest, one slice after the other. Nothing here waits for a commit, and what a commit may look
//! for, a key or a lease, is removed last.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::error::Failure;
use super::sql;
use crate::inbox::{MOST_ROUTES, Prune};

/// Subjects and records are walked in this many slices.
const SLICES: u64 = 4096;
/// Keys removed in one step, give or take those of one moment.
const KEYS: i64 = 20_000;
/// Events at the beginning of the table that say how old the oldest is.
const OLDEST: i64 = 100;
/// A shared lease that ended so long ago belongs to a sink for which nobody claims.
const LONG_OVER: i64 = 3_600_000_000;
/// So many deliveries of each sink leave such leases in one step, or a few more.
const LEFT: i64 = 1000;
/// When a URL was used last is known give or take an hour; as much again for clocks that differ.
const UNSURE: i64 = 2 * 3_600_000_000;

/// Forgets what is past its age in one slice. Says how much that was, and which URLs.
pub(super) async fn slice(
    client: &(impl GenericClient + Sync),
    prune: &Prune,
    slice: u64,
) -> Result<(u64, Vec<i64>), Failure> {
    let slice = slice % SLICES;
    let width = (u64::MAX / SLICES) + 1;
    let first = slice * width;
    let last = first + (width - 1);
    // Subject ids are 63 bits wide: half of the range of the keys' first eight bytes.
    let id = |at: u64| i64::try_from(at / 2).unwrap_or(i64::MAX);
    let mut other = subjects(client, (id(first), id(last)), prune).await?;
    let low = [&first.to_be_bytes()[..], &[0; 8]].concat();
    let high = [&last.to_be_bytes()[..], &[0xFF; 8]].concat();
    other += records(client, (&low, &high), prune).await?;
    let cutoff = prune.cutoff().as_microsecond();
    other += sql::run(
        client,
        "DELETE FROM unreadable WHERE received < $1",
        &[(&cutoff, Type::INT8)],
    )
    .await?;
    let routes = if slice == 0 {
        routes(client, prune).await?
    } else {
        Vec::new()
    };
    other += keys(client, prune).await?;
    leases(client, prune).await?;
    Ok((other, routes))
}

async fn subjects(
    client: &(impl GenericClient + Sync),
    (first, last): (i64, i64),
    prune: &Prune,
) -> Result<u64, Failure> {
    let cutoff = prune.forget_before().as_microsecond();
    // One that is locked is not past its age: a commit is about to say so.
    let old = sql::rows(
        client,
        "SELECT id FROM subjects WHERE id BETWEEN $1 AND $2 AND last_received < $3 \
         AND NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = subjects.last_seq) \
         ORDER BY id FOR UPDATE SKIP LOCKED",
        &[
            (&first, Type::INT8),
            (&last, Type::INT8),
            (&cutoff, Type::INT8),
        ],
    )
    .await?;
    let old = old
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<i64>, _>>()?;
    let gone = if old.is_empty() {
        0
    } else {
        sql::run(
            client,
            "DELETE FROM subjects WHERE id = ANY($1)",
            &[(&old, Type::INT8_ARRAY)],
        )
        .await?
    };
    sql::run(
        client,
        "DELETE FROM remembered WHERE subject BETWEEN $1 AND $2 \
         AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.id = remembered.subject)",
        &[(&first, Type::INT8), (&last, Type::INT8)],
    )
    .await?;
    Ok(gone)
}

async fn records(
    client: &(impl GenericClient + Sync),
    (low, high): (&[u8], &[u8]),
    prune: &Prune,
) -> Result<u64, Failure> {
    let before = prune.records_before().as_microsecond();
    sql::run(
        client,
        "DELETE FROM recovered WHERE id BETWEEN $1 AND $2 AND handled < $3",
        &[
            (&low, Type::BYTEA),
            (&high, Type::BYTEA),
            (&before, Type::INT8),
        ],
    )
    .await
}

async fn keys(client: &(impl GenericClient + Sync), prune: &Prune) -> Result<u64, Failure> {
    let before = prune.forget_before().as_microsecond();
    let last = sql::row(
        client,
        "SELECT received FROM keys WHERE received < $1 ORDER BY received LIMIT 1 OFFSET $2",
        &[(&before, Type::INT8), (&(KEYS - 1), Type::INT8)],
    )
    .await?;
    let last: i64 = last.map_or(Ok(before - 1), |row| row.try_get(0))?;
    sql::run(
        client,
        "DELETE FROM keys WHERE received <= $1",
        &[(&last, Type::INT8)],
    )
    .await
}

/// Gives lanes to what is left under shared leases that ended long ago, and removes those, as whoever
/// claims for the sink does. For one that was taken away nobody claims, and every commit looks back as
/// far as the oldest lease.
async fn leases(client: &(impl GenericClient + Sync), prune: &Prune) -> Result<(), Failure> {
    let before = prune.now.as_microsecond() - LONG_OVER;
    let sinks = sql::rows(
        client,
        "SELECT DISTINCT sink FROM leases WHERE ends <= $1",
        &[(&before, Type::INT8)],
    )
    .await?;
    if sinks.is_empty() {
        return Ok(());
    }
    // As a batch does: plans of what is called are kept, and a batch may be the next to use them.
    sql::run(
        client,
        "SELECT set_config('enable_seqscan', 'off', true), \
         set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)",
        &[],
    )
    .await?;
    for row in sinks {
        let sink: i64 = row.try_get(0)?;
        sql::run(
            client,
            "SELECT inbox_run_out($1, $2, $3)",
            &[
                (&sink, Type::INT8),
                (&LEFT, Type::INT8),
                (&before, Type::INT8),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Removes URLs that nothing refers to any more, but only when there are many; a handful costs
/// nothing, and to look through all subjects does.
async fn routes(client: &(impl GenericClient + Sync), prune: &Prune) -> Result<Vec<i64>, Failure> {
    let count = sql::row(client, "SELECT count(*) FROM routes", &[]).await?;
    let count: i64 = count.map_or(Ok(0), |row| row.try_get(0))?;
    if usize::try_from(count).unwrap_or_default() <= MOST_ROUTES / 2 {
        return Ok(Vec::new());
    }
    let cutoff = prune.forget_before().as_microsecond();
    // Events are stored about in the order in which they came: where the oldest ones are younger
    // than the last use, there is none.
    let gone = sql::rows(
        client,
        "DELETE FROM routes WHERE used < $1 \
         AND NOT EXISTS (SELECT 1 FROM (SELECT received FROM events ORDER BY seq LIMIT $3) oldest \
         WHERE received <= routes.used + $2) \
         AND id NOT IN (SELECT route FROM subjects) RETURNING id",
        &[
            (&cutoff, Type::INT8),
            (&UNSURE, Type::INT8),
            (&OLDEST, Type::INT8),
        ],
    )
    .await?;
    let ids = gone.iter().map(|row| row.try_get(0));
    Ok(ids.collect::<Result<Vec<_>, _>>()?)
}
