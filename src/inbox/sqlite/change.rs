//! What people change by hand: deliveries replayed or given up, with a line in the audit.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::audit::write_down;
use super::cache::Cache;
use super::links;
use super::writer::Writer;
use crate::inbox::numbers::{STATE_DEAD, STATE_DROPPED, STATE_PENDING};
use crate::inbox::{Audit, Change, Changed, Order, Seq, SinkId, What};

/// A change under way.
struct Hand<'a> {
    sql: &'a Connection,
    cache: &'a mut Cache,
    now: i64,
}

/// Applies `changes` in one transaction.
pub(super) fn change(
    writer: &mut Writer,
    (changes, audit): (&[Change], &Audit),
    now: Timestamp,
) -> rusqlite::Result<Vec<Changed>> {
    let before = (writer.cache.last_seq, writer.cache.events);
    let transaction = writer.connection.transaction()?;
    let mut hand = Hand {
        sql: &transaction,
        cache: &mut writer.cache,
        now: now.as_microsecond(),
    };
    let changed = changes
        .iter()
        .map(|change| match change.what {
            What::Replay(order) => hand.replay(change.seq, change.sink, order),
            What::Drop => hand.drop(change, &audit.reason),
        })
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let count = changed
        .iter()
        .filter(|done| **done == Changed::Done)
        .count();
    write_down(&transaction, audit, (count, now))?;
    writer.cache.store(&transaction, before)?;
    transaction.commit()?;
    Ok(changed)
}

impl Hand<'_> {
    /// Makes the delivery wait again, behind all that waits of its subject; or makes it, where the
    /// event was not meant for the sink when it came.
    fn replay(&mut self, seq: Seq, sink: SinkId, order: Order) -> rusqlite::Result<Changed> {
        let lane: Option<i64> = self
            .sql
            .prepare_cached("SELECT lane FROM events WHERE seq = ?1")?
            .query_row([seq.0], |row| row.get(0))
            .optional()?;
        let Some(lane) = lane else {
            return Ok(Changed::Gone);
        };
        if self.state(seq, sink)? == Some(STATE_PENDING) {
            return Ok(if self.is_running(seq, sink)? {
                Changed::Running
            } else {
                Changed::Waiting
            });
        }
        let lane = if order == Order::None { -seq.0 } else { lane };
        let before = self.append(seq, sink, lane)?;
        self.sql
            .prepare_cached(
                "INSERT INTO deliveries (seq, sink, state, attempts, replay, previous) \
                 VALUES (?1, ?2, 0, 0, 1, ?3) ON CONFLICT DO UPDATE SET state = 0, attempts = 0, \
                 replay = 1, previous = ?3, next = NULL, settled = NULL, latest = 0",
            )?
            .execute(params![seq.0, sink.0, before])?;
        self.cache.pending(sink, 1);
        Ok(Changed::Done)
    }

    /// Puts `seq` at the end of a lane, and says which stands before it.
    fn append(&self, seq: Seq, sink: SinkId, lane: i64) -> rusqlite::Result<Option<i64>> {
        let before: Option<i64> = self
            .sql
            .prepare_cached("SELECT tail FROM lanes WHERE sink = ?1 AND lane = ?2")?
            .query_row(params![sink.0, lane], |row| row.get(0))
            .optional()?;
        match before {
            None => self
                .sql
                .prepare_cached(
                    "INSERT INTO lanes (sink, lane, head, tail, leased, available) \
                     VALUES (?1, ?2, ?3, ?3, 0, ?4)",
                )?
                .execute(params![sink.0, lane, seq.0, self.now])?,
            Some(before) => {
                self.sql
                    .prepare_cached("UPDATE deliveries SET next = ?3 WHERE seq = ?1 AND sink = ?2")?
                    .execute(params![before, sink.0, seq.0])?;
                self.sql
                    .prepare_cached("UPDATE lanes SET tail = ?3 WHERE sink = ?1 AND lane = ?2")?
                    .execute(params![sink.0, lane, seq.0])?
            }
        };
        Ok(before)
    }

    fn drop(&mut self, change: &Change, reason: &str) -> rusqlite::Result<Changed> {
        let (seq, sink) = (change.seq, change.sink);
        match self.state(seq, sink)? {
            None => return Ok(Changed::Gone),
            Some(STATE_PENDING) if self.is_running(seq, sink)? => return Ok(Changed::Running),
            Some(STATE_PENDING) => {
                links::unlink(self.sql, seq, sink, self.now)?;
                self.cache.pending(sink, -1);
            }
            Some(STATE_DEAD) => {}
            Some(_) => return Ok(Changed::Settled),
        }
        self.sql
            .prepare_cached(
                "UPDATE deliveries SET state = ?3, settled = ?4, last_error = ?5 \
                 WHERE seq = ?1 AND sink = ?2",
            )?
            .execute(params![
                seq.0,
                sink.0,
                STATE_DROPPED,
                self.now,
                format!("dropped by hand: {reason}")
            ])?;
        Ok(Changed::Done)
    }

    fn state(&self, seq: Seq, sink: SinkId) -> rusqlite::Result<Option<i16>> {
        self.sql
            .prepare_cached("SELECT state FROM deliveries WHERE seq = ?1 AND sink = ?2")?
            .query_row(params![seq.0, sink.0], |row| row.get(0))
            .optional()
    }

    fn is_running(&self, seq: Seq, sink: SinkId) -> rusqlite::Result<bool> {
        let place = links::place(self.sql, seq, sink)?;
        Ok(place.is_some_and(|place| place.is_leased(self.now)))
    }
}
