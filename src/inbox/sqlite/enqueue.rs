//! Making a delivery: at the end of its lane, and leased at once where it comes first.

use std::sync::Arc;

use rusqlite::params;

use super::transaction::{Work, timestamp};
use crate::inbox::{Claim, Lease, Offer, Order, Seq, SinkId, Wanted};

impl Work<'_> {
    /// Makes one delivery: leased at once while the sink has slots and the lane is free.
    pub(super) fn deliver(
        &mut self,
        offer: &Offer,
        seq: Seq,
        wanted: &Wanted,
        (lane, stale): (i64, bool),
    ) -> rusqlite::Result<()> {
        let lane = match wanted.order {
            Order::None => -seq.0,
            Order::Subject | Order::Latest => lane,
        };
        let claim = self.free_slot(wanted.sink)?;
        let (token, expires_at) = match claim {
            Some(at) => (Some(self.next_token()), self.lease_end(self.free[at].ttl)),
            None => (None, timestamp(self.now)),
        };
        let first = self
            .sql
            .prepare(
                "INSERT INTO lanes (sink, lane, head, tail, leased, available, token) \
                 VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                wanted.sink.0,
                lane,
                seq.0,
                token.is_some(),
                expires_at.as_microsecond(),
                token
            ])?
            == 1;
        let token = token.filter(|_| first);
        let before = if first {
            None
        } else {
            Some(self.queue_behind(wanted.sink, lane, seq)?)
        };
        // What was overtaken, or what a person asked for, neither makes others needless nor is so.
        let latest = wanted.order == Order::Latest && !stale && !offer.event.command;
        self.sql
            .prepare(
                "INSERT INTO deliveries (seq, sink, state, attempts, previous, latest) \
                 VALUES (?1, ?2, 0, ?3, ?4, ?5)",
            )?
            .execute(params![
                seq.0,
                wanted.sink.0,
                token.is_some(),
                before,
                latest
            ])?;
        self.cache.pending(wanted.sink, 1);
        if latest {
            self.note_latest(seq, wanted.sink, lane)?;
        }
        let (Some(token), Some(claim)) = (token, claim) else {
            return Ok(());
        };
        let lease = Lease {
            seq,
            sink: wanted.sink,
            event: Arc::clone(&offer.event),
            stale,
            attempt: 1,
            interrupted: false,
            replay: false,
            remembered: Vec::new(),
            trace: None,
            expires_at,
            lane,
            token,
            rated: false,
        };
        self.lease_at_once(lease, claim)
    }

    /// Gives out a delivery that was just made, from what is left of the claim numbered `claim`.
    fn lease_at_once(&mut self, mut lease: Lease, claim: usize) -> rusqlite::Result<()> {
        let left = &mut self.free[claim];
        left.slots -= 1;
        left.bytes = left.bytes.saturating_sub(lease.event.body.len());
        let claim = left.clone();
        lease.rated = !claim.rates.is_empty();
        self.hand_out(&claim, lease)
    }

    /// The claim that has a slot left over for a new delivery to `sink`.
    fn free_slot(&self, sink: SinkId) -> rusqlite::Result<Option<usize>> {
        let has_room = |claim: &Claim| claim.sink == sink && claim.slots > 0 && claim.bytes > 0;
        let Some(at) = self.free.iter().position(has_room) else {
            return Ok(None);
        };
        // Another claim on the sink may have used up the rate meanwhile.
        let claim = &self.free[at];
        let is_free = claim.rates.is_empty() || self.allowed(claim)? > 0;
        Ok(is_free.then_some(at))
    }

    /// Makes `seq` the lane's last, and says which was.
    pub(super) fn queue_behind(
        &mut self,
        sink: SinkId,
        lane: i64,
        seq: Seq,
    ) -> rusqlite::Result<i64> {
        let before: i64 = self
            .sql
            .prepare("SELECT tail FROM lanes WHERE sink = ?1 AND lane = ?2")?
            .query_row(params![sink.0, lane], |row| row.get(0))?;
        self.sql
            .prepare("UPDATE deliveries SET next = ?3 WHERE seq = ?1 AND sink = ?2")?
            .execute(params![before, sink.0, seq.0])?;
        self.sql
            .prepare("UPDATE lanes SET tail = ?3 WHERE sink = ?1 AND lane = ?2")?
            .execute(params![sink.0, lane, seq.0])?;
        Ok(before)
    }
}
