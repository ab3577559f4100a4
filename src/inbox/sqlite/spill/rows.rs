//! The spill's statements: how an event is written, and read back as it was.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::super::rows::Parsed;
use super::super::transaction::timestamp;
use crate::event::{Event, Id, Key, Route, Subject};
use crate::inbox::numbers::{origin, origin_number};
use crate::inbox::spill::{Spilled, SpilledUnreadable};
use crate::inbox::{Offer, Unreadable};

/// Keeps `offers`, the first as `first` and each other as the next one.
pub(super) fn keep(sql: &mut Connection, first: i64, offers: &[Offer]) -> rusqlite::Result<()> {
    let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO spilled (id, key, moves_mark, event_id, event_type, event_time, subject, tag, \
         query, command, origin, source_ip, peer_ip, received, trace_parent, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16)",
    )?;
    for (id, offer) in (first..).zip(offers) {
        let event = &*offer.event;
        insert.execute(params![
            id,
            offer.key.map(|key| key.0),
            offer.moves_mark,
            event.event_id.as_ref().map(Id::as_str),
            event.event_type.as_str(),
            event.event_time,
            event.subject.as_ref().map(ToString::to_string),
            event.route.tag,
            event.route.query,
            event.command,
            origin_number(event.origin),
            event.source_ip.map(|ip| ip.to_string()),
            event.peer_ip.map(|ip| ip.to_string()),
            event.received_at.as_microsecond(),
            event.trace_parent,
            event.body.as_ref(),
        ])?;
    }
    drop(insert);
    transaction.commit()
}

pub(super) fn oldest(
    sql: &Connection,
    count: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<Spilled>> {
    let mut select = sql.prepare_cached(
        "SELECT id, key, moves_mark, event_id, event_type, event_time, subject, tag, query, \
         command, origin, source_ip, peer_ip, received, trace_parent, body \
         FROM spilled WHERE aside = 0 ORDER BY id LIMIT ?1",
    )?;
    let mut rows = select.query([count])?;
    let (mut found, mut taken) = (Vec::new(), 0);
    while taken < bytes
        && let Some(row) = rows.next()?
    {
        let spilled = spilled(row)?;
        taken += spilled.event.body.len();
        found.push(spilled);
    }
    Ok(found)
}

fn spilled(row: &Row<'_>) -> rusqlite::Result<Spilled> {
    let text = |column: usize| {
        row.get_ref(column)
            .map(|value| value.as_str_or_null().ok().flatten())
    };
    let event = Event {
        event_id: text(3)?.map(Id::new),
        event_type: Id::new(text(4)?.unwrap_or_default()),
        event_time: row.get(5)?,
        subject: text(6)?.and_then(Subject::parse),
        route: Route {
            tag: row.get(7)?,
            query: row.get(8)?,
        },
        command: row.get(9)?,
        origin: origin(row.get(10)?),
        source_ip: row.get::<_, Parsed<_>>(11)?.0,
        peer_ip: row.get::<_, Parsed<_>>(12)?.0,
        received_at: timestamp(row.get(13)?),
        trace_parent: row.get(14)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(15)?),
    };
    Ok(Spilled {
        id: row.get(0)?,
        event: Arc::new(event),
        key: row.get::<_, Option<[u8; 16]>>(1)?.map(Key),
        moves_mark: row.get(2)?,
    })
}

/// How many were removed.
pub(super) fn remove(sql: &Connection, id: i64) -> rusqlite::Result<u64> {
    let gone = sql
        .prepare_cached("DELETE FROM spilled WHERE id <= ?1 AND aside = 0")?
        .execute([id])?;
    Ok(gone as u64)
}

/// How many were set aside: one, or none when it was already.
pub(super) fn set_aside(sql: &Connection, id: i64) -> rusqlite::Result<u64> {
    let aside = sql
        .prepare_cached("UPDATE spilled SET aside = 1 WHERE id = ?1 AND aside = 0")?
        .execute([id])?;
    Ok(aside as u64)
}

pub(super) fn oldest_unreadable(
    sql: &Connection,
    count: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<SpilledUnreadable>> {
    let mut select = sql.prepare_cached(
        "SELECT id, received, reason, tag, query, source_ip, peer_ip, body FROM unreadable \
         ORDER BY id LIMIT ?1",
    )?;
    let mut rows = select.query([count])?;
    let (mut found, mut taken) = (Vec::new(), 0);
    while taken < bytes
        && let Some(row) = rows.next()?
    {
        let push = Unreadable {
            received_at: timestamp(row.get(1)?),
            reason: row.get(2)?,
            route: Route {
                tag: row.get(3)?,
                query: row.get(4)?,
            },
            source_ip: row.get::<_, Parsed<_>>(5)?.0,
            peer_ip: row.get::<_, Parsed<_>>(6)?.0,
            body: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        };
        taken += push.body.len();
        found.push(SpilledUnreadable {
            id: row.get(0)?,
            push,
        });
    }
    Ok(found)
}

pub(super) fn remove_unreadable(sql: &Connection, id: i64) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM unreadable WHERE id <= ?1")?
        .execute([id])
        .map(|_gone| ())
}

pub(super) fn unreadable(sql: &Connection) -> rusqlite::Result<u64> {
    sql.query_row("SELECT count(*) FROM unreadable", [], |row| row.get(0))
}

pub(super) fn probe(sql: &Connection) -> rusqlite::Result<()> {
    sql.execute(
        "INSERT INTO meta (key, value) VALUES ('probe', 1) \
         ON CONFLICT DO UPDATE SET value = value + 1",
        [],
    )
    .map(|_one| ())
}

pub(super) fn waiting(sql: &Connection) -> rusqlite::Result<u64> {
    sql.query_row("SELECT count(*) FROM spilled WHERE aside = 0", [], |row| {
        row.get(0)
    })
}

/// The number that no row has had, as far as the file tells.
pub(super) fn next(sql: &Connection) -> rusqlite::Result<i64> {
    sql.query_row("SELECT coalesce(max(id), 0) + 1 FROM spilled", [], |row| {
        row.get(0)
    })
}

pub(super) fn pages(sql: &Connection) -> rusqlite::Result<u64> {
    sql.query_row("PRAGMA page_count", [], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

pub(super) fn shrink(sql: &Connection) -> rusqlite::Result<()> {
    sql.execute_batch("VACUUM")
}
