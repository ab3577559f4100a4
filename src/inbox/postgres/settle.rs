//! Ending leases.
//!
//! What was delivered, which is nearly all, is settled at once for all of them. What is tried again,
//! given up, or has something to say about its attempt, the database goes through one by one.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::Row;

use super::deliver::LaneId;
use super::error::Failure;
use super::read::{STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED, STATE_PENDING, STATE_SUPERSEDED};
use super::session::Call;
use super::time;
use crate::inbox::{Committed, Report, Seq, Settled, Settlement, SinkId};

/// An attempt that was not begun: known to `inbox_settle` only.
const STATE_RELEASED: i16 = -1;

/// What [`inbox_settle`](super) says of a delivery.
const WHAT_SETTLED: i16 = 0;
const WHAT_LOST: i16 = 2;
const WHAT_SUPERSEDED: i16 = 3;

/// The leases that a batch ends.
pub(super) struct Settling<'b> {
    plain: Vec<&'b Settled>,
    others: Vec<&'b Settled>,
}

impl<'b> Settling<'b> {
    pub(super) fn new(settled: &'b [Settled]) -> Self {
        let (plain, others) = settled.iter().partition(|settled| is_plain(settled));
        Self { plain, others }
    }

    /// Whether something else is to be done than to settle.
    pub(super) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// Sinks whose rows change: a pause that the other side asked for is noted there.
    pub(super) fn held_sinks(&self) -> impl Iterator<Item = i64> {
        let others = self.others.iter();
        let holds = others.filter(|settled| {
            let report = settled.report.as_ref();
            report.is_some_and(|report| report.hold_until.is_some())
        });
        holds.map(|settled| settled.sink.0)
    }

    /// The lanes that are touched for sure: those of what only is settled may not be there.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (i64, i64)> {
        let others = self.others.iter();
        others.map(|settled| (settled.sink.0, settled.lane))
    }

    /// Gives `begin` what only is settled, in six arrays.
    pub(super) fn plain_to<'c>(&self, begin: Call<'c>) -> Call<'c> {
        let plain = || self.plain.iter();
        begin
            .each(plain().map(|one| one.sink.0))
            .each(plain().map(|one| one.lane))
            .each(plain().map(|one| one.seq.0))
            .each(plain().map(|one| one.token))
            .each(plain().map(|one| state(one)))
            .each(plain().map(|one| reason(one)))
    }

    /// Gives `begin` the others, in three arrays: each gets a lane, if it has none.
    pub(super) fn others_to<'c>(&self, begin: Call<'c>) -> Call<'c> {
        let others = || self.others.iter();
        begin
            .each(others().map(|one| one.sink.0))
            .each(others().map(|one| one.seq.0))
            .each(others().map(|one| one.token))
    }

    /// Settles all others, one by one. The lanes are locked before.
    pub(super) fn others<'c>(&self, given: Option<i64>, now: Timestamp) -> Option<Call<'c>> {
        (!self.others.is_empty()).then(|| {
            let others = self.others.iter().map(|settled| described(settled, now));
            let others = Value::Array(others.collect()).to_string();
            Call::new("SELECT seq, sink, what FROM inbox_settle($1::text::jsonb, inbox_now($2))")
                .with(others)
                .with(given)
        })
    }

    /// Notes what became of the leases, and counts what is settled, by sink: `ended` are those that
    /// only were, `others` the answers about the others. Returns the lanes of what was settled, with
    /// its positions.
    pub(super) fn read(
        &self,
        (mut ended, others): (HashSet<(Seq, SinkId)>, Vec<Row>),
        (committed, settled): (&mut Committed, &mut HashMap<i64, i64>),
    ) -> Result<Vec<(LaneId, i64)>, Failure> {
        let mut lanes = Vec::with_capacity(ended.len());
        for one in &self.plain {
            let place = (one.seq, one.sink);
            // Said twice, it is lost the second time.
            if ended.remove(&place) {
                *settled.entry(one.sink.0).or_default() += 1;
                lanes.push(((one.sink.0, one.lane), one.seq.0));
            } else {
                committed.lost.push(place);
            }
        }
        for row in others {
            let place = (Seq(row.try_get(0)?), SinkId(row.try_get(1)?));
            let what: i16 = row.try_get(2)?;
            if matches!(what, WHAT_SETTLED | WHAT_SUPERSEDED) {
                *settled.entry(place.1.0).or_default() += 1;
            }
            match what {
                WHAT_LOST => committed.lost.push(place),
                WHAT_SUPERSEDED => committed.superseded.push(place),
                WHAT_SETTLED => {
                    let these = self.others.iter();
                    let ended = these.filter(|one| (one.seq, one.sink) == place);
                    lanes.extend(ended.map(|one| ((one.sink.0, one.lane), one.seq.0)));
                }
                _ => {}
            }
        }
        Ok(lanes)
    }
}

