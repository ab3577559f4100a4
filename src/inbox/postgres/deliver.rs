//! Making deliveries: each at the end of its lane, and leased at once where it comes first.
//!
//! Most lanes are new, or get a delivery behind others; those are written all at once. Where a later
//! delivery supersedes what waits, the database goes through the lane's new deliveries one by one.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::error::Failure;
use super::session::{Call, Script};
use super::time;
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
}

#[derive(Debug)]
struct NewDelivery {
    seq: i64,
    sink: i64,
    leased: bool,
    previous: Option<i64>,
    next: Option<i64>,
    latest: bool,
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
            made: HashMap::new(),
        }
    }

    /// Whether a delivery was made that nobody has leased.
    pub(super) fn left_waiting(&self) -> bool {
        let made: i64 = self.made.values().sum();
        usize::try_from(made).is_ok_and(|made| made > self.fresh.len())
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
        });
        self.new.push(NewDelivery {
            seq,
            sink: sink.0,
            leased: claim.is_some(),
            previous: None,
            next: None,
            latest,
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
        });
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

    /// Writes them.
    pub(super) fn write(&self, given: Option<i64>, script: &mut Script<'_>) {
        self.write_lanes(given, script);
        self.write_deliveries(script);
        let rated = self.fresh.iter().filter(|fresh| fresh.lease.rated);
        let rated: Vec<_> = rated
            .map(|fresh| {
                let sink = fresh.lease.sink;
                let ttl = fresh.lease.expires_at.duration_since(self.now);
                let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
                (sink.0, ttl, fresh.lease.token)
            })
            .collect();
        if !rated.is_empty() {
            script.add(
                Call::new(
                    "INSERT INTO sends (sink, ended, token) \
                     SELECT u.sink, (SELECT inbox_now($4)) + u.ttl, u.token \
                     FROM unnest($1, $2, $3) AS u (sink, ttl, token)",
                )
                .with(rated.iter().map(|row| row.0).collect::<Vec<_>>())
                .with(rated.iter().map(|row| row.1).collect::<Vec<_>>())
                .with(rated.iter().map(|row| row.2).collect::<Vec<_>>())
                .with(given),
            );
        }
    }

    fn write_lanes(&self, given: Option<i64>, script: &mut Script<'_>) {
        let new = || self.new_lanes.iter();
        if !self.new_lanes.is_empty() {
            script.add(
                Call::new(
                    "INSERT INTO lanes (sink, lane, head, tail, leased, available, token, latest) \
                     SELECT u.sink, u.lane, u.head, u.tail, u.ttl IS NOT NULL, \
                     (SELECT inbox_now($7)) + coalesce(u.ttl, 0), \
                     CASE WHEN u.ttl IS NOT NULL THEN -u.head END, u.latest \
                     FROM unnest($1, $2, $3, $4, $5, $6) AS u (sink, lane, head, tail, ttl, latest)",
                )
                .with(new().map(|lane| lane.id.0).collect::<Vec<_>>())
                .with(new().map(|lane| lane.id.1).collect::<Vec<_>>())
                .with(new().map(|lane| lane.head).collect::<Vec<_>>())
                .with(new().map(|lane| lane.tail).collect::<Vec<_>>())
                .with(new().map(|lane| lane.ttl).collect::<Vec<_>>())
                .with(new().map(|lane| lane.latest).collect::<Vec<_>>())
                .with(given),
            );
        }
        if !self.links.is_empty() {
            let lanes = self.lanes.iter();
            let longer = lanes.filter(|(_, lane)| lane.new.is_none() && lane.last.is_some());
            let longer: Vec<_> = longer.map(|(id, lane)| (id.0, id.1, lane.tail)).collect();
            script.add(
                Call::new(
                    "UPDATE lanes l SET tail = u.tail FROM unnest($1, $2, $3) AS u (sink, lane, tail) \
                     WHERE l.sink = u.sink AND l.lane = u.lane",
                )
                .with(longer.iter().map(|row| row.0).collect::<Vec<_>>())
                .with(longer.iter().map(|row| row.1).collect::<Vec<_>>())
                .with(longer.iter().map(|row| row.2).collect::<Vec<_>>()),
            );
            script.add(
                Call::new(
                    "UPDATE deliveries d SET next = u.next \
                     FROM unnest($1, $2, $3) AS u (seq, sink, next) \
                     WHERE d.seq = u.seq AND d.sink = u.sink",
                )
                .with(self.links.iter().map(|row| row.0).collect::<Vec<_>>())
                .with(self.links.iter().map(|row| row.1).collect::<Vec<_>>())
                .with(self.links.iter().map(|row| row.2).collect::<Vec<_>>()),
            );
        }
    }

    fn write_deliveries(&self, script: &mut Script<'_>) {
        let new = || self.new.iter();
        if !self.new.is_empty() {
            let attempts = new().map(|new| i32::from(new.leased)).collect::<Vec<_>>();
            script.add(
                Call::new(
                    "INSERT INTO deliveries (seq, sink, state, attempts, previous, next, latest) \
                     SELECT u.seq, u.sink, 0, u.attempts, u.previous, u.next, u.latest \
                     FROM unnest($1, $2, $3, $4, $5, $6) \
                     AS u (seq, sink, attempts, previous, next, latest)",
                )
                .with(new().map(|new| new.seq).collect::<Vec<_>>())
                .with(new().map(|new| new.sink).collect::<Vec<_>>())
                .with(attempts)
                .with(new().map(|new| new.previous).collect::<Vec<_>>())
                .with(new().map(|new| new.next).collect::<Vec<_>>())
                .with(new().map(|new| new.latest).collect::<Vec<_>>()),
            );
        }
    }

    /// Queues what may supersede others; answers with what was superseded, which is counted, too.
    pub(super) fn queue_one_by_one<'c>(&self, given: Option<i64>, part: i32) -> Option<Call<'c>> {
        let queued = || self.queued.iter();
        (!self.queued.is_empty()).then(|| {
            Call::new(
                "WITH gone AS MATERIALIZED ( \
                 SELECT seq, sink FROM inbox_queue($1, $2, $3, $4, inbox_now($5))), \
                 counted AS (INSERT INTO tallies AS t (sink, part, n) \
                 SELECT gone.sink, $6, -count(*) FROM gone GROUP BY gone.sink ORDER BY gone.sink \
                 ON CONFLICT (sink, part) DO UPDATE SET n = t.n + excluded.n) \
                 SELECT seq, sink FROM gone",
            )
            .with(queued().map(|row| row.0).collect::<Vec<_>>())
            .with(queued().map(|row| row.1).collect::<Vec<_>>())
            .with(queued().map(|row| row.2).collect::<Vec<_>>())
            .with(queued().map(|row| row.3).collect::<Vec<_>>())
            .with(given)
            .with(part)
        })
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
            .with(asking().map(|row| row.0).collect::<Vec<_>>())
            .with(asking().map(|row| row.1).collect::<Vec<_>>()),
        )
    }
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

/// Reads sink, lane and tail of lanes.
pub(super) fn tails(rows: &[Row]) -> Result<Tails, Failure> {
    let tail = |row: &Row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?));
    rows.iter().map(tail).collect()
}
