//! A dispatcher's side of the group commit: leases come in, free slots and settled leases go out.

use std::sync::atomic::{AtomicUsize, Ordering};
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
            free: AtomicUsize::new(slots),
            free_bytes: AtomicUsize::new(LEASED_BYTES),
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
        self.slots.free_bytes.fetch_add(bytes, Ordering::AcqRel);
        self.slots.free.fetch_add(count, Ordering::AcqRel);
        self.committer.look();
    }

    /// Takes back slots not in use; returns how many there were.
    pub fn pause(&self) -> usize {
        self.slots.free.swap(0, Ordering::AcqRel)
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
    free: AtomicUsize,
    /// Bytes of bodies that may still be leased.
    free_bytes: AtomicUsize,
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
        let claim = Claim {
            sink: self.sink,
            slots: self.free.load(Ordering::Acquire),
            bytes: self.free_bytes.load(Ordering::Acquire),
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
        take(&self.free, leases.len());
        take(&self.free_bytes, body_bytes(&leases));
        // A dispatcher that ended in this moment leaves its leases to run out.
        let _taken = self.leases.send(leases);
    }
}

fn take(free: &AtomicUsize, taken: usize) {
    let _before = free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
        Some(free.saturating_sub(taken))
    });
}