/// Makes all that waits for its retry due. What somebody else works on this moment is left alone.
pub(super) fn recover<'c>(sinks: &[SinkId], given: Option<i64>) -> Call<'c> {
    let sinks: BTreeSet<i64> = sinks.iter().map(|sink| sink.0).collect();
    Call::new(
        "UPDATE lanes l SET available = inbox_now($2) FROM ( \
         SELECT sink, lane FROM lanes WHERE sink = ANY($1) AND NOT leased \
         AND available > inbox_now($2) FOR UPDATE SKIP LOCKED) u \
         WHERE l.sink = u.sink AND l.lane = u.lane",
    )
    .with(sinks.into_iter().collect::<Vec<_>>())
    .with(given)
}

/// Whether nothing but the state is written.
fn is_plain(settled: &Settled) -> bool {
    let ends = matches!(
        settled.settlement,
        Settlement::Delivered | Settlement::Expired | Settlement::Superseded(_)
    );
    let says =
        |report: &Report| report.keep || !report.remember.is_empty() || report.hold_until.is_some();
    ends && !settled.rated && !settled.report.as_deref().is_some_and(says)
}

fn state(settled: &Settled) -> i16 {
    match &settled.settlement {
        Settlement::Delivered => STATE_DELIVERED,
        Settlement::RetryAt(..) => STATE_PENDING,
        Settlement::Released => STATE_RELEASED,
        Settlement::Dead(_) => STATE_DEAD,
        Settlement::Superseded(_) => STATE_SUPERSEDED,
        Settlement::Expired => STATE_EXPIRED,
    }
}

fn reason(settled: &Settled) -> Option<String> {
    match &settled.settlement {
        Settlement::RetryAt(_, reason)
        | Settlement::Dead(reason)
        | Settlement::Superseded(reason) => Some(text(reason)),
        Settlement::Delivered | Settlement::Released | Settlement::Expired => None,
    }
}

/// One lease's end as `inbox_settle` takes it, with times relative to `now`.
fn described(settled: &Settled, now: Timestamp) -> Value {
    let empty = Report::default();
    // An attempt that was not begun says nothing.
    let report = match &settled.settlement {
        Settlement::Released => &empty,
        _ => settled.report.as_deref().unwrap_or(&empty),
    };
    let due = match &settled.settlement {
        Settlement::RetryAt(at, _) => time::until(*at, now),
        _ => 0,
    };
    let until = |at: Timestamp| time::until(at, now);
    let remember: serde_json::Map<String, Value> = report
        .remember
        .iter()
        .map(|(name, value)| (text(name), Value::String(text(value))))
        .collect();
    json!({
        "seq": settled.seq.0,
        "sink": settled.sink.0,
        "lane": settled.lane,
        "token": settled.token,
        "state": state(settled),
        "error": reason(settled),
        "due": due,
        "interrupted": settled.interrupted,
        "rated": settled.rated,
        "attempt": settled.attempt_ended(),
        "began": report.began.map(until),
        "status": report.status,
        "answer": report.answer.as_deref().map(text),
        "keep": report.keep,
        "unsure": report.unsure,
        "hold": report.hold_until.map(until),
        "remember": (!remember.is_empty()).then_some(Value::Object(remember)),
    })
}

/// A text as the database takes it: U+0000 does not exist there.
fn text(raw: &str) -> String {
    raw.replace('\0', "\u{FFFD}")
}
