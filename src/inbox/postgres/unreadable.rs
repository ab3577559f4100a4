//! The box of pushes that could not be used: bounded, the oldest go first.

use std::collections::BTreeSet;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::audit::write_down;
use super::error::Failure;
use super::sql;
use crate::inbox::{Audit, Unreadable, UnreadableBounds};

/// Keeps all or none, within the transaction of `client`.
pub(super) async fn keep(
    client: &(impl GenericClient + Sync),
    unreadable: &[Unreadable],
    bounds: UnreadableBounds,
) -> Result<(), Failure> {
    for one in unreadable {
        insert(client, one).await?;
    }
    // The newest stay while they fit, by count and by bytes. What another replica is removing at
    // this moment needs no waiting for.
    sql::run(
        client,
        "DELETE FROM unreadable WHERE id IN (SELECT id FROM unreadable WHERE id IN (\
         SELECT id FROM (SELECT id, row_number() OVER newest AS place, \
         sum(length(body)) OVER newest AS total FROM unreadable \
         WINDOW newest AS (ORDER BY id DESC)) AS kept WHERE place > $1 OR total > $2) \
         ORDER BY id FOR UPDATE SKIP LOCKED)",
        &[
            (&i64::try_from(bounds.count).unwrap_or(i64::MAX), Type::INT8),
            (&i64::try_from(bounds.bytes).unwrap_or(i64::MAX), Type::INT8),
        ],
    )
    .await
    .map(|_number| ())
}

async fn insert(client: &(impl GenericClient + Sync), one: &Unreadable) -> Result<(), Failure> {
    let route = &one.route;
    let body = one.body.as_ref();
    sql::run(
        client,
        "INSERT INTO unreadable (received, reason, tag, query, source_ip, peer_ip, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&one.received_at.as_microsecond(), Type::INT8),
            (&sql::text(&one.reason), Type::TEXT),
            (&route.tag.as_deref().map(sql::text), Type::TEXT),
            (&route.query.as_deref().map(sql::text), Type::TEXT),
            (&one.source_ip.map(|ip| ip.to_string()), Type::TEXT),
            (&one.peer_ip.map(|ip| ip.to_string()), Type::TEXT),
            (&body, Type::BYTEA),
        ],
    )
    .await
    .map(|_number| ())
}

/// Removes those of `ids` that are there, with a line in the audit, and says which were. Within a
/// transaction that does nothing else; `now` is in microseconds.
pub(super) async fn remove(
    client: &(impl GenericClient + Sync),
    (ids, audit): (&[i64], &Audit),
    now: i64,
) -> Result<Vec<bool>, Failure> {
    // Locked in one order, so that two who remove the same ones do not wait for each other.
    let gone = sql::rows(
        client,
        "DELETE FROM unreadable WHERE id IN (SELECT id FROM unreadable WHERE id = ANY($1) \
         ORDER BY id FOR UPDATE) RETURNING id",
        &[(&ids, Type::INT8_ARRAY)],
    )
    .await?;
    let gone = gone.iter().map(|row| row.try_get(0));
    let gone = gone.collect::<Result<BTreeSet<i64>, _>>()?;
    if !gone.is_empty() {
        write_down(client, audit, (gone.len(), now)).await?;
    }
    Ok(ids.iter().map(|id| gone.contains(id)).collect())
}
