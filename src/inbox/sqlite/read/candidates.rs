//! What a person may change, oldest first: a replay goes to the end of its lane, so that only this
//! order keeps a subject's events in theirs.

use rusqlite::{Connection, Row, params_from_iter};

use super::selection::{Selection, Way, is_narrow, last_looked_at, newest, place};
use super::{limit, timestamp};
use crate::inbox::cursor::{Place, cut};
use crate::inbox::numbers::{OUTCOME_STALE, state};
use crate::inbox::query::{Candidate, DeliveryFilter, Page};
use crate::inbox::{Seq, SinkId};

const COLUMNS: &str = "e.seq, s.id, s.name, d.state, coalesce(l.leased, 0), e.event_id, \
     e.event_type, e.command, e.outcome, CASE l.leased WHEN 1 THEN l.available END";

const LANES: &str =
    "LEFT JOIN lanes l ON l.sink = d.sink AND l.head = d.seq AND l.lane IN (e.lane, -d.seq)";

pub(in crate::inbox::sqlite) fn candidates(
    sql: &Connection,
    filter: &DeliveryFilter,
    create: bool,
) -> rusqlite::Result<Page<Candidate>> {
    // Events lead where some have no delivery; deliveries lead otherwise, along their own index.
    let (tables, seq, sink) = if create {
        let joins = "events e JOIN sinks s ON s.name = ? \
             LEFT JOIN deliveries d ON d.seq = e.seq AND d.sink = s.id";
        (format!("{joins} {LANES}"), "e.seq", "s.id")
    } else {
        let joins = "deliveries d JOIN events e ON e.seq = d.seq JOIN sinks s ON s.id = d.sink";
        (format!("{joins} {LANES}"), "d.seq", "d.sink")
    };
    let last = newest(sql, filter)?;
    let from = match &filter.cursor {
        Some(cursor) => place(cursor)?,
        None => Place::before(0),
    };
    let end = last_looked_at(sql, filter, (from.seq, Way::OldestFirst))?;
    let end = end.map_or(last, |end| end.min(last));
    // What stands in the tables comes before the conditions.
    let mut values = Vec::new();
    let mut given = Selection::of(filter, seq);
    if let Some(name) = &filter.sink {
        if create {
            values.push(name.clone().into());
        } else {
            given.and(
                "d.sink = (SELECT id FROM sinks WHERE name = ?)",
                [name.clone().into()],
            );
        }
    }
    // A range would only lead away from the index of the few rows meant.
    let plain = if is_narrow(filter) { "+" } else { "" };
    given.and(
        &format!("{plain}{seq} >= ? AND ({plain}{seq} > ? OR {sink} > ?) AND {plain}{seq} <= ?"),
        [from.seq, from.seq, from.sink, end].map(Into::into),
    );
    values.extend_from_slice(given.values());
    values.push(limit(filter.limit.saturating_add(1)).into());
    let mut items: Vec<Candidate> = sql
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM {tables} WHERE {} ORDER BY {seq}, {sink} LIMIT ?",
            given.text()
        ))?
        .query_map(params_from_iter(values), candidate)?
        .collect::<rusqlite::Result<_>>()?;
    let end_of = |row: &Candidate| Place::of(row.seq, row.sink.0);
    let next = cut(&mut items, filter.limit, end_of);
    let next = next.or_else(|| (end < last).then(|| Place::before(end + 1)));
    Ok(Page {
        items,
        next_cursor: next.map(Place::to_cursor),
    })
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let leased = row.get::<_, i64>(4)? == 1;
    Ok(Candidate {
        seq: Seq(row.get(0)?),
        sink: SinkId(row.get(1)?),
        name: row.get(2)?,
        state: row
            .get::<_, Option<i16>>(3)?
            .map(|number| state(number, leased)),
        leased_until: row.get::<_, Option<i64>>(9)?.map(timestamp),
        event_id: row.get(5)?,
        event_type: row.get(6)?,
        command: row.get(7)?,
        stale: row.get::<_, i16>(8)? == OUTCOME_STALE,
    })
}
