//! What people ask of the store: lists and single rows, never more than a bounded look at a time.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{self, EVENT_COLUMNS, Parsed, STATE_DEAD, event_row};
use super::transaction::{subject_id, timestamp};
use crate::envelope;
use crate::inbox::Seq;
use crate::inbox::query::{
    AttemptRow, Counts, DeliveryFilter, DeliveryRow, DeliveryState, EventFilter, EventRow, Page,
    SinkCounts, SubjectFilter, SubjectRow, UnreadableRow,
};

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
    let from = cursor(filter.cursor.as_deref()).unwrap_or(last);
    let floor = from.saturating_sub(LOOKED_AT);
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM events e JOIN routes r ON r.id = e.route \
         WHERE e.seq <= ?1 AND e.seq > ?2 \
         AND (?3 IS NULL OR e.event_type = ?3) AND (?4 IS NULL OR e.outcome = ?4) \
         AND (?5 IS NULL OR e.received < ?5) ORDER BY e.seq DESC LIMIT ?6"
    ))?;
    let outcome = filter.outcome.map(rows::outcome_number);
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
    let mut next = match items.last() {
        Some(row) if full => row.seq.0 - 1,
        _ => floor,
    };
    // Positions follow arrival, so the first one too old ends the list.
    if let Some(end) = items.iter().position(|row| !matches(row, filter)) {
        if filter
            .since
            .is_some_and(|since| items[end].received_at < since)
        {
            next = 0;
        }
        items.retain(|row| matches(row, filter));
    }
    Ok(page(items, next))
}

fn matches(row: &EventRow, filter: &EventFilter) -> bool {
    filter.since.is_none_or(|since| row.received_at >= since)
        && filter.until.is_none_or(|until| row.received_at < until)
        && filter
            .event_type
            .as_ref()
            .is_none_or(|wanted| *wanted == row.event_type)
        && filter.outcome.is_none_or(|wanted| wanted == row.outcome)
        && filter.route.as_ref().is_none_or(|route| {
            route.tag.as_deref() == row.tag.as_deref()
                && route.query.as_deref() == row.query.as_deref()
        })
}

/// The first half of a key is made of the id alone, so a range of keys holds all routes.
fn by_event_id(
    sql: &Connection,
    event_id: &str,
    filter: &EventFilter,
) -> rusqlite::Result<Page<EventRow>> {
    let (mut low, mut high) = ([0_u8; 16], [0xFF_u8; 16]);
    let prefix = envelope::id_prefix(event_id);
    low[..8].copy_from_slice(&prefix);
    high[..8].copy_from_slice(&prefix);
    let mut items: Vec<EventRow> = sql
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM keys k JOIN events e ON e.seq = k.seq \
             JOIN routes r ON r.id = e.route WHERE k.key BETWEEN ?1 AND ?2 ORDER BY e.seq DESC LIMIT ?3"
        ))?
        .query_map(params![low, high, limit(filter.limit)], event_row)?
        .collect::<rusqlite::Result<_>>()?;
    items.retain(|row| row.event_id.as_deref() == Some(event_id) && matches(row, filter));
    Ok(page(items, 0))
}

/// Follows the chain from a subject's newest event to the ones before it, on every route.
fn by_subject(sql: &Connection, filter: &EventFilter) -> rusqlite::Result<Page<EventRow>> {
    let below = cursor(filter.cursor.as_deref()).unwrap_or(i64::MAX);
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS}, e.previous FROM events e JOIN routes r ON r.id = e.route WHERE e.seq = ?1"
    ))?;
    let mut found = Vec::new();
    for subject in subject_rows(
        sql,
        filter.subject.as_ref().map(ToString::to_string).as_deref(),
    )? {
        let mut at = Some(subject.last_seq.0);
        let mut taken = 0;
        while let Some(seq) = at.filter(|_| taken < filter.limit) {
            let Some((row, previous)) = statement
                .query_row([seq], |row| {
                    Ok((event_row(row)?, row.get::<_, Option<i64>>(14)?))
                })
                .optional()?
            else {
                break;
            };
            at = previous;
            if seq <= below && matches(&row, filter) {
                taken += 1;
                found.push(row);
            }
        }
    }
    found.sort_by_key(|row| std::cmp::Reverse(row.seq));
    found.truncate(filter.limit);
    let next = match found.last() {
        Some(row) if found.len() == filter.limit => row.seq.0 - 1,
        _ => 0,
    };
    Ok(page(found, next))
}

const DELIVERY_COLUMNS: &str = "d.seq, s.name, d.state, d.attempts, l.available, d.last_error, \
     d.replay, d.settled, e.event_id, e.event_type, e.subject, \
     coalesce(l.leased, 0), e.received, d.sink";

