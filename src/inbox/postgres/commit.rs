//! One transaction: settle, claim, judge what is offered, and write it. All of it is committed, or
//! none; in two round trips, whatever the size of the batch.
//!
//! Locks are taken in one order by everybody, so that replicas never wait for each other in a ring:
//! subjects by number, deliveries under shared leases by position, keys, sinks with a rate, lanes by
//! sink and number. Claims take only what nobody has locked. A position is drawn under the lock of its
//! event's subject, so that positions of a subject rise in the order of their commits.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::deliver::{self, Deliveries, Left, Tails};
use super::error::Failure;
use super::judge::{Court, Moved};
use super::session::{COMMIT, Call, Place, Script, Session};
use super::settle::{self, Settling};
use super::{claim, write};
use crate::event::{Route, Seq};
use crate::inbox::{Batch, Committed, Offer, Order, SinkId};
use jiff::Timestamp;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
// What their arguments mean stands beside them, in `migrations/0004_batches.sql` and, of the first and
// the last, in `migrations/0007_shared.sql`.
const LOCK: &str = "SELECT * FROM inbox_begin( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
const STORE: &str = "SELECT inbox_store( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, $22, $23, $24, $25)";
const DELIVER: &str = "SELECT * FROM inbox_deliver( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)";

/// What a row of [`LOCK`] is about; else a delivery that is settled.
const WHAT_SUBJECT: i16 = 0;
const WHAT_DRAWN: i16 = 1;
const WHAT_LANE: i16 = 2;

/// The transaction's time and the replica's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The caller's time.
    pub(super) now: Timestamp,
    /// The time in microseconds where the caller's counts, not the database's.
    pub(super) given: Option<i64>,
    /// Which part of the counters is this replica's.
    pub(super) part: i32,
}

/// Applies `batch` and commits it; `hint` makes the statement that tells others of what waits.
pub(super) async fn commit<'h>(
    session: &mut Session,
    (batch, routes): (&Batch, &HashMap<&Route, i64>),
    setting: Setting,
    moved: &mut Moved,
    hint: &(dyn Fn() -> Option<Call<'h>> + Sync),
) -> Result<Committed, Failure> {
    let mut court = Court::new(&batch.offers, routes, moved);
    let mut work = Work::new(batch, setting);
    let lanes = work.lock_and_claim(session, (&mut court, moved)).await?;
    let left = std::mem::take(&mut work.left);
    let mut deliveries = Deliveries::new(setting.now, lanes, left);
    court.judge(&mut deliveries);
    deliveries.share_leases(|subject| court.newest(subject));
    let hint = deliveries.left_waiting().then(hint).flatten();
    work.write(session, (court, deliveries), hint).await
}

/// A transaction under way, with what it has done so far.
struct Work<'b> {
    batch: &'b Batch,
    setting: Setting,
    settling: Settling<'b>,
    committed: Committed,
    /// Deliveries settled, by sink.
    settled: HashMap<i64, i64>,
    /// Slots that waiting deliveries left over, for deliveries made by this very transaction.
    left: Vec<Left<'b>>,
}

impl<'b> Work<'b> {
    fn new(batch: &'b Batch, setting: Setting) -> Self {
        Self {
            batch,
            setting,
            settling: Settling::new(&batch.settled),
            committed: Committed::default(),
            settled: HashMap::new(),
            left: Vec::new(),
        }
    }

