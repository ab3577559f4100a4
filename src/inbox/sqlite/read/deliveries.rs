//! Lists of deliveries, with the attempts that were kept.

use rusqlite::{Connection, Row, params, params_from_iter};

use super::selection::{Selection, Way, is_narrow, last_looked_at, newest, place};
use super::{going_on, limit, timestamp};
use crate::inbox::Seq;
use crate::inbox::cursor::{Place, cut};
use crate::inbox::numbers::{begun, state};
use crate::inbox::query::{AttemptRow, DeliveryFilter, DeliveryRow, DeliveryState, Page};

const DELIVERY_COLUMNS: &str = "d.seq, s.name, d.state, d.attempts, l.available, d.last_error, \
     d.replay, d.settled, e.event_id, e.event_type, e.subject, \
     coalesce(l.leased, 0), d.sink";

/// The delivery's lane is its subject's, or its own; only a head has a due time.
const DELIVERY_TABLES: &str = "deliveries d JOIN events e ON e.seq = d.seq \
     JOIN sinks s ON s.id = d.sink \
     LEFT JOIN lanes l ON l.sink = d.sink AND l.head = d.seq AND l.lane IN (e.lane, -d.seq)";

pub(in crate::inbox::sqlite) fn deliveries(
    sql: &Connection,
    filter: &DeliveryFilter,
) -> rusqlite::Result<Page<DeliveryRow>> {
    let last = newest(sql, filter)?;
    let from = match &filter.cursor {
        Some(cursor) => place(cursor)?,
        None => Place::before(last),
    };
    let end = last_looked_at(sql, filter, (from.seq, Way::NewestFirst))?;
    let end = end.map_or(1, |end| end.max(1));
    let mut given = Selection::of(filter, "d.seq");
    if let Some(name) = &filter.sink {
        given.and(
            "d.sink = (SELECT id FROM sinks WHERE name = ?)",
            [name.clone().into()],
        );
    }
    // A range would only lead away from the index of the few rows meant.
    let seq = if is_narrow(filter) { "+d.seq" } else { "d.seq" };
    given.and(
        &format!("{seq} <= ? AND ({seq} < ? OR d.sink > ?) AND {seq} >= ?"),
        [from.seq.min(last), from.seq, from.sink, end].map(Into::into),
    );
    let values = given.values().iter().cloned();
    let values = values.chain([limit(filter.limit.saturating_add(1)).into()]);
    let mut found: Vec<(DeliveryRow, i64)> = sql
        .prepare_cached(&format!(
            "SELECT {DELIVERY_COLUMNS} FROM {DELIVERY_TABLES} WHERE {} \
             ORDER BY d.seq DESC, d.sink LIMIT ?",
            given.text()
        ))?
        .query_map(params_from_iter(values), delivery_row)?
        .collect::<rusqlite::Result<_>>()?;
    let end_of = |(row, sink): &(DeliveryRow, i64)| Place::of(row.seq, *sink);
    let next = match cut(&mut found, filter.limit, end_of) {
        Some(next) => Some(next),
        None => next_below(sql, filter, end)?,
    };
    let mut items = Vec::with_capacity(found.len());
    for (mut row, sink) in found {
        if filter.seq.is_some() {
            row.history = attempts(sql, row.seq, sink)?;
        }
        items.push(row);
    }
    Ok(Page {
        items,
        next_cursor: next.map(Place::to_cursor),
    })
}

/// Where a list goes on that looked at everything down to `end`, if there may be more.
fn next_below(
    sql: &Connection,
    filter: &DeliveryFilter,
    end: i64,
) -> rusqlite::Result<Option<Place>> {
    let below: i64 = sql
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE seq < ?1")?
        .query_row([end], |row| row.get(0))?;
    let next = going_on(sql, below, filter.since)?;
    Ok((next > 0).then(|| Place::before(next)))
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<(DeliveryRow, i64)> {
    let leased = row.get::<_, i64>(11)? == 1;
    let state = state(row.get(2)?, leased);
    let available: Option<i64> = row.get(4)?;
    let last_error: Option<String> = row.get(5)?;
    Ok((
        DeliveryRow {
            seq: Seq(row.get(0)?),
            sink: row.get(1)?,
            state,
            attempts: begun(row.get(3)?, state, last_error.as_deref()),
            due_at: available
                .filter(|_| state == DeliveryState::Pending)
                .map(timestamp),
            last_error,
            replay: row.get(6)?,
            settled_at: row.get::<_, Option<i64>>(7)?.map(timestamp),
            event_id: row.get(8)?,
            event_type: row.get(9)?,
            subject: row.get(10)?,
            history: Vec::new(),
        },
        row.get(12)?,
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
