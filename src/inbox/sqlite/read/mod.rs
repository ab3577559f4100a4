//! What people ask of the store: lists and single rows, never more than a bounded look at a time.

mod candidates;
mod chains;
mod deliveries;
mod follow;
mod latest;
mod rates;
mod selection;
mod sift;
mod subjects;
mod unreadable;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use self::chains::by_subject;
use super::rows::{EVENT_COLUMNS, Parsed, event_row};
use super::transaction::timestamp;
use crate::envelope;
use crate::inbox::Seq;
use crate::inbox::cursor::page;
use crate::inbox::numbers::{STATE_DEAD, outcome_number};
use crate::inbox::query::{Counts, EventFilter, EventRow, Page, SinkCounts};
use crate::inbox::subject::subject_id;

pub(in crate::inbox::sqlite) use self::candidates::candidates;
pub(in crate::inbox::sqlite) use self::deliveries::deliveries;
pub(in crate::inbox::sqlite) use self::follow::{follow, horizon};
pub(in crate::inbox::sqlite) use self::latest::latest;
pub(in crate::inbox::sqlite) use self::rates::exhausted;
pub(in crate::inbox::sqlite) use self::sift::{bodies, sift};
pub(in crate::inbox::sqlite) use self::subjects::subjects;
pub(in crate::inbox::sqlite) use self::unreadable::{unreadable, unreadables};

/// Rows looked at for one page when no index leads to them; the cursor goes on from there.
const LOOKED_AT: i64 = 20_000;

pub(super) fn event(sql: &Connection, seq: Seq) -> rusqlite::Result<Option<(EventRow, Bytes)>> {
    sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS}, e.body FROM events e JOIN routes r ON r.id = e.route WHERE e.seq = ?1"
    ))?
    .query_row([seq.0], |row| {
        Ok((event_row(row)?, Bytes::from(row.get::<_, Vec<u8>>(14)?)))
    })
    .optional()
}

pub(super) fn events(sql: &Connection, filter: &EventFilter) -> rusqlite::Result<Page<EventRow>> {
    if let Some(event_id) = &filter.event_id {
        return by_event_id(sql, event_id, filter);
    }
    if filter.subject.is_some() {
        return by_subject(sql, filter);
    }
    let last: i64 = sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
        row.get(0)
    })?;
    let from = cursor(filter.cursor.as_deref())?.unwrap_or(last);
    let floor = from.saturating_sub(LOOKED_AT);
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM events e JOIN routes r ON r.id = e.route \
         WHERE e.seq <= ?1 AND e.seq > ?2 \
         AND (?3 IS NULL OR e.event_type = ?3) AND (?4 IS NULL OR e.outcome = ?4) \
         AND (?5 IS NULL OR e.received < ?5) ORDER BY e.seq DESC LIMIT ?6"
    ))?;
    let outcome = filter.outcome.map(outcome_number);
    let mut items: Vec<EventRow> = statement
        .query_map(
            params![
                from,
                floor,
                filter.event_type,
                outcome,
                filter.until.map(|at| at.as_microsecond()),
                limit(filter.limit)
            ],
            event_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let full = items.len() == filter.limit;
    let next = match items.last() {
        Some(row) if full => row.seq.0 - 1,
        _ => floor,
    };
    items.retain(|row| filter.matches(row));
    Ok(page(items, going_on(sql, next, filter.since)?))
}

/// Where a list that looked at everything above `next` goes on: at the newest event there that was
/// received since then, and not far below; zero, where there is none. Positions follow arrival, but for
/// what was offered again: what lies behind it may be younger.
fn going_on(sql: &Connection, next: i64, since: Option<Timestamp>) -> rusqlite::Result<i64> {
    let Some(since) = since else {
        return Ok(next);
    };
    let found = sql
        .prepare_cached(
            "SELECT seq FROM events WHERE seq <= ?1 AND seq > ?2 AND received >= ?3 \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(
            params![next, next.saturating_sub(LOOKED_AT), since.as_microsecond()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The first half of a key is made of the id alone, so a range of keys holds all routes.
fn keys_of(event_id: &str) -> ([u8; 16], [u8; 16]) {
    let (mut low, mut high) = ([0_u8; 16], [0xFF_u8; 16]);
    let prefix = envelope::id_prefix(event_id);
    low[..8].copy_from_slice(&prefix);
    high[..8].copy_from_slice(&prefix);
    (low, high)
}

fn by_event_id(
    sql: &Connection,
    event_id: &str,
    filter: &EventFilter,
) -> rusqlite::Result<Page<EventRow>> {
    let (low, high) = keys_of(event_id);
    let mut items: Vec<EventRow> = sql
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM keys k JOIN events e ON e.seq = k.seq \
             JOIN routes r ON r.id = e.route WHERE k.key BETWEEN ?1 AND ?2 ORDER BY e.seq DESC LIMIT ?3"
        ))?
        .query_map(params![low, high, limit(filter.limit)], event_row)?
        .collect::<rusqlite::Result<_>>()?;
    items.retain(|row| row.event_id.as_deref() == Some(event_id) && filter.matches(row));
    Ok(page(items, 0))
}

pub(super) fn counts(sql: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts {
        events: sql
            .query_row("SELECT value FROM meta WHERE key = 'events'", [], |row| {
                row.get(0)
            })
            .optional()?
            .unwrap_or(0),
        last_seq: sql
            .query_row("SELECT value FROM meta WHERE key = 'seq'", [], |row| {
                row.get(0).map(Seq)
            })
            .optional()?,
        unreadable: sql.query_row("SELECT count(*) FROM unreadable", [], |row| row.get(0))?,
        sinks: Vec::new(),
    };
    let mut statement =
        sql.prepare_cached("SELECT id, name, pending, held_until FROM sinks ORDER BY name")?;
    let mut sinks = statement.query([])?;
    while let Some(row) = sinks.next()? {
        let id: i64 = row.get(0)?;
        let oldest: Option<i64> = sql
            .prepare_cached(
                "SELECT received FROM events WHERE seq = (SELECT min(head) FROM lanes WHERE sink = ?1)",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let dead =
            format!("SELECT count(*) FROM deliveries WHERE sink = ?1 AND state = {STATE_DEAD}");
        counts.sinks.push(SinkCounts {
            sink: row.get(1)?,
            pending: row.get::<_, i64>(2)?.try_into().unwrap_or_default(),
            oldest_pending_at: oldest.map(timestamp),
            held_until: row.get::<_, Option<i64>>(3)?.map(timestamp),
            dead: sql
                .prepare_cached(&dead)?
                .query_row([id], |row| row.get(0))?,
        });
    }
    Ok(counts)
}

/// Fails for what no page ever gave out, rather than begin anew.
fn cursor(text: Option<&str>) -> rusqlite::Result<Option<i64>> {
    text.map(str::parse)
        .transpose()
        .map_err(|_not_ours| no_such_place())
}

fn no_such_place() -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure("no page ends there".into())
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
