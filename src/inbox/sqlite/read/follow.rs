//! Following the events.
//!
//! One thread gives out positions and commits them, in this order: what is committed is complete up
//! to the newest position.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{EVENT_COLUMNS, LOOKED_AT, event_row, limit};
use crate::inbox::numbers::outcome_number;
use crate::inbox::query::{EventFilter, EventRow};
use crate::inbox::{Followed, Horizon, Seq, Stretch};

pub(in crate::inbox::sqlite) fn horizon(sql: &Connection) -> rusqlite::Result<Horizon> {
    // Not the newest event: that one may have been removed.
    let newest = number(sql, "seq")?;
    Ok(Horizon {
        complete: newest,
        drawn: newest,
    })
}

pub(in crate::inbox::sqlite) fn follow(
    sql: &Connection,
    stretch: Stretch,
    filter: &EventFilter,
) -> rusqlite::Result<Followed> {
    let after = stretch.after.0;
    let end = stretch
        .upto
        .0
        .min(after.saturating_add(LOOKED_AT))
        .max(after);
    let mut items: Vec<EventRow> = sql
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM events e JOIN routes r ON r.id = e.route \
             WHERE e.seq > ?1 AND e.seq <= ?2 \
             AND (?3 IS NULL OR e.event_type = ?3) AND (?4 IS NULL OR e.outcome = ?4) \
             AND (?5 IS NULL OR e.subject = ?5) AND (?6 IS NULL OR e.event_id = ?6) \
             AND (?7 IS NULL OR e.received >= ?7) ORDER BY e.seq LIMIT ?8"
        ))?
        .query_map(
            params![
                after,
                end,
                filter.event_type,
                filter.outcome.map(outcome_number),
                filter.subject.as_ref().map(ToString::to_string),
                filter.event_id,
                filter.since.map(|at| at.as_microsecond()),
                limit(filter.limit)
            ],
            event_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let upto = match items.last() {
        Some(row) if items.len() == filter.limit => row.seq,
        _ => Seq(end),
    };
    items.retain(|row| filter.matches(row));
    Ok(Followed {
        items,
        upto,
        // Behind the rows: what goes meanwhile is said rather than left out.
        pruned: number(sql, "pruned")?,
    })
}

fn number(sql: &Connection, name: &str) -> rusqlite::Result<Seq> {
    let value: Option<i64> = sql
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(Seq(value.unwrap_or(0)))
}
