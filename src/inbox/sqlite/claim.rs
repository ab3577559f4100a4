//! Claiming what is due, within the sink's slots, rates and holds.
//!
//! An attempt counts against a rate until a whole window after its end. So whatever the network
//! does to it on the way, the other side never sees more in one window than the rate allows.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use super::rows;
use super::transaction::Work;
use crate::inbox::{Claim, Lease, Rate, Seq, Settled, SinkId};

impl Work<'_> {
    /// Leases due heads of `claim.sink`, ended leases first, and returns what is left of the claim.
    pub(super) fn claim(&mut self, claim: &Claim) -> rusqlite::Result<Claim> {
        let mut left = claim.clone();
        left.slots = left.slots.min(self.allowed(claim)?);
        for leased in [1_i64, 0] {
            if left.slots == 0 || left.bytes == 0 {
                break;
            }
            let due_by = if claim.probe && leased == 0 {
                i64::MAX
            } else {
                self.now
            };
            let due: Vec<(i64, i64)> = self
                .sql
                .prepare(
                    "SELECT lane, head FROM lanes WHERE sink = ?1 AND leased = ?2 AND available <= ?3 \
                     ORDER BY available, head LIMIT ?4",
                )?
                .query_map(params![claim.sink.0, leased, due_by, limit(left.slots)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            for (lane, head) in due {
                if left.bytes == 0 {
                    break;
                }
                // Where answers are remembered, the one that got lost is needed first.
                if leased == 1
                    && !claim.remembered
                    && self.is_needless(Seq(head), claim.sink, lane)?
                {
                    // What is behind it is due now, and found with those that wait.
                    self.supersede(Seq(head), claim.sink)?;
                    continue;
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
        let lease = Lease {
            seq,
            sink: claim.sink,
            event: Arc::new(event),
            stale,
            attempt,
            interrupted,
            replay,
            remembered: Vec::new(),
            trace: None,
            expires_at,
            lane,
            token,
            rated: !claim.rates.is_empty(),
        };
        self.hand_out(claim, lease)?;
        Ok(bytes)
    }

    /// Gives a lease out: it counts against the rates, and carries what is remembered.
    pub(super) fn hand_out(&mut self, claim: &Claim, mut lease: Lease) -> rusqlite::Result<()> {
        if lease.rated {
            self.sql
                .prepare("INSERT INTO sends (sink, ended, token) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    lease.sink.0,
                    lease.expires_at.as_microsecond(),
                    lease.token
                ])?;
        }
        if claim.remembered {
            lease.remembered = self.remembered(lease.seq, lease.sink)?;
        }
        self.leases.push(lease);
        Ok(())
    }

    /// How many attempts the rates and a hold leave.
    pub(super) fn allowed(&self, claim: &Claim) -> rusqlite::Result<usize> {
        if self
            .held_until(claim.sink)?
            .is_some_and(|until| until > self.now)
        {
            return Ok(0);
        }
        let mut allowed = usize::MAX;
        for rate in claim.rates.iter() {
            let used: usize = self
                .sql
                .prepare("SELECT count(*) FROM sends WHERE sink = ?1 AND ended > ?2")?
                .query_row(params![claim.sink.0, self.now - micros(rate)], |row| {
                    row.get(0)
                })?;
            allowed = allowed.min(count(rate).saturating_sub(used));
        }
        Ok(allowed)
    }

    fn held_until(&self, sink: SinkId) -> rusqlite::Result<Option<i64>> {
        self.sql
            .prepare("SELECT held_until FROM sinks WHERE id = ?1")?
            .query_row([sink.0], |row| row.get(0))
            .optional()
            .map(Option::flatten)
    }

    /// When `claim` next finds something: the earliest due head, or the first lease to end, but not
    /// before a hold is over and the rates leave an attempt.
    pub(super) fn next_due(&self, claim: &Claim) -> rusqlite::Result<Option<i64>> {
        let mut earliest = None;
        for leased in [0_i64, 1] {
            let due: Option<i64> = self
                .sql
                .prepare("SELECT min(available) FROM lanes WHERE sink = ?1 AND leased = ?2")?
                .query_row(params![claim.sink.0, leased], |row| row.get(0))?;
            earliest = match (earliest, due) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
        }
        let Some(mut due) = earliest else {
            return Ok(None);
        };
        due = due.max(self.held_until(claim.sink)?.unwrap_or(due));
        for rate in claim.rates.iter() {
            // The attempt whose leaving makes room for one more.
            let leaves: Option<i64> = self
                .sql
                .prepare(
                    "SELECT ended FROM sends WHERE sink = ?1 AND ended > ?2 \
                     ORDER BY ended DESC LIMIT 1 OFFSET ?3",
                )?
                .query_row(
                    params![
                        claim.sink.0,
                        self.now - micros(rate),
                        limit(count(rate).saturating_sub(1))
                    ],
                    |row| row.get(0),
                )
                .optional()?;
            due = due.max(leaves.map_or(due, |ended| ended.saturating_add(micros(rate))));
        }
        Ok(Some(due))
    }

    /// The attempt is over: from now on it counts for one window more.
    pub(super) fn end_send(&self, settled: &Settled) -> rusqlite::Result<()> {
        if settled.rated {
            self.forget_send(settled)?;
            self.sql
                .prepare("INSERT INTO sends (sink, ended, token) VALUES (?1, ?2, ?3)")?
                .execute(params![settled.sink.0, self.now, settled.token])?;
            // What no window reaches any more.
            self.sql
                .prepare("DELETE FROM sends WHERE sink = ?1 AND ended < ?2")?
                .execute(params![settled.sink.0, self.now - LONGEST_WINDOW])?;
        }
        Ok(())
    }

    /// The attempt was never begun.
    pub(super) fn forget_send(&self, settled: &Settled) -> rusqlite::Result<()> {
        if settled.rated {
            self.sql
                .prepare("DELETE FROM sends WHERE sink = ?1 AND ended = ?2 AND token = ?3")?
                .execute(params![
                    settled.sink.0,
                    settled.expires_at.as_microsecond(),
                    settled.token
                ])?;
        }
        Ok(())
    }

    /// The sink works again: what waits for its retry is due now.
    pub(super) fn recover(&self, sink: SinkId) -> rusqlite::Result<()> {
        self.sql
            .prepare(
                "UPDATE lanes SET available = ?2 WHERE sink = ?1 AND leased = 0 AND available > ?2",
            )?
            .execute(params![sink.0, self.now])
            .map(|_number| ())
    }
}

/// Microseconds of the longest window a rate may have: a day.
const LONGEST_WINDOW: i64 = 86_400 * 1_000_000;

fn micros(rate: &Rate) -> i64 {
    i64::try_from(rate.window.as_micros()).unwrap_or(LONGEST_WINDOW)
}

fn count(rate: &Rate) -> usize {
    usize::try_from(rate.count).unwrap_or(usize::MAX)
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
