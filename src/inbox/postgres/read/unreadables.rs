//! Lists of pushes that could not be used.

use bytes::Bytes;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::event_rows::{parsed, unsigned};
use super::{limit, timestamp};
use crate::inbox::cursor::page;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{Page, UnreadableFilter, UnreadableRow};

const UNREADABLE_COLUMNS: &str =
    "id, received, reason, tag, query, source_ip, peer_ip, length(body)";

pub(in crate::inbox::postgres) async fn unreadables(
    client: &(impl GenericClient + Sync),
    filter: &UnreadableFilter,
) -> Result<Page<UnreadableRow>, Failure> {
    let (first, last) = filter.ids();
    let order = if filter.oldest_first { "ASC" } else { "DESC" };
    let route = filter.route.as_ref();
    let tag = route.and_then(|route| route.tag.as_deref()).map(sql::text);
    let query = route.and_then(|route| route.query.as_deref());
    // Lower case of ASCII alone, as the other store has it, whatever the database's locale.
    let found = sql::rows(
        client,
        &format!(
            "SELECT {UNREADABLE_COLUMNS} FROM unreadable WHERE id >= $1 AND id <= $2 \
             AND ($3 IS NULL OR received >= $3) AND ($4 IS NULL OR received < $4) \
             AND ($5 IS NULL OR source_ip = $5) AND ($6 IS NULL OR \
             strpos(lower(reason COLLATE \"C\"), lower($6 COLLATE \"C\")) > 0) \
             AND (NOT $7 OR (tag IS NOT DISTINCT FROM $8 AND query IS NOT DISTINCT FROM $9)) \
             ORDER BY id {order} LIMIT $10"
        ),
        &[
            (&first, Type::INT8),
            (&last, Type::INT8),
            (&filter.since.map(|at| at.as_microsecond()), Type::INT8),
            (&filter.until.map(|at| at.as_microsecond()), Type::INT8),
            (&filter.source.map(|ip| ip.to_string()), Type::TEXT),
            (&filter.reason.as_deref().map(sql::text), Type::TEXT),
            (&route.is_some(), Type::BOOL),
            (&tag, Type::TEXT),
            (&query.map(sql::text), Type::TEXT),
            (&limit(filter.limit), Type::INT8),
        ],
    )
    .await?;
    let items = found
        .iter()
        .map(unreadable_row)
        .collect::<Result<Vec<_>, _>>()?;
    let next = filter.next(&items);
    Ok(page(items, next))
}

pub(in crate::inbox::postgres) async fn unreadable(
    client: &(impl GenericClient + Sync),
    id: i64,
) -> Result<Option<(UnreadableRow, Bytes)>, Failure> {
    let found = sql::row(
        client,
        &format!("SELECT {UNREADABLE_COLUMNS}, body FROM unreadable WHERE id = $1"),
        &[(&id, Type::INT8)],
    )
    .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let body: Vec<u8> = row.try_get(8)?;
    Ok(Some((unreadable_row(&row)?, Bytes::from(body))))
}

fn unreadable_row(row: &Row) -> Result<UnreadableRow, tokio_postgres::Error> {
    Ok(UnreadableRow {
        id: row.try_get(0)?,
        received_at: timestamp(row.try_get(1)?),
        reason: row.try_get(2)?,
        tag: row.try_get(3)?,
        query: row.try_get(4)?,
        source_ip: parsed(row, 5)?,
        peer_ip: parsed(row, 6)?,
        body_bytes: unsigned(row, 7)?,
    })
}