/// The delivery's lane is its subject's, or its own; only a head has a due time.
const DELIVERY_TABLES: &str = "deliveries d JOIN events e ON e.seq = d.seq \
     JOIN sinks s ON s.id = d.sink \
     LEFT JOIN lanes l ON l.sink = d.sink AND l.head = d.seq AND l.lane IN (e.lane, -d.seq)";

pub(super) fn deliveries(
    sql: &Connection,
    filter: &DeliveryFilter,
) -> rusqlite::Result<Page<DeliveryRow>> {
    let (from, floor) = match filter.seq {
        Some(seq) => (seq.0, seq.0 - 1),
        None => {
            let last: i64 =
                sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                    row.get(0)
                })?;
            let from = cursor(filter.cursor.as_deref()).unwrap_or(last);
            // An index leads straight to dead letters, however old they are.
            let dead = filter.state == Some(DeliveryState::Dead) && filter.sink.is_some();
            (
                from,
                if dead {
                    0
                } else {
                    from.saturating_sub(LOOKED_AT)
                },
            )
        }
    };
    // The state is spelled out, because only a literal lets the partial index be used.
    let state = match filter.state {
        Some(state) => format!("AND d.state = {}", rows::state_number(state)),
        None => String::new(),
    };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {DELIVERY_COLUMNS} FROM {DELIVERY_TABLES} \
         WHERE d.seq <= ?1 AND d.seq > ?2 {state} \
         AND (?3 IS NULL OR d.sink = (SELECT id FROM sinks WHERE name = ?3)) \
         AND (?4 IS NULL OR e.subject = ?4) AND (?5 IS NULL OR e.received >= ?5) \
         ORDER BY d.seq DESC, d.sink LIMIT ?6"
    ))?;
    let found: Vec<(DeliveryRow, i64)> = statement
        .query_map(
            params![
                from,
                floor,
                filter.sink,
                filter.subject.as_ref().map(ToString::to_string),
                filter.since.map(|at| at.as_microsecond()),
                limit(filter.limit)
            ],
            delivery_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next = match found.last() {
        Some((row, _)) if found.len() == filter.limit => row.seq.0 - 1,
        _ => floor,
    };
    let mut items = Vec::with_capacity(found.len());
    for (mut row, sink) in found {
        if filter.state.is_some_and(|wanted| wanted != row.state) {
            continue;
        }
        if filter.seq.is_some() {
            row.history = attempts(sql, row.seq, sink)?;
        }
        items.push(row);
    }
    Ok(page(items, if filter.seq.is_some() { 0 } else { next }))
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<(DeliveryRow, i64)> {
    let leased = row.get::<_, i64>(11)? == 1;
    let state = rows::state(row.get(2)?, leased);
    let available: Option<i64> = row.get(4)?;
    Ok((
        DeliveryRow {
            seq: Seq(row.get(0)?),
            sink: row.get(1)?,
            state,
            attempts: row.get(3)?,
            due_at: available
                .filter(|_| state == DeliveryState::Pending)
                .map(timestamp),
            last_error: row.get(5)?,
            replay: row.get(6)?,
            settled_at: row.get::<_, Option<i64>>(7)?.map(timestamp),
            event_id: row.get(8)?,
            event_type: row.get(9)?,
            subject: row.get(10)?,
            history: Vec::new(),
        },
        row.get(13)?,
    ))
}

fn attempts(sql: &Connection, seq: Seq, sink: i64) -> rusqlite::Result<Vec<AttemptRow>> {
    sql.prepare_cached(
        "SELECT n, ended, outcome, error FROM attempts WHERE seq = ?1 AND sink = ?2 ORDER BY n",
    )?
    .query_map(params![seq.0, sink], |row| {
        Ok(AttemptRow {
            n: row.get(0)?,
            began: None,
            ended: timestamp(row.get(1)?),
            outcome: row.get(2)?,
            error: row.get(3)?,
        })
    })?
    .collect()
}

pub(super) fn subjects(
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
    let from = cursor(filter.cursor.as_deref()).unwrap_or(last);
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
        _ => floor,
    };
    Ok(page(items, next))
}

/// A subject's rows on every route; routes are few.
fn subject_rows(sql: &Connection, subject: Option<&str>) -> rusqlite::Result<Vec<SubjectRow>> {
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

pub(super) fn unreadables(
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

pub(super) fn unreadable(
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
    let mut statement = sql.prepare_cached("SELECT id, name, pending FROM sinks ORDER BY name")?;
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
            dead: sql
                .prepare_cached(&dead)?
                .query_row([id], |row| row.get(0))?,
        });
    }
    Ok(counts)
}

fn page<T>(items: Vec<T>, next: i64) -> Page<T> {
    Page {
        items,
        next_cursor: (next > 0).then(|| next.to_string()),
    }
}

fn cursor(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
