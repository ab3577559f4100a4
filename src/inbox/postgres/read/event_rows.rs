//! How the row of an event is read back.

use tokio_postgres::Row;

use super::timestamp;
use crate::event::Seq;
use crate::inbox::numbers::{origin, outcome};
use crate::inbox::query::EventRow;

/// The columns of [`event_row`], in its order; `e` is the event, `r` its route.
pub(super) const EVENT_COLUMNS: &str = "e.seq, e.event_id, e.event_type, e.event_time, e.subject, \
     e.outcome, e.command, r.tag, r.query, e.source_ip, e.peer_ip, e.received, e.origin, \
     length(e.body)";
/// How many they are.
pub(super) const EVENT_WIDTH: usize = 14;

/// A text column that parses, or is absent.
pub(super) fn parsed<T: std::str::FromStr>(
    row: &Row,
    column: usize,
) -> Result<Option<T>, tokio_postgres::Error> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// A number that cannot be negative.
pub(super) fn unsigned(row: &Row, column: usize) -> Result<u64, tokio_postgres::Error> {
    let number: i32 = row.try_get(column)?;
    Ok(u64::try_from(number).unwrap_or_default())
}

pub(super) fn event_row(row: &Row) -> Result<EventRow, tokio_postgres::Error> {
    Ok(EventRow {
        seq: Seq(row.try_get(0)?),
        event_id: row.try_get(1)?,
        event_type: row.try_get(2)?,
        event_time: row.try_get(3)?,
        subject: row.try_get(4)?,
        outcome: outcome(row.try_get(5)?),
        command: row.try_get(6)?,
        tag: row.try_get(7)?,
        query: row.try_get(8)?,
        source_ip: parsed(row, 9)?,
        peer_ip: parsed(row, 10)?,
        received_at: timestamp(row.try_get(11)?),
        origin: origin(row.try_get(12)?),
        body_bytes: unsigned(row, 13)?,
        title: None,
        severity: None,
    })
}
