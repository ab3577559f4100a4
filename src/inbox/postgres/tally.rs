//! The counters that are kept by whoever changes what they count.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::error::Failure;
use super::sql;

/// Stands for a sink where events are counted.
pub(super) const EVENTS: i64 = 0;

/// The part of what is done for people and for room: it shares no row with a commit, which would
/// have to wait for it.
const UPKEEP: i32 = -1;

/// Adds to counters, which stay locked until the transaction ends: the last thing it does.
pub(super) async fn add(
    client: &(impl GenericClient + Sync),
    changes: &BTreeMap<i64, i64>,
) -> Result<(), Failure> {
    let (sinks, numbers): (Vec<i64>, Vec<i64>) =
        changes.iter().filter(|(_, number)| **number != 0).unzip();
    if sinks.is_empty() {
        return Ok(());
    }
    sql::run(
        client,
        "INSERT INTO tallies (sink, part, n) \
         SELECT u.sink, $1, u.n FROM unnest($2::bigint[], $3::bigint[]) AS u (sink, n) \
         ORDER BY u.sink \
         ON CONFLICT (sink, part) DO UPDATE SET n = tallies.n + excluded.n",
        &[
            (&UPKEEP, Type::INT4),
            (&sinks, Type::INT8_ARRAY),
            (&numbers, Type::INT8_ARRAY),
        ],
    )
    .await
    .map(|_number| ())
}

/// The sums by sink; never below zero.
pub(super) async fn sums(
    client: &(impl GenericClient + Sync),
) -> Result<BTreeMap<i64, u64>, Failure> {
    let found = sql::rows(
        client,
        "SELECT sink, sum(n)::bigint FROM tallies GROUP BY sink",
        &[],
    )
    .await?;
    let mut sums = BTreeMap::new();
    for row in found {
        let sum: i64 = row.try_get(1)?;
        sums.insert(row.try_get(0)?, u64::try_from(sum).unwrap_or_default());
    }
    Ok(sums)
}
