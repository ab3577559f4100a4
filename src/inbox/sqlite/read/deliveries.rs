//! Lists of deliveries, with the attempts that were kept.

use rusqlite::{Connection, Row, params};

use super::{LOOKED_AT, cursor, limit, page, rows, timestamp};
use crate::inbox::Seq;
use crate::inbox::query::{AttemptRow, DeliveryFilter, DeliveryRow, DeliveryState, Page};

const DELIVERY_COLUMNS: &str = "d.seq, s.name, d.state, d.attempts, l.available, d.last_error, \
     d.replay, d.settled, e.event_id, e.event_type, e.subject, \
     coalesce(l.leased, 0), e.received, d.sink";

/// The delivery's lane is its subject's, or its own; only a head has a due time.
const DELIVERY_TABLES: &str = "deliveries d JOIN events e ON e.seq = d.seq \
     JOIN sinks s ON s.id = d.sink \
     LEFT JOIN lanes l ON l.sink = d.sink AND l.head = d.seq AND l.lane IN (e.lane, -d.seq)";

pub(in crate::inbox::sqlite) fn deliveries(
    sql: &Connection,
    filter: &DeliveryFilter,
) -> rusqlite::Result<Page<DeliveryRow>> {
    let (from, floor) = match filter.seq {
        Some(seq) => (seq.0, seq.0.saturating_sub(1)),
        None => {
            let last: i64 =
                sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                    row.get(0)
                })?;
            let from = cursor(filter.cursor.as_deref())?.unwrap_or(last);
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
        "SELECT n, began, ended, outcome, error, status, answer FROM attempts \
         WHERE seq = ?1 AND sink = ?2 ORDER BY n",
    )?
    .query_map(params![seq.0, sink], |row| {
        Ok(AttemptRow {
            n: row.get(0)?,
            began: row.get::<_, Option<i64>>(1)?.map(timestamp),
            ended: timestamp(row.get(2)?),
            outcome: row.get(3)?,
            error: row.get(4)?,
            status: row.get(5)?,
            answer: row.get(6)?,
        })
    })?
    .collect()
}
