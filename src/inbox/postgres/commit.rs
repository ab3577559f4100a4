//! One transaction: settle, claim, judge what is offered, and write it. All of it is committed, or
//! none; in two round trips, whatever the size of the batch, or three where something waits that was
//! not expected to.
//!
//! Locks are taken in one order by everybody, so that replicas never wait for each other in a ring:
//! subjects by number, deliveries under shared leases by position, keys, sinks with a rate, lanes by
//! sink and number. Claims take only what nobody has locked. A position is drawn under the lock of its
//! event's subject, so that positions of a subject rise in the order of their commits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use super::deliver::{self, Deliveries, Left, Tails};
use super::error::Failure;
use super::judge::{Court, Moved};
use super::session::{Answers, COMMIT, Call, Place, Script, Session};
use super::settle::{self, Settling};
use super::{claim, write};
use crate::event::{Route, Seq};
use crate::inbox::{Batch, Claim, Committed, Offer, Order, SinkId};
use jiff::Timestamp;
use tokio_postgres::Row;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
// What their arguments mean stands beside them, in `migrations/0004_batches.sql` and
// `migrations/0007_shared.sql`.
const LOCK: &str = "SELECT * FROM inbox_begin( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
     $18, $19)";
const WRITE: &str = "SELECT * FROM inbox_write( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, \
     $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, \
     $57, $58, $59, $60)";

/// What a row of [`LOCK`] is about; else a delivery that is settled.
const WHAT_SUBJECT: i16 = 0;
const WHAT_DRAWN: i16 = 1;
const WHAT_LANE: i16 = 2;
const WHAT_WAITS: i16 = 4;
/// What a row of [`WRITE`] is about; else a delivery that was superseded.
const WHAT_DUE: i16 = 1;

/// The transaction's time and the replica's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'s> {
    /// The caller's time.
    pub(super) now: Timestamp,
    /// The time in microseconds where the caller's counts, not the database's.
    pub(super) given: Option<i64>,
    /// Which part of the counters is this replica's.
    pub(super) part: i32,
    /// Whether something waited for the last claims, so that the next ones ask at once.
    pub(super) backlog: &'s AtomicBool,
}

/// Applies `batch` and commits it; `hint` makes the statement that tells others of what waits.
pub(super) async fn commit<'h>(
    session: &mut Session,
    (batch, routes): (&Batch, &HashMap<&Route, i64>),
    setting: Setting<'_>,
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
    setting: Setting<'b>,
    /// Whether all claims are asked along with the locks, because something waits.
    asks: bool,
    settling: Settling<'b>,
    committed: Committed,
    /// Deliveries settled, by sink.
    settled: HashMap<i64, i64>,
    /// Slots that waiting deliveries left over, for deliveries made by this very transaction.
    left: Vec<Left<'b>>,
}

