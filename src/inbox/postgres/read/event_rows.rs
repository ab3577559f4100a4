//! How stored rows are read back: the numbers of the schema, and the event they make.

use tokio_postgres::Row;

use super::timestamp;
use crate::event::{Origin, Outcome, Seq};
use crate::inbox::query::{DeliveryState, EventRow};

pub(in crate::inbox::postgres) const OUTCOME_ACCEPTED: i16 = 1;
pub(in crate::inbox::postgres) const OUTCOME_STALE: i16 = 2;
pub(in crate::inbox::postgres) const STATE_PENDING: i16 = 0;
pub(in crate::inbox::postgres) const STATE_DELIVERED: i16 = 2;
pub(in crate::inbox::postgres) const STATE_DEAD: i16 = 3;
pub(in crate::inbox::postgres) const STATE_SUPERSEDED: i16 = 4;
pub(in crate::inbox::postgres) const STATE_EXPIRED: i16 = 5;
const STATE_DROPPED: i16 = 6;

/// The columns of [`event_row`], in its order; `e` is the event, `r` its route.
pub(super) const EVENT_COLUMNS: &str = "e.seq, e.event_id, e.event_type, e.event_time, e.subject, \
     e.outcome, e.command, r.tag, r.query, e.source_ip, e.peer_ip, e.received, e.origin, \
     length(e.body)";
/// How many they are.
pub(super) const EVENT_WIDTH: usize = 14;

pub(in crate::inbox::postgres) fn origin_number(origin: Origin) -> i16 {
    match origin {
        Origin::Push => 0,
        Origin::Recovered => 1,
        Origin::Replay => 2,
    }
}

pub(in crate::inbox::postgres) fn origin(number: i16) -> Origin {
    match number {
        1 => Origin::Recovered,
        2 => Origin::Replay,
        _ => Origin::Push,
    }
}

pub(super) fn outcome_number(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Accepted => OUTCOME_ACCEPTED,
        // Duplicates are not stored; asking for them finds nothing.
        Outcome::Duplicate => 0,
        Outcome::Stale => OUTCOME_STALE,
    }
}

pub(super) fn state_number(state: DeliveryState) -> i16 {
    match state {
        DeliveryState::Pending | DeliveryState::Leased => STATE_PENDING,
        DeliveryState::Delivered => STATE_DELIVERED,
        DeliveryState::Dead => STATE_DEAD,
        DeliveryState::Superseded => STATE_SUPERSEDED,
        DeliveryState::Expired => STATE_EXPIRED,
        DeliveryState::Dropped => STATE_DROPPED,
    }
}

pub(super) fn state(number: i16, leased: bool) -> DeliveryState {
    match number {
        STATE_DELIVERED => DeliveryState::Delivered,
        STATE_DEAD => DeliveryState::Dead,
        STATE_SUPERSEDED => DeliveryState::Superseded,
        STATE_EXPIRED => DeliveryState::Expired,
        STATE_DROPPED => DeliveryState::Dropped,
        _ if leased => DeliveryState::Leased,
        _ => DeliveryState::Pending,
    }
}

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
    let outcome: i16 = row.try_get(5)?;
    Ok(EventRow {
        seq: Seq(row.try_get(0)?),
        event_id: row.try_get(1)?,
        event_type: row.try_get(2)?,
        event_time: row.try_get(3)?,
        subject: row.try_get(4)?,
        outcome: if outcome == OUTCOME_STALE {
            Outcome::Stale
        } else {
            Outcome::Accepted
        },
        command: row.try_get(6)?,
        tag: row.try_get(7)?,
        query: row.try_get(8)?,
        source_ip: parsed(row, 9)?,
        peer_ip: parsed(row, 10)?,
        received_at: timestamp(row.try_get(11)?),
        origin: origin(row.try_get(12)?),
        body_bytes: unsigned(row, 13)?,
    })
}
