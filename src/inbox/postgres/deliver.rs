//! Making deliveries: each at the end of its lane, and leased at once where it comes first.
//!
//! Most are leased and the only ones of their lanes; they share a lease, and no lane is written. Where
//! lanes are new, or get a delivery behind others, those are written all at once. Where a later
//! delivery supersedes what waits, the database goes through the lane's new deliveries one by one.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::error::Failure;
use super::session::Call;
use super::time;
use super::together::Together;
use crate::inbox::{Claim, Lease, Offer, Order, Seq, SinkId, Wanted};

/// A sink and the number of a lane.
pub(super) type LaneId = (i64, i64);

/// Lanes that are there, each with its last delivery.
pub(super) type Tails = HashMap<LaneId, i64>;

/// What a claim on waiting deliveries left over for new ones.
#[derive(Debug)]
pub(super) struct Left<'b> {
    pub(super) claim: &'b Claim,
    pub(super) slots: usize,
    pub(super) bytes: usize,
    /// What a hold and the rates still allow.
    pub(super) allowed: i64,
}

#[derive(Debug)]
struct Lane {
    tail: i64,
    /// Its place among the new lanes.
    new: Option<usize>,
    /// The place of its last delivery, if that is new.
    last: Option<usize>,
    /// Gone through one by one by the database.
    one_by_one: bool,
}

#[derive(Debug)]
struct NewLane {
    id: LaneId,
    head: i64,
    tail: i64,
    /// How long it is leased, in microseconds.
    ttl: Option<i64>,
    latest: Option<i64>,
    /// The place of the head among the new deliveries.
    first: usize,
    /// The place of its lease, where that may be shared.
    fresh: Option<usize>,
    /// Whether the lease is shared, and no lane is written.
    shares: bool,
}

#[derive(Debug)]
struct NewDelivery {
    seq: i64,
    sink: i64,
    leased: bool,
    previous: Option<i64>,
    next: Option<i64>,
    latest: bool,
    /// Whether its lane, should it get one, is its own.
    own: bool,
    /// The lease that it shares.
    lease: Option<i64>,
}

/// A lease of a new delivery, and the subject whose memory it carries.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) lease: Lease,
    pub(super) remembers: Option<i64>,
}

/// The deliveries that a batch makes.
#[derive(Debug)]
pub(super) struct Deliveries<'b> {
    now: Timestamp,
    left: Vec<Left<'b>>,
    lanes: HashMap<LaneId, Lane>,
    new_lanes: Vec<NewLane>,
    new: Vec<NewDelivery>,
    /// Deliveries there before that get one behind them: position, sink, and the one behind.
    links: Vec<(i64, i64, i64)>,
    /// Position, sink, lane, and whether it is of the latest kind.
    queued: Vec<(i64, i64, i64, bool)>,
    pub(super) fresh: Vec<Fresh>,
    together: Together,
    /// How many deliveries each sink got.
    pub(super) made: HashMap<i64, i64>,
}

impl<'b> Deliveries<'b> {
    /// Into `lanes`, which are locked.
    pub(super) fn new(now: Timestamp, lanes: Tails, left: Vec<Left<'b>>) -> Self {
        let there = |tail| Lane {
            tail,
            new: None,
            last: None,
            one_by_one: false,
        };
        let lanes = lanes.into_iter();
        Self {
            now,
            left,
            lanes: lanes.map(|(id, tail)| (id, there(tail))).collect(),
            new_lanes: Vec::new(),
            new: Vec::new(),
            links: Vec::new(),
            queued: Vec::new(),
            fresh: Vec::new(),
            together: Together::default(),
            made: HashMap::new(),
        }
    }

    /// Whether a delivery was made that nobody has leased.
    pub(super) fn left_waiting(&self) -> bool {
        let made: i64 = self.made.values().sum();
        usize::try_from(made).is_ok_and(|made| made > self.fresh.len())
    }

