//! Deliveries in order: settling a lease, moving a lane's head, claiming what is due.
//!
//! A lane is a list of one subject's unsettled deliveries to one sink. Only its head is ever
//! leased, so at most one attempt of a subject runs, and a claim looks at lanes alone: its cost
//! does not depend on how much waits behind them.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use super::rows::{self, STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED};
use super::transaction::Work;
use crate::inbox::{Claim, Lease, Seq, Settled, Settlement, SinkId};

/// Attempts kept of one delivery.
const KEPT_ATTEMPTS: u32 = 20;

impl Work<'_> {
    /// Ends one lease. A lease that is no longer ours changes nothing and is reported as lost.
    pub(super) fn settle(&mut self, settled: &Settled) -> rusqlite::Result<()> {
        match &settled.settlement {
            Settlement::Delivered => self.settle_finally(settled, STATE_DELIVERED, None),
            Settlement::Expired => self.settle_finally(settled, STATE_EXPIRED, None),
            Settlement::Dead(reason) => {
                if self.settle_finally(settled, STATE_DEAD, Some(reason))? {
                    self.keep_attempt(settled, "dead", reason)?;
                }
                Ok(true)
            }
            Settlement::RetryAt(at, reason) => {
                let held = self.put_back(settled, at.as_microsecond(), false)?;
                if held {
                    self.sql
                        .prepare(
                            "UPDATE deliveries SET last_error = ?3 WHERE seq = ?1 AND sink = ?2",
                        )?
                        .execute(params![settled.seq.0, settled.sink.0, reason])?;
                    self.keep_attempt(settled, "retried", reason)?;
                }
                Ok(held)
            }
            Settlement::Released => {
                // Put back as it was found: of an interrupted attempt nothing more is known now.
                let held = self.put_back(settled, self.now, settled.interrupted)?;
                if held {
                    self.sql
                        .prepare(
                            "UPDATE deliveries SET attempts = attempts - 1 WHERE seq = ?1 AND sink = ?2",
                        )?
                        .execute(params![settled.seq.0, settled.sink.0])?;
                }
                Ok(held)
            }
        }
        .map(|_held| ())
    }

    fn settle_finally(
        &mut self,
        settled: &Settled,
        state: i64,
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
        self.sql
            .prepare(
                "UPDATE deliveries SET state = ?3, settled = ?4, last_error = coalesce(?5, last_error) \
                 WHERE seq = ?1 AND sink = ?2",
            )?
            .execute(params![settled.seq.0, settled.sink.0, state, self.now, error])?;
        self.cache.pending(settled.sink, -1);
        Ok(true)
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

    pub(super) fn next_of(&self, seq: Seq, sink: SinkId) -> rusqlite::Result<Option<i64>> {
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

    fn keep_attempt(
        &mut self,
        settled: &Settled,
        outcome: &str,
        error: &str,
    ) -> rusqlite::Result<()> {
        self.sql
            .prepare(
                "INSERT OR REPLACE INTO attempts (seq, sink, n, ended, outcome, error) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                settled.seq.0,
                settled.sink.0,
                settled.attempt,
                self.now,
                outcome,
                error
            ])?;
        if settled.attempt > KEPT_ATTEMPTS {
            self.sql
                .prepare("DELETE FROM attempts WHERE seq = ?1 AND sink = ?2 AND n <= ?3")?
                .execute(params![
                    settled.seq.0,
                    settled.sink.0,
                    settled.attempt - KEPT_ATTEMPTS
                ])?;
        }
        Ok(())
    }

    /// Leases due heads of `claim.sink`, ended leases first, and returns what is left of the claim.
    pub(super) fn claim(&mut self, claim: &Claim) -> rusqlite::Result<Claim> {
        let mut left = *claim;
        for leased in [1_i64, 0] {
            if left.slots == 0 || left.bytes == 0 {
                break;
            }
            let due: Vec<(i64, i64)> = self
                .sql
                .prepare(
                    "SELECT lane, head FROM lanes WHERE sink = ?1 AND leased = ?2 AND available <= ?3 \
                     ORDER BY available, head LIMIT ?4",
                )?
                .query_map(params![claim.sink.0, leased, self.now, limit(left.slots)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            for (lane, head) in due {
                if left.bytes == 0 {
                    break;
                }
                let bytes = self.lease(claim, (lane, Seq(head)), leased == 1)?;
                left.slots -= 1;
                left.bytes = left.bytes.saturating_sub(bytes);
            }
        }
        Ok(left)
    }

    fn lease(
        &mut self,
        claim: &Claim,
        (lane, seq): (i64, Seq),
        interrupted: bool,
    ) -> rusqlite::Result<usize> {
        let token = self.next_token();
        let expires_at = self.lease_end(claim.ttl);
        self.sql
            .prepare(
                "UPDATE lanes SET leased = 1, available = ?3, token = ?4 WHERE sink = ?1 AND lane = ?2",
            )?
            .execute(params![claim.sink.0, lane, expires_at.as_microsecond(), token])?;
        let (attempt, replay) = self
            .sql
            .prepare(
                "UPDATE deliveries SET attempts = attempts + 1 WHERE seq = ?1 AND sink = ?2 \
                 RETURNING attempts, replay",
            )?
            .query_row(params![seq.0, claim.sink.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (event, stale) = rows::load_event(&self.sql, self.cache, seq)?;
        let bytes = event.body.len();
        self.leases.push(Lease {
            seq,
            sink: claim.sink,
            event: Arc::new(event),
            stale,
            attempt,
            interrupted,
            replay,
            expires_at,
            lane,
            token,
        });
        Ok(bytes)
    }

    /// When `sink` next has something to do: the earliest due head, or the first lease to end.
    pub(super) fn next_due(&self, sink: SinkId) -> rusqlite::Result<Option<i64>> {
        let mut earliest = None;
        for leased in [0_i64, 1] {
            let due: Option<i64> = self
                .sql
                .prepare("SELECT min(available) FROM lanes WHERE sink = ?1 AND leased = ?2")?
                .query_row(params![sink.0, leased], |row| row.get(0))?;
            earliest = match (earliest, due) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
        }
        Ok(earliest)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
