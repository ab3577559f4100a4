//! Lists of incidents and alerts.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{cursor, limit, subject_id, timestamp};
use crate::inbox::Seq;
use crate::inbox::cursor::page;
use crate::inbox::query::{Page, SubjectFilter, SubjectRow};

/// Events looked at for one page: few, because whoever fills a page asks again and again, and looks
/// at the time in between.
const LOOKED_AT: i64 = 5_000;

pub(in crate::inbox::sqlite) fn subjects(
    sql: &Connection,
    filter: &SubjectFilter,
) -> rusqlite::Result<Page<SubjectRow>> {
    if let Some(subject) = &filter.subject {
        return Ok(page(subject_rows(sql, Some(&subject.to_string()))?, 0));
    }
    // Newest first without an index: the newest events name the subjects changed last.
    let last: i64 = sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
        row.get(0)
    })?;
    let from = cursor(filter.cursor.as_deref())?.unwrap_or(last);
    let floor = from.saturating_sub(LOOKED_AT);
    let items: Vec<SubjectRow> = sql
        .prepare_cached(
            "SELECT s.subject, r.tag, r.query, s.last_time, s.last_seq, s.last_received \
             FROM events e JOIN subjects s ON s.id = e.lane AND s.last_seq = e.seq \
             JOIN routes r ON r.id = s.route \
             WHERE e.seq <= ?1 AND e.seq > ?2 ORDER BY e.seq DESC LIMIT ?3",
        )?
        .query_map(params![from, floor, limit(filter.limit)], subject_row)?
        .collect::<rusqlite::Result<_>>()?;
    let next = match items.last() {
        Some(row) if items.len() == filter.limit => row.last_seq.0 - 1,
        // Nothing below was pruned that a page would have to pass over.
        _ => sql
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE seq <= ?1")?
            .query_row([floor], |row| row.get(0))?,
    };
    Ok(page(items, next))
}

/// A subject's rows on every route; routes are few.
pub(super) fn subject_rows(
    sql: &Connection,
    subject: Option<&str>,
) -> rusqlite::Result<Vec<SubjectRow>> {
    let Some(subject) = subject else {
        return Ok(Vec::new());
    };
    let routes: Vec<i64> = sql
        .prepare_cached("SELECT id FROM routes")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut statement = sql.prepare_cached(
        "SELECT s.subject, r.tag, r.query, s.last_time, s.last_seq, s.last_received \
         FROM subjects s JOIN routes r ON r.id = s.route \
         WHERE s.id BETWEEN ?1 AND ?1 + 8 AND s.route = ?2 AND s.subject = ?3",
    )?;
    let mut found = Vec::new();
    for route in routes {
        let id = subject_id(route, subject);
        found.extend(
            statement
                .query_row(params![id, route, subject], subject_row)
                .optional()?,
        );
    }
    Ok(found)
}

fn subject_row(row: &Row<'_>) -> rusqlite::Result<SubjectRow> {
    Ok(SubjectRow {
        subject: row.get(0)?,
        tag: row.get(1)?,
        query: row.get(2)?,
        last_time: row.get(3)?,
        last_seq: Seq(row.get(4)?),
        last_received_at: timestamp(row.get(5)?),
    })
}
