//! Who holds a connection, and who gives up theirs when all are taken.
//!
//! A seat is *waiting* from its start, and from the end of each answer, to the end of the next
//! head; in between it is *busy*. Only a waiting seat is taken away, the one waiting longest
//! first. So a flood of connections passes through, oldest out first, and everybody who sends a
//! head within a round trip gets an answer.
//!
//! Behind a balancer that speaks the PROXY protocol a seat is *unnamed* until the header is read;
//! then it is classed by the client, and its wait begins anew. A client that turns out a stranger
//! takes its place among the strangers as a new one would: another stranger makes room, never the
//! seat itself, and if none of them waits there is no room.
//!
//! Invariants:
//! - Strangers hold at most a tenth of the seats, and at least one may.
//! - Strangers make room first, then the unnamed, then those who may push.
//! - A seat is in exactly one queue while it waits, and in none while it is busy.
//! - An evicted seat can never become busy: both happen under the same lock.

mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::table::{Occupant, Table};
use super::ListenerMetrics;
use crate::source::Standing;

pub(super) type SeatId = u64;

/// Whom a connection is from, as far as that is known; in the order in which they make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Stranger,
    /// A trusted proxy has not said yet whom it speaks for.
    Unnamed,
    MayPush,
}

impl From<Standing> for Class {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Stranger => Self::Stranger,
            Standing::MayPush => Self::MayPush,
        }
    }
}

/// All seats of one listener. Every operation is O(log n) and takes one short lock.
#[derive(Debug)]
pub(super) struct Seats {
    table: Mutex<Table>,
    /// A connection that had to make room has closed. Only the accept loop waits for that.
    gone: Notify,
    metrics: ListenerMetrics,
}

/// One connection's right to be open; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    id: SeatId,
    seats: Arc<Seats>,
}

/// Every seat is busy, or every one that this peer could have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// How many of `max_connections` peers that may not push hold at most.
pub(super) fn stranger_share(max_connections: usize) -> usize {
    (max_connections / 10).max(1)
}

impl Seats {
    pub(super) fn new(metrics: ListenerMetrics) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            gone: Notify::new(),
            metrics,
        })
    }

    /// Takes a seat, closing connections that wait where that is needed. The flag tells whether
    /// it was.
    pub(super) fn admit(
        self: &Arc<Self>,
        class: Class,
        max_connections: usize,
    ) -> (Result<Seat, Full>, bool) {
        let mut victims = Vec::new();
        let admitted = {
            let mut table = self.table();
            table
                .make_room(class, max_connections, &mut victims)
                .map(|()| table.seat(class))
        };
        let evicted = !victims.is_empty();
        self.cut_off(victims);
        let admitted = admitted.map(|id| {
            self.metrics.open.inc();
            Seat {
                id,
                seats: Arc::clone(self),
            }
        });
        (admitted, evicted)
    }

    /// Names the task that ends when the seat is taken away. Where that has happened meanwhile,
    /// because another connection was named a stranger's, it ends now.
    pub(super) fn attach(&self, id: SeatId, task: AbortHandle) {
        let seated = self.table().attach(id, &task);
        if !seated {
            task.abort();
        }
    }

    /// Closes the connection waiting longest, strangers first. `false`: none waits.
    pub(super) fn evict_one(&self) -> bool {
        let victim = self.table().evict_any();
        let found = victim.is_some();
        self.cut_off(victim);
        found
    }

    /// Returns once no more than `few` of the connections that had to make room are still open:
    /// each keeps its descriptor until its task has ended.
    pub(super) async fn settled(&self, few: usize) {
        while self.table().leaving() > few {
            self.gone.notified().await;
        }
    }

    /// Ends every connection, busy or not, and says how many there were.
    pub(super) fn abort_all(&self) -> usize {
        let tasks = self.table().tasks();
        for task in &tasks {
            task.abort();
        }
        tasks.len()
    }

    /// Outside the lock, because an aborted task's end may take it.
    fn cut_off(&self, victims: impl IntoIterator<Item = Occupant>) {
        for victim in victims {
            self.metrics.open.dec();
            self.metrics.evicted.inc();
            if let Some(task) = victim.task {
                task.abort();
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while seating")
    }
}

impl Seat {
    pub(super) fn id(&self) -> SeatId {
        self.id
    }

    /// The client is known now. Closes another connection where its class has no room, and tells
    /// whether it did; [`Full`] when none of them waits, and the seat should be given up.
    ///
    /// A seat that was taken away just before stays so, which [`Seat::busy`] tells.
    pub(super) fn name(&self, class: Class, max_connections: usize) -> (Result<(), Full>, bool) {
        let mut victims = Vec::new();
        let mut table = self.seats.table();
        let named = table.name(self.id, class, max_connections, &mut victims);
        drop(table);
        let evicted = !victims.is_empty();
        self.seats.cut_off(victims);
        (named, evicted)
    }

    /// A complete head is there. `false`: the seat was taken away just before.
    #[must_use]
    pub(super) fn busy(&self) -> bool {
        self.seats.table().busy(self.id)
    }

    /// No request is in work. A seat that waits already keeps its turn.
    pub(super) fn waiting(&self) {
        self.seats.table().waiting(self.id);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.seats.table().leave(self.id) {
            self.seats.metrics.open.dec();
        } else {
            self.seats.gone.notify_one();
        }
    }
}
