//! Which deliveries a person means, as SQL: the same for lists and for changes.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::subjects::subject_rows;
use super::{LOOKED_AT, keys_of, no_such_place};
use crate::inbox::cursor::Place;
use crate::inbox::numbers::{STATE_DEAD, state_number};
use crate::inbox::query::{DeliveryFilter, DeliveryState};

/// Dead letters looked at for one page: fewer, because the event of each has to be looked up apart.
const DEAD_LOOKED_AT: i64 = 5_000;

/// Conditions joined by AND, with a value for each `?` in them.
#[derive(Debug, Default)]
pub(super) struct Selection {
    text: String,
    values: Vec<Value>,
}

impl Selection {
    /// What `filter` says of the delivery `d`, its event `e` and its lane `l`. `seq` is the column
    /// that leads to the rows.
    pub(super) fn of(filter: &DeliveryFilter, seq: &str) -> Self {
        let mut these = Self::default();
        if let Some(at) = filter.seq {
            these.and(&format!("{seq} = ?"), [at.0.into()]);
        }
        if let Some(id) = &filter.event_id {
            let (low, high) = keys_of(id);
            let keys = format!("{seq} IN (SELECT seq FROM keys WHERE key BETWEEN ? AND ?)");
            these.and(&keys, [low.to_vec().into(), high.to_vec().into()]);
            these.and("e.event_id = ?", [id.clone().into()]);
        }
        if let Some(state) = filter.state {
            // Spelled out, because only a literal lets the partial index be used.
            these.and(&format!("d.state = {}", state_number(state)), []);
            match state {
                DeliveryState::Pending => these.and("coalesce(l.leased, 0) = 0", []),
                DeliveryState::Leased => these.and("l.leased = 1", []),
                _ => {}
            }
        }
        if let Some(subject) = &filter.subject {
            these.and("e.subject = ?", [subject.to_string().into()]);
        }
        if let Some(event_type) = &filter.event_type {
            these.and("e.event_type = ?", [event_type.clone().into()]);
        }
        if let Some(since) = filter.since {
            these.and("e.received >= ?", [since.as_microsecond().into()]);
        }
        if let Some(until) = filter.until {
            these.and("e.received < ?", [until.as_microsecond().into()]);
        }
        these
    }

    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
        self.values.extend(values);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// Whether so few rows are meant that all are looked at: an index leads to them.
pub(super) fn is_narrow(filter: &DeliveryFilter) -> bool {
    filter.seq.is_some() || filter.event_id.is_some()
}

/// Where a page begins that `text` asks for; fails for what no page ever gave out.
pub(super) fn place(text: &str) -> rusqlite::Result<Place> {
    Place::parse(text).ok_or_else(no_such_place)
}

/// Which way a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    NewestFirst,
    OldestFirst,
}

/// The last position that a page which begins at `from` looks at, at most; `None` when it may look
/// at all there are.
pub(super) fn last_looked_at(
    sql: &Connection,
    filter: &DeliveryFilter,
    (from, way): (i64, Way),
) -> rusqlite::Result<Option<i64>> {
    if is_narrow(filter) {
        return Ok(None);
    }
    let dead = filter.state == Some(DeliveryState::Dead);
    let Some(sink) = filter.sink.as_ref().filter(|_| dead) else {
        return Ok(Some(match way {
            Way::NewestFirst => from.saturating_sub(LOOKED_AT - 1),
            Way::OldestFirst => from.saturating_add(LOOKED_AT - 1),
        }));
    };
    // An index leads straight to dead letters, however old they are.
    let (side, order) = match way {
        Way::NewestFirst => ("<=", "DESC"),
        Way::OldestFirst => (">=", "ASC"),
    };
    sql.prepare_cached(&format!(
        "SELECT seq FROM deliveries WHERE sink = (SELECT id FROM sinks WHERE name = ?1) \
         AND state = {STATE_DEAD} AND seq {side} ?2 ORDER BY seq {order} LIMIT 1 OFFSET ?3"
    ))?
    .query_row(params![sink, from, DEAD_LOOKED_AT - 1], |row| row.get(0))
    .optional()
}

/// The position of the newest event that may be meant, or `upto` when that is before it.
pub(super) fn newest(sql: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<i64> {
    let mut last: i64 = sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
        row.get(0)
    })?;
    if let Some(subject) = &filter.subject {
        // A page looks only so far: let it not be in vain for a subject that was quiet for long.
        let rows = subject_rows(sql, Some(&subject.to_string()))?;
        let newest = rows.iter().map(|row| row.last_seq.0).max();
        last = newest.map_or(last, |newest| newest.min(last));
    }
    Ok(filter.upto.map_or(last, |upto| last.min(upto.0)))
}