impl<'b> Work<'b> {
    fn new(batch: &'b Batch, setting: Setting<'b>) -> Self {
        let settling = Settling::new(&batch.settled);
        // Once for all: another commit may change it meanwhile.
        let backlog = setting.backlog.load(Ordering::Relaxed);
        Self {
            batch,
            setting,
            asks: backlog || !batch.recovered.is_empty() || settling.has_others(),
            settling,
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
        let claims: Vec<Option<Place>> = claims
            .map(|claim| {
                let asks = self.asks_at_once(claim);
                asks.then(|| script.add(claim::call(claim, given)))
            })
            .collect();
        let mut answers = session.run(&script).await?;
        drop(script);

        let (mut lanes, mut settled) = (Tails::new(), HashSet::new());
        let mut waits = HashSet::<i64>::new();
        for row in answers.take(locked) {
            match row.try_get(0)? {
                WHAT_SUBJECT => court.learn(&row, moved)?,
                WHAT_DRAWN => court.claimed(&row)?,
                WHAT_LANE => {
                    lanes.insert((row.try_get(1)?, row.try_get(2)?), row.try_get(3)?);
                }
                WHAT_WAITS => {
                    waits.insert(row.try_get(1)?);
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
        self.claim(session, (&claims, answers), &waits).await?;
        Ok(lanes)
    }

    /// Whether a claim is asked along with the locks. Nearly always nothing waits, and who locks says
    /// so.
    fn asks_at_once(&self, claim: &Claim) -> bool {
        self.asks || !claim.rates.is_empty()
    }

    /// Reads the claims that were asked, and asks those of sinks for which something `waits`.
    async fn claim(
        &mut self,
        session: &mut Session,
        (places, mut answers): (&[Option<Place>], Answers),
        waits: &HashSet<i64>,
    ) -> Result<(), Failure> {
        let (batch, Setting { now, given, .. }) = (self.batch, self.setting);
        let mut found: Vec<Option<Vec<Row>>> = places
            .iter()
            .map(|place| place.map(|place| answers.take(place)))
            .collect();
        let mut script = Script::default();
        let mut late = Vec::new();
        for (at, claim) in batch.claims.iter().enumerate() {
            if places[at].is_none() && waits.contains(&claim.sink.0) {
                late.push((at, script.add(claim::call(claim, given))));
            }
        }
        // What waits now, or cannot be claimed yet, does so the next time, too.
        let mut backlog = !late.is_empty();
        if backlog {
            let mut answers = session.run(&script).await?;
            for (at, place) in late {
                found[at] = Some(answers.take(place));
            }
        }
        let done = (&mut self.committed, &mut self.settled);
        self.left = claim::read((&batch.claims, found), now, done)?;
        if !batch.claims.is_empty() {
            backlog |= !self.committed.leases.is_empty();
            backlog |= self.left.iter().any(|left| left.allowed == 0);
            self.setting.backlog.store(backlog, Ordering::Relaxed);
        }
        Ok(())
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
        let lock = self.settling.others_to(self.settling.plain_to(lock));
        let claims = batch.claims.iter();
        let looks: Vec<&Claim> = claims.filter(|claim| !self.asks_at_once(claim)).collect();
        lock.each(looks.iter().map(|claim| claim.sink.0))
            .each(looks.iter().map(|claim| claim.probe))
    }

    /// The second round trip: writes what was judged, and commits.
    async fn write(
        mut self,
        session: &mut Session,
        (mut court, mut deliveries): (Court<'b>, Deliveries<'b>),
        hint: Option<Call<'_>>,
    ) -> Result<Committed, Failure> {
        let batch = self.batch;
        let Setting {
            now, given, part, ..
        } = self.setting;
        let mut script = Script::default();
        let (sinks, numbers) = write::sums(&court.stored, &deliveries.made, &self.settled);
        let unrated: Vec<i64> = batch
            .claims
            .iter()
            .filter(|claim| claim.rates.is_empty())
            .map(|claim| claim.sink.0)
            .collect();
        // Where events are stored, they are counted.
        let any = !deliveries.is_empty() || !sinks.is_empty() || !unrated.is_empty();
        let wrote = any.then(|| {
            let write = Call::new(WRITE).with(given);
            let write = write::events_to(write, &batch.offers, &court.stored);
            let write = deliveries.rows_to(court.marks_to(write));
            script.add(write.with(sinks).with(numbers).with(part).with(unrated))
        });
        let recalled = script.maybe(deliveries.recall());
        let first = script.maybe(write::find_first(&batch.offers, &court.repeats));
        let claims = batch.claims.iter();
        let due: Vec<Option<Place>> = claims
            .map(|claim| script.maybe(claim::next_due(claim, given)))
            .collect();
        script.maybe(hint);
        script.add(Call::plain(COMMIT));
        let mut answers = session.run(&script).await?;
        drop(script);

        let committed = &mut self.committed;
        let mut told = HashMap::<i64, Option<i64>>::new();
        for row in answers.take(wrote) {
            match row.try_get(0)? {
                WHAT_DUE => {
                    told.insert(row.try_get(1)?, row.try_get(2)?);
                }
                _ => {
                    let place = (Seq(row.try_get(1)?), SinkId(row.try_get(2)?));
                    committed.superseded.push(place);
                }
            }
        }
        deliver::remember(&mut deliveries.fresh, &answers.take(recalled))?;
        write::first_found(&answers.take(first), &mut court)?;
        committed.next_due = claim::read_next_due((&batch.claims, &due), &mut answers, &told, now)?;
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
