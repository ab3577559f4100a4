//! Lists of pushes that could not be used.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Parsed, limit, timestamp};
use crate::inbox::cursor::page;
use crate::inbox::query::{Page, UnreadableRow};

const UNREADABLE_COLUMNS: &str = "id, received, reason, tag, query, source_ip, peer_ip, bytes";

fn unreadable_row(row: &Row<'_>) -> rusqlite::Result<UnreadableRow> {
    Ok(UnreadableRow {
        id: row.get(0)?,
        received_at: timestamp(row.get(1)?),
        reason: row.get(2)?,
        tag: row.get(3)?,
        query: row.get(4)?,
        source_ip: row.get::<_, Parsed<_>>(5)?.0,
        peer_ip: row.get::<_, Parsed<_>>(6)?.0,
        body_bytes: row.get(7)?,
    })
}

pub(in crate::inbox::sqlite) fn unreadables(
    sql: &Connection,
    from: Option<i64>,
    wanted: usize,
) -> rusqlite::Result<Page<UnreadableRow>> {
    let items: Vec<UnreadableRow> = sql
        .prepare_cached(&format!(
            "SELECT {UNREADABLE_COLUMNS} FROM unreadable WHERE id <= ?1 ORDER BY id DESC LIMIT ?2"
        ))?
        .query_map(
            params![from.unwrap_or(i64::MAX), limit(wanted)],
            unreadable_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next = match items.last() {
        Some(row) if items.len() == wanted => row.id - 1,
        _ => 0,
    };
    Ok(page(items, next))
}

pub(in crate::inbox::sqlite) fn unreadable(
    sql: &Connection,
    id: i64,
) -> rusqlite::Result<Option<(UnreadableRow, Bytes)>> {
    sql.prepare_cached(&format!(
        "SELECT {UNREADABLE_COLUMNS}, body FROM unreadable WHERE id = ?1"
    ))?
    .query_row([id], |row| {
        Ok((unreadable_row(row)?, Bytes::from(row.get::<_, Vec<u8>>(8)?)))
    })
    .optional()
}
