//! How the row of an event is read back.

use bytes::Bytes;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, params};

use super::cache::Cache;
use super::statements::Statements;
use super::transaction::timestamp;
use crate::event::{Event, Id, Subject};
use crate::inbox::Seq;
use crate::inbox::numbers::{OUTCOME_STALE, origin, outcome};
use crate::inbox::query::EventRow;

/// The columns of [`event_row`], in its order; `e` is the event, `r` its route.
pub(super) const EVENT_COLUMNS: &str = "e.seq, e.event_id, e.event_type, e.event_time, e.subject, \
     e.outcome, e.command, r.tag, r.query, e.source_ip, e.peer_ip, e.received, e.origin, \
     length(e.body)";

/// A text column that parses, or is absent.
pub(super) struct Parsed<T>(pub(super) Option<T>);

impl<T: std::str::FromStr> FromSql for Parsed<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Self(None)),
            ValueRef::Text(text) => Ok(Self(
                std::str::from_utf8(text)
                    .ok()
                    .and_then(|text| text.parse().ok()),
            )),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

pub(super) fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: Seq(row.get(0)?),
        event_id: row.get(1)?,
        event_type: row.get(2)?,
        event_time: row.get(3)?,
        subject: row.get(4)?,
        outcome: outcome(row.get(5)?),
        command: row.get(6)?,
        tag: row.get(7)?,
        query: row.get(8)?,
        source_ip: row.get::<_, Parsed<_>>(9)?.0,
        peer_ip: row.get::<_, Parsed<_>>(10)?.0,
        received_at: timestamp(row.get(11)?),
        origin: origin(row.get(12)?),
        body_bytes: row.get(13)?,
        title: None,
        severity: None,
    })
}

/// Reads the event at `seq` back for delivery, and whether it was stored as stale.
pub(super) fn load_event(
    sql: &Statements<'_>,
    cache: &Cache,
    seq: Seq,
) -> rusqlite::Result<(Event, bool)> {
    sql.prepare(
        "SELECT event_id, event_type, event_time, subject, route, command, source_ip, peer_ip, \
         received, origin, trace_parent, body, outcome FROM events WHERE seq = ?1",
    )?
    .query_row(params![seq.0], |row| {
        let text = |column: usize| {
            row.get_ref(column)
                .map(|value| value.as_str_or_null().ok().flatten())
        };
        let event = Event {
            event_id: text(0)?.map(Id::new),
            event_type: Id::new(text(1)?.unwrap_or_default()),
            event_time: row.get(2)?,
            subject: text(3)?.and_then(Subject::parse),
            route: cache.routes.route(row.get(4)?),
            command: row.get(5)?,
            source_ip: row.get::<_, Parsed<_>>(6)?.0,
            peer_ip: row.get::<_, Parsed<_>>(7)?.0,
            received_at: timestamp(row.get(8)?),
            origin: origin(row.get(9)?),
            trace_parent: row.get(10)?,
            body: Bytes::from(row.get::<_, Vec<u8>>(11)?),
        };
        Ok((event, row.get::<_, i16>(12)? == OUTCOME_STALE))
    })
}
