//! One transaction: settle, claim, judge what is offered, and write it. All of it is committed, or
//! none; in two round trips, whatever the size of the batch.
//!
//! Locks are taken in one order by everybody, so that replicas never wait for each other in a ring:
//! subjects by number, keys, sinks with a rate, lanes by sink and number. Claims take only what
//! nobody has locked. A position is drawn under the lock of its event's subject, so that positions
//! of a subject rise in the order of their commits.

use std::collections::{BTreeSet, HashMap};

use super::deliver::{self, Deliveries, Left, Tails};
use super::error::Failure;
use super::judge::{Court, Moved};
use super::session::{COMMIT, Call, Place, Script, Session};
use super::settle::{self, Settling};
use super::{claim, write};
use crate::event::{Route, Seq};
use crate::inbox::{Batch, Committed, Offer, Order, SinkId};
use jiff::Timestamp;

/// `synchronous_commit` may be off for the database or the role. The rest ends what a replica leaves
/// behind that vanishes within a transaction, and keeps plans: to the indexes, whatever the statistics
/// say of tables that are empty at night and full at noon, and for good, because planning a statement
/// for the values at hand costs more than running it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL synchronous_commit = on; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'; \
     SET LOCAL plan_cache_mode = force_generic_plan; \
     SET LOCAL jit = off; SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

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
        let subjects = script.maybe(court.lock_subjects());
        let keys = script.maybe(court.claim_keys(given));
        script.maybe(self.lock_sinks());
        let offered = offered_lanes(&batch.offers, court);
        let settled = self.settling.lanes();
        let lanes = script.maybe(lock_lanes(settled.chain(offered)));
        let settling = self.settling.write((given, now), &mut script);
        if !batch.recovered.is_empty() {
            script.add(settle::recover(&batch.recovered, given));
        }
        let claims = batch.claims.iter();
        let claims: Vec<Place> = claims
            .map(|claim| script.add(claim::call(claim, given)))
            .collect();
        let mut answers = session.run(&script).await?;
        drop(script);

        court.learn(&answers.take(subjects), moved)?;
        court.claimed(&answers.take(keys))?;
        let mut lanes = deliver::tails(&answers.take(lanes))?;
        let (committed, done) = (&mut self.committed, &mut self.settled);
        let ended = self
            .settling
            .read(&mut answers, settling, (committed, done))?;
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

    /// Locks the rows of sinks that have a rate, or are told to pause.
    fn lock_sinks<'c>(&self) -> Option<Call<'c>> {
        let claims = self.batch.claims.iter();
        let rated = claims.filter(|claim| !claim.rates.is_empty());
        let rated = rated.map(|claim| claim.sink.0);
        let sinks: BTreeSet<i64> = rated.chain(self.settling.held_sinks()).collect();
        (!sinks.is_empty()).then(|| {
            Call::new("SELECT id FROM sinks WHERE id = ANY($1) ORDER BY id FOR UPDATE")
                .with(sinks.into_iter().collect::<Vec<_>>())
        })
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
        script.maybe(write::events(&batch.offers, &court.stored));
        court.write_subjects(given, &mut script);
        deliveries.write(given, &mut script);
        let queued = script.maybe(deliveries.queue_one_by_one(given, part));
        let recalled = script.maybe(deliveries.recall());
        script.maybe(write::tallies(
            &court.stored,
            &deliveries.made,
            &self.settled,
            part,
        ));
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
        for row in answers.take(queued) {
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

/// Locks lanes in their order; answers with sink, lane and tail of those that are there.
fn lock_lanes<'c>(lanes: impl Iterator<Item = (i64, i64)>) -> Option<Call<'c>> {
    let (sinks, lanes): (Vec<i64>, Vec<i64>) = lanes.collect::<BTreeSet<_>>().into_iter().unzip();
    (!sinks.is_empty()).then(|| {
        Call::new(
            "SELECT l.sink, l.lane, l.tail FROM unnest($1, $2) AS u (sink, lane) \
             JOIN lanes l ON l.sink = u.sink AND l.lane = u.lane \
             ORDER BY l.sink, l.lane FOR UPDATE OF l",
        )
        .with(sinks)
        .with(lanes)
    })
}
