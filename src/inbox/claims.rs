//! A dispatcher's side of the group commit: leases come in, free slots and settled leases go out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::committer::Committer;
use super::{Claim, Lease, Rate, Settled, Settlement, SinkId};
use crate::metrics::{DeliveryOutcome, SinkMetrics};

/// Bytes of bodies that one sink's leases keep in memory, give or take one body.
const LEASED_BYTES: usize = 16 << 20;

/// What the bodies of `leases` take.
pub fn body_bytes(leases: &[Lease]) -> usize {
    leases.iter().map(|lease| lease.event.body.len()).sum()
}

/// Where a dispatcher's leases come in. What it has not begun when it ends is given back.
#[derive(Debug)]
pub struct Claims {
    leases: mpsc::UnboundedReceiver<Vec<Lease>>,
    desk: Desk,
}

/// Where free slots and settled leases go out; clones share one set of slots.
#[derive(Debug, Clone)]
pub struct Desk {
    slots: Arc<Slots>,
    committer: Committer,
}

/// What a dispatcher claims. May change while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimOptions {
    /// Deliveries leased and not yet settled.
    pub slots: usize,
    /// How long a lease lasts.
    pub ttl: Duration,
    /// How many attempts there may be in a stretch of time, over all replicas.
    pub rates: Arc<[Rate]>,
    /// Whether leases carry what is remembered of their subjects.
    pub remembered: bool,
}

impl ClaimOptions {
    /// Without rates or memory.
    pub fn new(slots: usize, ttl: Duration) -> Self {
        Self {
            slots,
            ttl,
            rates: Arc::default(),
            remembered: false,
        }
    }
}

impl Claims {
    pub(super) fn new(
        committer: Committer,
        sink: SinkId,
        (options, metrics): (ClaimOptions, SinkMetrics),
    ) -> (Self, Arc<Slots>) {
        let (leases, receive) = mpsc::unbounded_channel();
        let slots = Arc::new(Slots {
            sink,
            metrics,
            options: ArcSwap::from_pointee(options),
            taken: AtomicUsize::new(0),
            taken_bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            probing: AtomicBool::new(false),
            leases,
            due: Mutex::new(Some(Timestamp::MIN)),
        });
        let desk = Desk {
            slots: Arc::clone(&slots),
            committer,
        };
        let claims = Self {
            leases: receive,
            desk,
        };
        (claims, slots)
    }

    /// Where they go out again.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// The next leases; `None` never, while the committer lives.
    pub async fn next(&mut self) -> Option<Vec<Lease>> {
        self.leases.recv().await
    }

    /// More leases that are here already.
    pub fn more(&mut self) -> Option<Vec<Lease>> {
        self.leases.try_recv().ok()
    }
}

impl Desk {
    /// Frees `count` slots and the `bytes` of bodies that were in them.
    pub fn free(&self, count: usize, bytes: usize) {
        self.slots.taken_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.slots.taken.fetch_sub(count, Ordering::AcqRel);
        self.committer.look();
    }

    /// Claims by `options` from now on.
    pub fn change(&self, options: ClaimOptions) {
        if **self.slots.options.load() != options {
            self.slots.options.store(Arc::new(options));
            self.committer.look();
        }
    }

    /// Takes one delivery at a time, and does not wait for its retry to be due, to find out whether
    /// the sink works again.
    pub fn probe(&self) {
        self.slots.probing.store(true, Ordering::Release);
        // It may have been said that nothing is due for long.
        self.slots.set_due(Some(Timestamp::MIN));
        self.resume();
    }

    /// The sink works again: all that waits is due now.
    pub fn recovered(&self) {
        self.slots.probing.store(false, Ordering::Release);
        self.committer.recovered(self.slots.sink);
        self.resume();
    }

    /// Takes no more leases, but for those on their way.
    pub fn pause(&self) {
        self.slots.paused.store(true, Ordering::Release);
    }

    /// Takes leases again.
    pub fn resume(&self) {
        self.slots.paused.store(false, Ordering::Release);
        self.committer.look();
    }

    /// Hands settled leases in; they are committed with the next transaction.
    pub fn settle(&self, settled: Vec<Settled>) {
        if !settled.is_empty() {
            self.committer.settle(settled);
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.desk.committer.forget(&self.desk.slots);
        self.leases.close();
        while let Ok(leases) = self.leases.try_recv() {
            let release = |lease: Lease| lease.settle(Settlement::Released);
            self.desk.settle(leases.into_iter().map(release).collect());
        }
    }
}

/// One sink's free slots, shared by its dispatcher (which frees them) and the committer (which
/// fills them).
#[derive(Debug)]
pub(super) struct Slots {
    sink: SinkId,
    metrics: SinkMetrics,
    options: ArcSwap<ClaimOptions>,
    /// How many are taken.
    taken: AtomicUsize,
    /// Bytes of bodies that are leased.
    taken_bytes: AtomicUsize,
    paused: AtomicBool,
    probing: AtomicBool,
    leases: mpsc::UnboundedSender<Vec<Lease>>,
    /// When the sink next has something to claim, as far as the last commit could tell.
    due: Mutex<Option<Timestamp>>,
}

impl Slots {
    pub(super) fn sink(&self) -> SinkId {
        self.sink
    }

    /// What may be claimed, if there is room at all.
    pub(super) fn room(&self) -> Option<Claim> {
        if self.paused.load(Ordering::Acquire) {
            return None;
        }
        let (taken, bytes) = (&self.taken, &self.taken_bytes);
        let options = self.options.load();
        let probe = self.probing.load(Ordering::Acquire);
        let slots = if probe { 1 } else { options.slots };
        let claim = Claim {
            slots: slots.saturating_sub(taken.load(Ordering::Acquire)),
            // The last body may reach beyond the bound.
            bytes: LEASED_BYTES.saturating_sub(bytes.load(Ordering::Acquire)),
            rates: Arc::clone(&options.rates),
            remembered: options.remembered,
            probe,
            ..Claim::new(self.sink, 0, options.ttl)
        };
        (claim.slots > 0 && claim.bytes > 0).then_some(claim)
    }

    /// Counts deliveries that later ones made needless.
    pub(super) fn superseded(&self, count: u64) {
        self.metrics.count(DeliveryOutcome::superseded, count);
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_due(&self, due: Option<Timestamp>) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }

    pub(super) fn hand_over(&self, leases: Vec<Lease>) {
        self.taken.fetch_add(leases.len(), Ordering::AcqRel);
        self.taken_bytes
            .fetch_add(body_bytes(&leases), Ordering::AcqRel);
        // A dispatcher that ends is forgotten before it stops listening.
        let _taken = self.leases.send(leases);
    }
}
