//! Deliveries in order: settling a lease, and moving a lane's head.
//!
//! A lane is a list of one subject's unsettled deliveries to one sink. Only its head is ever
//! leased, so at most one attempt of a subject runs, and a claim looks at lanes alone: its cost
//! does not depend on how much waits behind them.

use rusqlite::{OptionalExtension as _, params};

use super::links;
use super::transaction::Work;
use crate::inbox::numbers::{
    A_LATER_ONE_WAITS, STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED, STATE_PENDING, STATE_SUPERSEDED,
};
use crate::inbox::{Seq, Settled, Settlement, SinkId};

impl Work<'_> {
    /// Ends one lease. A lease that is no longer ours changes nothing and is reported as lost.
    pub(super) fn settle(&mut self, settled: &Settled) -> rusqlite::Result<()> {
        let (state, reason) = match &settled.settlement {
            Settlement::Delivered => (STATE_DELIVERED, None),
            Settlement::Expired => (STATE_EXPIRED, None),
            Settlement::Superseded(reason) => (STATE_SUPERSEDED, Some(&**reason)),
            Settlement::Dead(reason) => (STATE_DEAD, Some(&**reason)),
            Settlement::RetryAt(at, reason) => {
                if self.put_back(settled, at.as_microsecond(), false)? {
                    self.note_attempt(settled, STATE_PENDING, Some(reason))?;
                    self.keep_place(settled)?;
                    self.supersede_if_needless(settled)?;
                }
                return Ok(());
            }
            Settlement::Released => return self.release(settled),
        };
        if self.settle_finally(settled, state, reason)? {
            self.note_attempt(settled, state, reason)?;
        }
        Ok(())
    }

    fn release(&mut self, settled: &Settled) -> rusqlite::Result<()> {
        // Put back as it was found: of an interrupted attempt nothing more is known now.
        if self.put_back(settled, self.now, settled.interrupted)? {
            self.sql
                .prepare(
                    "UPDATE deliveries SET attempts = attempts - 1 WHERE seq = ?1 AND sink = ?2",
                )?
                .execute(params![settled.seq.0, settled.sink.0])?;
            self.forget_send(settled)?;
            // Whether a later one may take the place of an interrupted attempt is for the claim, which knows
            // whether its answer is needed.
            if !settled.interrupted {
                self.supersede_if_needless(settled)?;
            }
        }
        Ok(())
    }

    fn settle_finally(
        &mut self,
        settled: &Settled,
        state: i16,
        error: Option<&str>,
    ) -> rusqlite::Result<bool> {
        // Most lanes hold one delivery: then one statement proves the lease and ends the lane.
        let ended = self
            .sql
            .prepare(
                "DELETE FROM lanes WHERE sink = ?1 AND lane = ?2 AND token = ?3 AND tail = ?4",
            )?
            .execute(params![
                settled.sink.0,
                settled.lane,
                settled.token,
                settled.seq.0
            ])?;
        if ended == 0 && !self.move_head(settled)? {
            self.lost.push((settled.seq, settled.sink));
            return Ok(false);
        }
        self.settled_as(settled.seq, settled.sink, (state, error))?;
        Ok(true)
    }

    fn settled_as(
        &mut self,
        seq: Seq,
        sink: SinkId,
        (state, error): (i16, Option<&str>),
    ) -> rusqlite::Result<()> {
        self.sql
            .prepare(
                "UPDATE deliveries SET state = ?3, settled = ?4, last_error = coalesce(?5, last_error) \
                 WHERE seq = ?1 AND sink = ?2",
            )?
            .execute(params![seq.0, sink.0, state, self.now, error])?;
        self.cache.pending(sink, -1);
        Ok(())
    }

    /// Makes the next delivery of the lane its head, due at once. False when the lease was lost.
    fn move_head(&mut self, settled: &Settled) -> rusqlite::Result<bool> {
        let next = self.next_of(settled.seq, settled.sink)?;
        let moved = self
            .sql
            .prepare(
                "UPDATE lanes SET head = ?4, leased = 0, available = ?5, token = NULL \
                 WHERE sink = ?1 AND lane = ?2 AND token = ?3 AND ?4 IS NOT NULL",
            )?
            .execute(params![
                settled.sink.0,
                settled.lane,
                settled.token,
                next,
                self.now
            ])?;
        Ok(moved == 1)
    }

    fn next_of(&self, seq: Seq, sink: SinkId) -> rusqlite::Result<Option<i64>> {
        self.sql
            .prepare("SELECT next FROM deliveries WHERE seq = ?1 AND sink = ?2")?
            .query_row(params![seq.0, sink.0], |row| row.get(0))
            .optional()
            .map(Option::flatten)
    }

    fn put_back(
        &mut self,
        settled: &Settled,
        available: i64,
        interrupted: bool,
    ) -> rusqlite::Result<bool> {
        let held = self
            .sql
            .prepare(
                "UPDATE lanes SET leased = ?5, available = ?4, token = NULL \
                 WHERE sink = ?1 AND lane = ?2 AND token = ?3",
            )?
            .execute(params![
                settled.sink.0,
                settled.lane,
                settled.token,
                available,
                interrupted
            ])?;
        if held == 0 {
            self.lost.push((settled.seq, settled.sink));
        }
        Ok(held == 1)
    }

    /// A delivery whose answer is needed stays, whatever comes after it.
    fn keep_place(&self, settled: &Settled) -> rusqlite::Result<()> {
        if settled.report.as_ref().is_some_and(|report| report.unsure) {
            self.sql
                .prepare("UPDATE deliveries SET latest = 0 WHERE seq = ?1 AND sink = ?2")?
                .execute(params![settled.seq.0, settled.sink.0])?;
        }
        Ok(())
    }

    /// A delivery that was put back is not needed once a later one of its kind waits.
    fn supersede_if_needless(&mut self, settled: &Settled) -> rusqlite::Result<()> {
        if self.is_needless(settled.seq, settled.sink, settled.lane)? {
            self.supersede(settled.seq, settled.sink)?;
        }
        Ok(())
    }

    /// Whether a later delivery of the same kind waits behind this one.
    pub(super) fn is_needless(&self, seq: Seq, sink: SinkId, lane: i64) -> rusqlite::Result<bool> {
        self.sql
            .prepare(
                "SELECT EXISTS (SELECT 1 FROM lanes l JOIN deliveries d ON d.seq = ?3 AND d.sink = ?1 \
                 WHERE l.sink = ?1 AND l.lane = ?2 AND l.latest > ?3 AND d.latest = 1)",
            )?
            .query_row(params![sink.0, lane, seq.0], |row| row.get(0))
    }

    /// Takes a delivery that waits out of its lane.
    pub(super) fn supersede(&mut self, seq: Seq, sink: SinkId) -> rusqlite::Result<()> {
        links::unlink(self.sql.connection(), seq, sink, self.now)?;
        self.settled_as(seq, sink, (STATE_SUPERSEDED, Some(A_LATER_ONE_WAITS)))?;
        self.superseded.push((seq, sink));
        Ok(())
    }

    /// Notes that a delivery which is superseded once a later one waits now waits itself, at the
    /// lane's end; those before it are superseded, unless an attempt is running or was interrupted.
    pub(super) fn note_latest(
        &mut self,
        seq: Seq,
        sink: SinkId,
        lane: i64,
    ) -> rusqlite::Result<()> {
        // Only the head may have been attempted, so at most it and the latest are of this kind.
        let (head, latest, running): (i64, Option<i64>, bool) = self
            .sql
            .prepare(
                "SELECT head, latest, leased = 1 FROM lanes \
                 WHERE sink = ?1 AND lane = ?2",
            )?
            .query_row(params![sink.0, lane], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let latest = latest.filter(|latest| *latest != head);
        let head = Some(head).filter(|_| !running);
        for before in [head, latest].into_iter().flatten() {
            if before < seq.0 && self.waits(Seq(before), sink)? {
                self.supersede(Seq(before), sink)?;
            }
        }
        self.sql
            .prepare("UPDATE lanes SET latest = ?3 WHERE sink = ?1 AND lane = ?2")?
            .execute(params![sink.0, lane, seq.0])
            .map(|_one| ())
    }

    /// Whether a delivery that may be superseded is unsettled.
    fn waits(&self, seq: Seq, sink: SinkId) -> rusqlite::Result<bool> {
        self.sql
            .prepare(
                "SELECT state = 0 AND latest = 1 FROM deliveries WHERE seq = ?1 AND sink = ?2",
            )?
            .query_row(params![seq.0, sink.0], |row| row.get(0))
            .optional()
            .map(Option::unwrap_or_default)
    }
}
