//! A dispatcher's side of the group commit: leases come in, free slots and settled leases go out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::committer::Committer;
use super::{Claim, Lease, Settled, Settlement, SinkId};

/// Bytes of bodies that one sink's leases keep in memory, give or take one body.
const LEASED_BYTES: usize = 16 << 20;

/// What the bodies of `leases` take.
pub fn body_bytes(leases: &[Lease]) -> usize {
    leases.iter().map(|lease| lease.event.body.len()).sum()
}

/// A dispatcher's side of the committer: leases come in, free slots and settled leases go out.
#[derive(Debug)]
pub struct Claims {
    leases: mpsc::UnboundedReceiver<Vec<Lease>>,
    slots: Arc<Slots>,
    committer: Committer,
}

impl Claims {
    pub(super) fn new(
        committer: Committer,
        sink: SinkId,
        slots: usize,
        ttl: Duration,
    ) -> (Self, Arc<Slots>) {
        let (leases, receive) = mpsc::unbounded_channel();
        let slots = Arc::new(Slots {
            sink,
            ttl,
            slots,
            taken: AtomicUsize::new(0),
            taken_bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            leases,
            due: Mutex::new(Some(Timestamp::MIN)),
        });
        let claims = Self {
            leases: receive,
            slots: Arc::clone(&slots),
            committer,
        };
        (claims, slots)
    }

    /// The next leases; `None` never, while the committer lives.
    pub async fn next(&mut self) -> Option<Vec<Lease>> {
        self.leases.recv().await
    }

    /// More leases that are here already.
    pub fn more(&mut self) -> Option<Vec<Lease>> {
        self.leases.try_recv().ok()
    }

    /// Frees `count` slots and the `bytes` of bodies that were in them.
    pub fn free(&self, count: usize, bytes: usize) {
        self.slots.taken_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.slots.taken.fetch_sub(count, Ordering::AcqRel);
        self.committer.look();
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
        self.committer.forget(&self.slots);
        self.leases.close();
        while let Ok(leases) = self.leases.try_recv() {
            let release = |lease: Lease| lease.settle(Settlement::Released);
            self.settle(leases.into_iter().map(release).collect());
        }
    }
}

/// One sink's free slots, shared by its dispatcher (which frees them) and the committer (which
/// fills them).
#[derive(Debug)]
pub(super) struct Slots {
    sink: SinkId,
    ttl: Duration,
    /// How many there are, and how many of them are taken.
    slots: usize,
    taken: AtomicUsize,
    /// Bytes of bodies that are leased.
    taken_bytes: AtomicUsize,
    paused: AtomicBool,
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
        let claim = Claim {
            sink: self.sink,
            slots: self.slots.saturating_sub(taken.load(Ordering::Acquire)),
            // The last body may reach beyond the bound.
            bytes: LEASED_BYTES.saturating_sub(bytes.load(Ordering::Acquire)),
            ttl: self.ttl,
        };
        (claim.slots > 0 && claim.bytes > 0).then_some(claim)
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
