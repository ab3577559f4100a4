//! The rule of who makes room, against the plainest form of it.

use std::collections::HashMap;

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::lifecycle::Lifecycle;

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
    let seat = seats.admit(Class::MayPush, 1).0.expect(NO_SEAT);
    assert!(seat.busy());
    assert!(matches!(seats.admit(Class::MayPush, 1), (Err(Full), false)));
    seat.waiting();
    let (admitted, evicted) = seats.admit(Class::MayPush, 1);
    assert!(admitted.is_ok() && evicted);
    assert!(!seat.busy(), "an evicted connection starts no request");
}

#[test]
fn a_lowered_limit_is_reached_with_the_next_connection() {
    let seats = Seats::new(ListenerMetrics::default());
    let _held: Vec<_> = (0..8)
        .map(|_| seats.admit(Class::MayPush, 8).0.expect(NO_SEAT))
        .collect();
    let _next = seats.admit(Class::MayPush, 3).0.expect(NO_SEAT);
    assert_eq!(seats.metrics.open.get(), 3);
    assert_eq!(seats.metrics.evicted.get(), 6);
}

#[test]
fn who_is_named_a_stranger_makes_another_one_go_and_never_itself() {
    let seats = Seats::new(ListenerMetrics::default());
    let unnamed = || seats.admit(Class::Unnamed, 10).0.expect(NO_SEAT);
    let (first, second, third) = (unnamed(), unnamed(), unnamed());
    // Named in another order than seated: the wait counts from the name.
    assert_eq!(second.name(Class::Stranger, 10), (Ok(()), false));
    assert_eq!(first.name(Class::Stranger, 10), (Ok(()), true));
    assert!(!second.busy(), "it had been a stranger longer");
    assert!(first.busy());
    assert_eq!(third.name(Class::Stranger, 10), (Err(Full), false));
    assert_eq!(third.name(Class::MayPush, 10), (Ok(()), false));
    assert!(third.busy());
    assert_eq!(second.name(Class::MayPush, 10), (Ok(()), false));
    assert!(!second.busy(), "what is taken away stays so");
}

#[test]
fn the_unnamed_go_before_those_who_may_push() {
    let seats = Seats::new(ListenerMetrics::default());
    let admit = |class| seats.admit(class, 2).0.expect(NO_SEAT);
    let (sender, unnamed) = (admit(Class::MayPush), admit(Class::Unnamed));
    let next = admit(Class::Unnamed);
    assert!(!unnamed.busy());
    assert_eq!(next.name(Class::MayPush, 2), (Ok(()), false));
    assert!(sender.busy() && next.busy());
}

#[tokio::test]
async fn a_seat_taken_away_before_its_task_is_known_ends_the_task() {
    let seats = Seats::new(ListenerMetrics::default());
    let seat = seats.admit(Class::Unnamed, 1).0.expect(NO_SEAT);
    let id = seat.id();
    let (never, forever) = oneshot::channel::<()>();
    let task = Lifecycle::default().spawn(async move {
        let _seat = seat;
        let _never = forever.await;
    });
    assert!(seats.evict_one());
    seats.attach(id, task.abort_handle());
    seats.settled(0).await;
    assert!(task.await.expect_err("it was ended").is_cancelled());
    assert!(never.is_closed());
}

/// The rule as one would write it down, over a list in the order in which seats began to wait.
#[derive(Default)]
struct Rule {
    waiting: Vec<(usize, Class)>,
    busy: Vec<(usize, Class)>,
}

impl Rule {
    fn held(&self, class: Option<Class>) -> usize {
        let all = self.waiting.iter().chain(&self.busy);
        all.filter(|(_, of)| class.is_none_or(|class| class == *of))
            .count()
    }

    fn evict(&mut self, class: Class) -> bool {
        let first = self.waiting.iter().position(|(_, of)| *of == class);
        first.map(|at| self.waiting.remove(at)).is_some()
    }

    fn room_for_a_stranger(&mut self, max: usize) -> bool {
        while self.held(Some(Class::Stranger)) >= (max / 10).max(1) {
            if !self.evict(Class::Stranger) {
                return false;
            }
        }
        true
    }

    fn admit(&mut self, name: usize, class: Class, max: usize) -> bool {
        if class == Class::Stranger && !self.room_for_a_stranger(max) {
            return false;
        }
        while self.held(None) >= max {
            let mut order = [Class::Stranger, Class::Unnamed, Class::MayPush].into_iter();
            if !order.any(|class| self.evict(class)) {
                return false;
            }
        }
        self.waiting.push((name, class));
        true
    }

    fn name(&mut self, at: usize, class: Class, max: usize) -> bool {
        let (name, was) = self.waiting[at];
        if was == class {
            return true;
        }
        let room = class != Class::Stranger || self.room_for_a_stranger(max);
        if room {
            self.waiting.retain(|(other, _)| *other != name);
            self.waiting.push((name, class));
        }
        room
    }
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(&[Class::Stranger, Class::Unnamed, Class::MayPush][..])
}

proptest! {
    #[test]
    fn the_connection_longest_without_a_head_goes_first(
        steps in prop::collection::vec((0..7u8, class(), 0..24usize), 1..200),
        max in 1..24usize,
    ) {
        let seats = Seats::new(ListenerMetrics::default());
        let mut rule = Rule::default();
        let mut held: HashMap<usize, Seat> = HashMap::new();
        for (name, (step, class, pick)) in steps.into_iter().enumerate() {
            match step {
                0 | 1 => {
                    let (seat, _) = seats.admit(class, max);
                    prop_assert_eq!(seat.is_ok(), rule.admit(name, class, max));
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
                5 | 6 if pick < rule.waiting.len() => {
                    let (named, _) = held[&rule.waiting[pick].0].name(class, max);
                    prop_assert_eq!(named.is_ok(), rule.name(pick, class, max));
                }
                _ => {}
            }
            let all = rule.waiting.iter().chain(&rule.busy);
            let ids: Vec<_> = all.map(|(name, _)| held[name].id()).collect();
            let strangers = rule.held(Some(Class::Stranger));
            prop_assert!(strangers <= stranger_share(max));
            let table = seats.table();
            prop_assert!(ids.iter().all(|id| table.occupants.contains_key(id)));
            prop_assert_eq!(table.occupants.len(), ids.len());
            prop_assert_eq!(table.leaving(), held.len() - ids.len());
            drop(table);
            prop_assert_eq!(seats.metrics.open.get(), i64::try_from(ids.len()).unwrap());
        }
    }
}
