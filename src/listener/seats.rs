//! Who holds a connection, and who gives up theirs when all are taken.
//!
//! A seat is *waiting* from its start, and from the end of each answer, to the end of the next
//! head; in between it is *busy*. Only a waiting seat is taken away, the one waiting longest
//! first. So a flood of connections passes through, oldest out first, and everybody who sends a
//! head within a round trip gets an answer.
//!
//! Invariants:
//! - Strangers hold at most a tenth of the seats, and at least one may.
//! - A seat is in exactly one queue while it waits, and in none while it is busy.
//! - An evicted seat can never become busy: both happen under the same lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::AbortHandle;

use super::ListenerMetrics;
use crate::source::Standing;

type SeatId = u64;
/// Position in the order in which seats began to wait.
type Turn = u64;

/// All seats of one listener. Every operation is O(log n) and takes one short lock.
#[derive(Debug)]
pub(super) struct Seats {
    table: Mutex<Table>,
    metrics: ListenerMetrics,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    occupants: HashMap<SeatId, Occupant>,
    strangers: Class,
    others: Class,
}

#[derive(Debug)]
struct Occupant {
    stranger: bool,
    waiting: Option<Turn>,
    task: Option<AbortHandle>,
}

#[derive(Debug, Default)]
struct Class {
    held: usize,
    waiting: BTreeMap<Turn, SeatId>,
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
            metrics,
        })
    }

    /// Takes a seat, closing connections that wait where that is needed. The flag tells whether
    /// it was.
    pub(super) fn admit(
        self: &Arc<Self>,
        standing: Standing,
        max_connections: usize,
    ) -> (Result<Seat, Full>, bool) {
        let stranger = matches!(standing, Standing::Stranger);
        let mut victims = Vec::new();
        let admitted = {
            let mut table = self.table();
            table
                .make_room(stranger, max_connections, &mut victims)
                .map(|()| table.seat(stranger))
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

    /// Names the task that ends when the seat is taken away. No other thread admits, so that
    /// nothing is taken away before.
    pub(super) fn attach(&self, id: SeatId, task: AbortHandle) {
        if let Some(occupant) = self.table().occupants.get_mut(&id) {
            occupant.task = Some(task);
        }
    }

    /// Closes the connection waiting longest, strangers first. `false`: none waits.
    pub(super) fn evict_one(&self) -> bool {
        let victim = self.table().evict_any();
        let found = victim.is_some();
        self.cut_off(victim);
        found
    }

    /// Ends every connection, busy or not, and says how many there were.
    pub(super) fn abort_all(&self) -> usize {
        let tasks: Vec<_> = self
            .table()
            .occupants
            .values()
            .filter_map(|occupant| occupant.task.clone())
            .collect();
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
        let held = self.seats.table().remove(self.id).is_some();
        if held {
            self.seats.metrics.open.dec();
        }
    }
}

impl Table {
    fn make_room(
        &mut self,
        stranger: bool,
        max_connections: usize,
        victims: &mut Vec<Occupant>,
    ) -> Result<(), Full> {
        if stranger {
            while self.strangers.held >= stranger_share(max_connections) {
                victims.push(self.evict(true).ok_or(Full)?);
            }
        }
        while self.occupants.len() >= max_connections.max(1) {
            victims.push(self.evict_any().ok_or(Full)?);
        }
        Ok(())
    }

    fn seat(&mut self, stranger: bool) -> SeatId {
        let id = self.turn();
        let occupant = Occupant {
            stranger,
            waiting: None,
            task: None,
        };
        self.occupants.insert(id, occupant);
        self.class(stranger).held += 1;
        self.waiting(id);
        id
    }

    fn waiting(&mut self, id: SeatId) {
        let turn = self.turn();
        let Some(occupant) = self.occupants.get_mut(&id) else {
            return;
        };
        if occupant.waiting.is_none() {
            occupant.waiting = Some(turn);
            let stranger = occupant.stranger;
            self.class(stranger).waiting.insert(turn, id);
        }
    }

    fn busy(&mut self, id: SeatId) -> bool {
        let Some(occupant) = self.occupants.get_mut(&id) else {
            return false;
        };
        let stranger = occupant.stranger;
        if let Some(turn) = occupant.waiting.take() {
            self.class(stranger).waiting.remove(&turn);
        }
        true
    }

    fn evict_any(&mut self) -> Option<Occupant> {
        self.evict(true).or_else(|| self.evict(false))
    }

    fn evict(&mut self, stranger: bool) -> Option<Occupant> {
        let id = *self.class(stranger).waiting.first_key_value()?.1;
        self.remove(id)
    }

    fn remove(&mut self, id: SeatId) -> Option<Occupant> {
        let occupant = self.occupants.remove(&id)?;
        let class = self.class(occupant.stranger);
        class.held -= 1;
        if let Some(turn) = &occupant.waiting {
            class.waiting.remove(turn);
        }
        Some(occupant)
    }

    fn class(&mut self, stranger: bool) -> &mut Class {
        if stranger {
            &mut self.strangers
        } else {
            &mut self.others
        }
    }

    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_SEAT: &str = "a free or waiting seat";

    #[test]
    fn strangers_share_a_tenth_and_at_least_one_may_connect() {
        for (max_connections, share) in [(0, 1), (1, 1), (9, 1), (20, 2), (4096, 409)] {
            assert_eq!(stranger_share(max_connections), share, "{max_connections}");
        }
    }

    #[test]
    fn a_full_house_of_busy_connections_refuses_the_next() {
        let seats = Seats::new(ListenerMetrics::default());
        let seat = seats.admit(Standing::MayPush, 1).0.expect(NO_SEAT);
        assert!(seat.busy());
        assert!(matches!(
            seats.admit(Standing::MayPush, 1),
            (Err(Full), false)
        ));
        seat.waiting();
        let (admitted, evicted) = seats.admit(Standing::MayPush, 1);
        assert!(admitted.is_ok() && evicted);
        assert!(!seat.busy(), "an evicted connection starts no request");
    }

    #[test]
    fn a_lowered_limit_is_reached_with_the_next_connection() {
        let seats = Seats::new(ListenerMetrics::default());
        let _held: Vec<_> = (0..8)
            .map(|_| seats.admit(Standing::MayPush, 8).0.expect(NO_SEAT))
            .collect();
        let _next = seats.admit(Standing::MayPush, 3).0.expect(NO_SEAT);
        assert_eq!(seats.metrics.open.get(), 3);
        assert_eq!(seats.metrics.evicted.get(), 6);
    }

    /// The rule as one would write it down, over a list in the order in which seats began to wait.
    #[derive(Default)]
    struct Rule {
        waiting: Vec<(usize, bool)>,
        busy: Vec<(usize, bool)>,
    }

    impl Rule {
        fn held(&self, class: Option<bool>) -> usize {
            let all = self.waiting.iter().chain(&self.busy);
            all.filter(|(_, stranger)| class.is_none_or(|class| class == *stranger))
                .count()
        }

        fn evict(&mut self, stranger: bool) -> bool {
            let first = self.waiting.iter().position(|(_, s)| *s == stranger);
            first.map(|at| self.waiting.remove(at)).is_some()
        }

        fn admit(&mut self, name: usize, stranger: bool, max: usize) -> bool {
            while stranger && self.held(Some(true)) >= (max / 10).max(1) {
                if !self.evict(true) {
                    return false;
                }
            }
            while self.held(None) >= max {
                if !self.evict(true) && !self.evict(false) {
                    return false;
                }
            }
            self.waiting.push((name, stranger));
            true
        }
    }

    proptest! {
        #[test]
        fn the_connection_longest_without_a_head_goes_first(
            steps in prop::collection::vec((0..5u8, 0..24usize), 1..200),
            max in 1..24usize,
        ) {
            let seats = Seats::new(ListenerMetrics::default());
            let mut rule = Rule::default();
            let mut held: HashMap<usize, Seat> = HashMap::new();
            for (name, (step, pick)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let standing =
                            if step == 0 { Standing::Stranger } else { Standing::MayPush };
                        let (seat, _) = seats.admit(standing, max);
                        prop_assert_eq!(seat.is_ok(), rule.admit(name, step == 0, max));
                        held.extend(seat.ok().map(|seat| (name, seat)));
                    }
                    2 if pick < rule.waiting.len() => {
                        let entry = rule.waiting.remove(pick);
                        prop_assert!(held[&entry.0].busy());
                        rule.busy.push(entry);
                    }
                    3 if pick < rule.busy.len() => {
                        let entry = rule.busy.remove(pick);
                        held[&entry.0].waiting();
                        rule.waiting.push(entry);
                    }
                    4 if pick < rule.waiting.len() => {
                        held.remove(&rule.waiting.remove(pick).0);
                    }
                    _ => {}
                }
                let all = rule.waiting.iter().chain(&rule.busy);
                let ids: Vec<_> = all.map(|(name, _)| held[name].id()).collect();
                let table = seats.table();
                prop_assert!(ids.iter().all(|id| table.occupants.contains_key(id)));
                prop_assert_eq!(table.occupants.len(), ids.len());
                drop(table);
                prop_assert_eq!(seats.metrics.open.get(), i64::try_from(ids.len()).unwrap());
            }
        }
    }
}
