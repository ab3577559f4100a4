//! Lists of pushes that could not be used.

use bytes::Bytes;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::event_rows::{parsed, unsigned};
use super::{limit, timestamp};
use crate::inbox::cursor::page;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{Page, UnreadableRow};

const UNREADABLE_COLUMNS: &str =
    "id, received, reason, tag, query, source_ip, peer_ip, length(body)";

pub(in crate::inbox::postgres) async fn unreadables(
    client: &(impl GenericClient + Sync),
    from: Option<i64>,
    wanted: usize,
) -> Result<Page<UnreadableRow>, Failure> {
    let found = sql::rows(
        client,
        &format!(
            "SELECT {UNREADABLE_COLUMNS} FROM unreadable WHERE id <= $1 ORDER BY id DESC LIMIT $2"
        ),
        &[
            (&from.unwrap_or(i64::MAX), Type::INT8),
            (&limit(wanted), Type::INT8),
        ],
    )
    .await?;
    let items = found
        .iter()
        .map(unreadable_row)
        .collect::<Result<Vec<_>, _>>()?;
    let next = match items.last() {
        Some(row) if items.len() == wanted => row.id - 1,
        _ => 0,
    };
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