    /// Whether none was made.
    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Makes one delivery: leased at once while the sink has slots and the lane is free.
    pub(super) fn make(
        &mut self,
        offer: &Offer,
        seq: i64,
        wanted: &Wanted,
        (subject, stale): (i64, bool),
    ) {
        let lane = match wanted.order {
            Order::None => -seq,
            Order::Subject | Order::Latest => subject,
        };
        let sink = wanted.sink;
        // What was overtaken, or what a person asked for, neither makes others needless nor is so.
        let latest = wanted.order == Order::Latest && !stale && !offer.event.command;
        *self.made.entry(sink.0).or_default() += 1;
        let id = (sink.0, lane);
        if self.lanes.contains_key(&id) {
            self.queue(id, seq, latest);
            return;
        }
        let claim = self.free_slot(sink);
        self.lanes.insert(
            id,
            Lane {
                tail: seq,
                new: Some(self.new_lanes.len()),
                last: Some(self.new.len()),
                one_by_one: false,
            },
        );
        self.new_lanes.push(NewLane {
            id,
            head: seq,
            tail: seq,
            ttl: claim.map(|at| time::micros(self.left[at].claim.ttl)),
            latest: latest.then_some(seq),
            first: self.new.len(),
            fresh: claim
                .filter(|at| may_share(self.left[*at].claim))
                .map(|_| self.fresh.len()),
            shares: false,
        });
        self.new.push(NewDelivery {
            seq,
            sink: sink.0,
            leased: claim.is_some(),
            previous: None,
            next: None,
            latest,
            own: lane < 0,
            lease: None,
        });
        if let Some(claim) = claim {
            self.lease(offer, (seq, lane, stale), claim, subject);
        }
    }

