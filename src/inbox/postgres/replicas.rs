//! The receivers of a database, each of which says now and then that it is there.
//!
//! Each has a row of its own that nobody else writes, so that none waits for another, and no commit
//! touches the table.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::error::Failure;
use super::sql;
use super::time::timestamp;
use crate::inbox::Replica;

/// Microseconds after which one that says nothing is forgotten.
const FORGOTTEN: i64 = 3_600 * 1_000_000;
/// Rows shown at most.
const SHOWN: i64 = 100;

pub(super) async fn beat(
    client: &(impl GenericClient + Sync),
    me: &Replica,
    given: Option<i64>,
) -> Result<(), Failure> {
    sql::run(
        client,
        "INSERT INTO replicas (name, started, seen, version) VALUES ($1, $2, inbox_now($3), $4) \
         ON CONFLICT (name) DO UPDATE \
         SET started = excluded.started, seen = excluded.seen, version = excluded.version",
        &[
            (&sql::text(&me.name), Type::TEXT),
            (&me.started_at.as_microsecond(), Type::INT8),
            (&given, Type::INT8),
            (&sql::text(&me.version), Type::TEXT),
        ],
    )
    .await?;
    sql::run(
        client,
        "DELETE FROM replicas WHERE seen < inbox_now($1) - $2",
        &[(&given, Type::INT8), (&FORGOTTEN, Type::INT8)],
    )
    .await?;
    Ok(())
}

/// Forgets this receiver, unless its next process has begun already.
pub(super) async fn leave(
    client: &(impl GenericClient + Sync),
    me: &Replica,
) -> Result<(), Failure> {
    sql::run(
        client,
        "DELETE FROM replicas WHERE name = $1 AND started <= $2",
        &[
            (&sql::text(&me.name), Type::TEXT),
            (&me.started_at.as_microsecond(), Type::INT8),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn known(client: &(impl GenericClient + Sync)) -> Result<Vec<Replica>, Failure> {
    let found = sql::rows(
        client,
        "SELECT name, started, seen, version FROM replicas ORDER BY seen DESC, name LIMIT $1",
        &[(&SHOWN, Type::INT8)],
    )
    .await?;
    Ok(found.iter().map(replica).collect::<Result<Vec<_>, _>>()?)
}

fn replica(row: &Row) -> Result<Replica, tokio_postgres::Error> {
    Ok(Replica {
        name: row.try_get(0)?,
        started_at: timestamp(row.try_get(1)?),
        seen_at: timestamp(row.try_get(2)?),
        version: row.try_get(3)?,
    })
}
