//! Lists of pushes that could not be used.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Parsed, limit, timestamp};
use crate::inbox::cursor::page;
use crate::inbox::query::{Page, UnreadableFilter, UnreadableRow};

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
    filter: &UnreadableFilter,
) -> rusqlite::Result<Page<UnreadableRow>> {
    let (first, last) = filter.ids();
    let order = if filter.oldest_first { "ASC" } else { "DESC" };
    let route = filter.route.as_ref();
    let items: Vec<UnreadableRow> = sql
        .prepare_cached(&format!(
            "SELECT {UNREADABLE_COLUMNS} FROM unreadable WHERE id >= ?1 AND id <= ?2 \
             AND (?3 IS NULL OR received >= ?3) AND (?4 IS NULL OR received < ?4) \
             AND (?5 IS NULL OR source_ip = ?5) \
             AND (?6 IS NULL OR instr(lower(reason), lower(?6)) > 0) \
             AND (?7 = 0 OR (tag IS ?8 AND query IS ?9)) ORDER BY id {order} LIMIT ?10"
        ))?
        .query_map(
            params![
                first,
                last,
                filter.since.map(|at| at.as_microsecond()),
                filter.until.map(|at| at.as_microsecond()),
                filter.source.map(|ip| ip.to_string()),
                filter.reason,
                route.is_some(),
                route.and_then(|route| route.tag.as_deref()),
                route.and_then(|route| route.query.as_deref()),
                limit(filter.limit)
            ],
            unreadable_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next = filter.next(&items);
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