    fn queue(&mut self, id: LaneId, seq: i64, latest: bool) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        lane.one_by_one |= latest;
        if lane.one_by_one {
            self.queued.push((seq, id.0, id.1, latest));
            return;
        }
        let before = std::mem::replace(&mut lane.tail, seq);
        match lane.last.replace(self.new.len()) {
            Some(last) => self.new[last].next = Some(seq),
            None => self.links.push((before, id.0, seq)),
        }
        if let Some(new) = lane.new {
            self.new_lanes[new].tail = seq;
        }
        self.new.push(NewDelivery {
            seq,
            sink: id.0,
            leased: false,
            previous: Some(before),
            next: None,
            latest,
            own: false,
            lease: None,
        });
    }

    /// Puts what is leased and needs no lane under leases that are shared, once all is made: what is
    /// the only one of its lane and, where its subject orders it, of the event that is the `newest`
    /// of its subject, since whoever stores the next one looks there.
    pub(super) fn share_leases(&mut self, newest: impl Fn(i64) -> Option<i64>) {
        for lane in &mut self.new_lanes {
            let (sink, number) = lane.id;
            let Some((ttl, fresh)) = lane.ttl.zip(lane.fresh) else {
                continue;
            };
            let one_by_one = self.lanes.get(&lane.id).is_some_and(|lane| lane.one_by_one);
            let alone = lane.head == lane.tail && !one_by_one;
            if alone && (number < 0 || newest(number) == Some(lane.head)) {
                let lease = self.together.lease(sink, ttl, lane.head);
                self.new[lane.first].lease = Some(lease);
                self.fresh[fresh].lease.token = -lease;
                lane.shares = true;
            }
        }
    }

    /// The claim that has a slot left over for a new delivery to `sink`.
    fn free_slot(&self, sink: SinkId) -> Option<usize> {
        self.left.iter().position(|left| {
            left.claim.sink == sink && left.slots > 0 && left.bytes > 0 && left.allowed > 0
        })
    }

    fn lease(
        &mut self,
        offer: &Offer,
        (seq, lane, stale): (i64, i64, bool),
        at: usize,
        subject: i64,
    ) {
        let claim = self.left[at].claim;
        self.left[at].slots -= 1;
        let bytes = self.left[at].bytes;
        self.left[at].bytes = bytes.saturating_sub(offer.event.body.len());
        let rated = !claim.rates.is_empty();
        if rated {
            // Other claims on the sink share its rate.
            for other in &mut self.left {
                if other.claim.sink == claim.sink {
                    other.allowed = other.allowed.saturating_sub(1);
                }
            }
        }
        let lease = Lease {
            seq: Seq(seq),
            sink: claim.sink,
            event: Arc::clone(&offer.event),
            stale,
            attempt: 1,
            interrupted: false,
            replay: false,
            remembered: Vec::new(),
            trace: None,
            expires_at: time::after(self.now, claim.ttl),
            lane,
            token: -seq,
            rated,
        };
        self.fresh.push(Fresh {
            lease,
            remembers: Some(subject).filter(|id| claim.remembered && *id > 0),
        });
    }

    /// Gives `write` all that is made, in thirty-one arrays.
    pub(super) fn rows_to<'c>(&self, write: Call<'c>) -> Call<'c> {
        let write = self.lanes_to(write);
        let new = || self.new.iter();
        let sends = || self.fresh.iter().map(|fresh| &fresh.lease);
        let sends = || sends().filter(|lease| lease.rated);
        let ttl = |lease: &Lease| {
            let ttl = lease.expires_at.duration_since(self.now);
            i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)
        };
        let queued = || self.queued.iter();
        let write = write
            .each(new().map(|new| new.seq))
            .each(new().map(|new| new.sink))
            .each(new().map(|new| i32::from(new.leased)))
            .each(new().map(|new| new.previous))
            .each(new().map(|new| new.next))
            .each(new().map(|new| new.latest))
            .each(new().map(|new| new.own))
            .each(new().map(|new| new.lease));
        self.together
            .rows_to(write)
            .each(sends().map(|lease| lease.sink.0))
            .each(sends().map(ttl))
            .each(sends().map(|lease| lease.token))
            .each(queued().map(|row| row.0))
            .each(queued().map(|row| row.1))
            .each(queued().map(|row| row.2))
            .each(queued().map(|row| row.3))
    }

    fn lanes_to<'c>(&self, write: Call<'c>) -> Call<'c> {
        let new = || self.new_lanes.iter().filter(|lane| !lane.shares);
        let there = || self.lanes.iter().filter(|(_, lane)| lane.new.is_none());
        let longer = || there().filter(|(_, lane)| lane.last.is_some());
        let links = || self.links.iter();
        write
            .each(new().map(|lane| lane.id.0))
            .each(new().map(|lane| lane.id.1))
            .each(new().map(|lane| lane.head))
            .each(new().map(|lane| lane.tail))
            .each(new().map(|lane| lane.ttl))
            .each(new().map(|lane| lane.latest))
            .each(longer().map(|(id, _)| id.0))
            .each(longer().map(|(id, _)| id.1))
            .each(longer().map(|(_, lane)| lane.tail))
            .each(links().map(|row| row.0))
            .each(links().map(|row| row.1))
            .each(links().map(|row| row.2))
    }

    /// Asks for what the new leases carry of their subjects.
    pub(super) fn recall<'c>(&self) -> Option<Call<'c>> {
        let asking = || {
            let fresh = self.fresh.iter();
            fresh.filter_map(|fresh| fresh.remembers.map(|subject| (subject, fresh.lease.sink.0)))
        };
        asking().next()?;
        Some(
            Call::new(
                "SELECT m.subject, m.sink, m.name, m.value \
                 FROM (SELECT DISTINCT * FROM unnest($1, $2)) AS u (subject, sink) \
                 JOIN remembered m ON m.subject = u.subject AND m.sink = u.sink ORDER BY m.name",
            )
            .each(asking().map(|row| row.0))
            .each(asking().map(|row| row.1)),
        )
    }
}

/// Whether a lease of `claim` usually ends with nothing but a state.
fn may_share(claim: &Claim) -> bool {
    claim.rates.is_empty() && !claim.remembered
}

/// Puts what is remembered into the leases that asked for it.
pub(super) fn remember(fresh: &mut [Fresh], rows: &[Row]) -> Result<(), Failure> {
    for row in rows {
        let (subject, sink): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        for fresh in fresh.iter_mut() {
            if fresh.remembers == Some(subject) && fresh.lease.sink.0 == sink {
                let pair = (row.try_get(2)?, row.try_get(3)?);
                fresh.lease.remembered.push(pair);
            }
        }
    }
    Ok(())
}