    /// The first round trip: takes the locks, settles and claims. Returns the lanes that are there
    /// for what is offered.
    async fn lock_and_claim(
        &mut self,
        session: &mut Session,
        (court, moved): (&mut Court<'b>, &mut Moved),
    ) -> Result<Tails, Failure> {
        let (batch, Setting { now, given, .. }) = (self.batch, self.setting);
        let mut script = Script::default();
        script.add(Call::plain(BEGIN));
        let locked = script.add(self.lock(court));
        let others = script.maybe(self.settling.others(given, now));
        if !batch.recovered.is_empty() {
            script.add(settle::recover(&batch.recovered, given));
        }
        let claims = batch.claims.iter();
        let claims: Vec<Place> = claims
            .map(|claim| script.add(claim::call(claim, given)))
            .collect();
        let mut answers = session.run(&script).await?;
        drop(script);

        let (mut lanes, mut settled) = (Tails::new(), HashSet::new());
        for row in answers.take(locked) {
            match row.try_get(0)? {
                WHAT_SUBJECT => court.learn(&row, moved)?,
                WHAT_DRAWN => court.claimed(&row)?,
                WHAT_LANE => {
                    lanes.insert((row.try_get(1)?, row.try_get(2)?), row.try_get(3)?);
                }
                _ => {
                    settled.insert((Seq(row.try_get(1)?), SinkId(row.try_get(2)?)));
                }
            }
        }
        let (committed, done) = (&mut self.committed, &mut self.settled);
        let settled = (settled, answers.take(others));
        let ended = self.settling.read(settled, (committed, done))?;
        // A claim leaves the end of a lane as it is, and a lane without work is gone.
        for (lane, seq) in ended {
            if lanes.get(&lane) == Some(&seq) {
                lanes.remove(&lane);
            }
        }
        let claims = (&*batch.claims, &*claims);
        self.left = claim::read(claims, &mut answers, now, (committed, done))?;
        Ok(lanes)
    }

    /// The statement that locks, in this order: subjects, deliveries that leave their shared leases,
    /// keys, sinks that have a rate or are told to pause, lanes.
    fn lock<'c>(&self, court: &'c Court<'_>) -> Call<'c> {
        let Self { batch, setting, .. } = self;
        let rated = batch.claims.iter().filter(|claim| !claim.rates.is_empty());
        let rated = rated.map(|claim| claim.sink.0);
        let sinks: BTreeSet<i64> = rated.chain(self.settling.held_sinks()).collect();
        let mut lanes = offered_lanes(&batch.offers, court);
        lanes.extend(self.settling.lanes());
        let lock = court.ask_to(Call::new(LOCK).with(setting.given));
        let lock = lock
            .each(sinks.into_iter())
            .each(lanes.iter().map(|lane| lane.0))
            .each(lanes.iter().map(|lane| lane.1));
        self.settling.others_to(self.settling.plain_to(lock))
    }

    /// The second round trip: writes what was judged, and commits.
    async fn write(
        mut self,
        session: &mut Session,
        (mut court, mut deliveries): (Court<'b>, Deliveries<'b>),
        hint: Option<Call<'_>>,
    ) -> Result<Committed, Failure> {
        let (batch, Setting { now, given, part }) = (self.batch, self.setting);
        let mut script = Script::default();
        if !court.stored.is_empty() {
            let store = Call::new(STORE).with(given);
            let store = write::events_to(store, &batch.offers, &court.stored);
            script.add(court.marks_to(store));
        }
        let (sinks, numbers) = write::sums(&court.stored, &deliveries.made, &self.settled);
        let made = (!deliveries.is_empty() || !sinks.is_empty()).then(|| {
            let deliver = deliveries.rows_to(Call::new(DELIVER).with(given));
            script.add(deliver.with(sinks).with(numbers).with(part))
        });
        let recalled = script.maybe(deliveries.recall());
        let first = script.maybe(write::find_first(&batch.offers, &court.repeats));
        let claims = batch.claims.iter();
        let due: Vec<Place> = claims
            .map(|claim| script.add(claim::next_due(claim, given)))
            .collect();
        script.maybe(hint);
        script.add(Call::plain(COMMIT));
        let mut answers = session.run(&script).await?;
        drop(script);

        let committed = &mut self.committed;
        for row in answers.take(made) {
            let place = (Seq(row.try_get(0)?), SinkId(row.try_get(1)?));
            committed.superseded.push(place);
        }
        deliver::remember(&mut deliveries.fresh, &answers.take(recalled))?;
        write::first_found(&answers.take(first), &mut court)?;
        committed.next_due = claim::read_next_due((&batch.claims, &due), &mut answers, now)?;
        let fresh = deliveries.fresh.into_iter();
        committed.leases.extend(fresh.map(|fresh| fresh.lease));
        committed.offered = court.offered;
        Ok(self.committed)
    }
}

/// The lanes that deliveries of what is offered may come to: sink and number.
fn offered_lanes(offers: &[Offer], court: &Court<'_>) -> BTreeSet<(i64, i64)> {
    let mut lanes = BTreeSet::new();
    for (place, offer) in offers.iter().enumerate() {
        let Some(subject) = court.subject_of(place) else {
            continue;
        };
        let wanted = offer.wanted.iter();
        let ordered = wanted.filter(|wanted| wanted.order != Order::None);
        lanes.extend(ordered.map(|wanted| (wanted.sink.0, subject)));
    }
    lanes
}
