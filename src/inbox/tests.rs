//! The group commit: what it promises whatever the store does.

#![expect(clippy::disallowed_methods, reason = "tests run the committer's task")]

use std::sync::Arc;
use std::time::Duration;

use super::conformance::{self, event};
use super::faulty::FaultyInbox;
use super::sqlite::SqliteInbox;
use super::*;
use crate::clock::SystemClock;
use crate::metrics::Metrics;

struct Running {
    inbox: Arc<FaultyInbox<SqliteInbox>>,
    committer: Committer,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn register(&self, sink: SinkId, slots: usize) -> Claims {
        let options = ClaimOptions::new(slots, Duration::from_secs(60));
        let metrics = Metrics::new().sink(&Arc::from("s"));
        self.committer.register(sink, options, metrics)
    }
}

fn memory() -> FaultyInbox<SqliteInbox> {
    FaultyInbox::new(SqliteInbox::in_memory())
}

fn run(inbox: FaultyInbox<SqliteInbox>) -> Running {
    let inbox = Arc::new(inbox);
    let (committer, task) = Committer::new(CommitterOptions {
        inbox: Arc::<FaultyInbox<SqliteInbox>>::clone(&inbox) as Arc<dyn Inbox>,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        spill: None,
    });
    Running {
        inbox,
        committer,
        task: tokio::spawn(task),
    }
}

#[tokio::test]
async fn whoever_waits_shares_one_transaction() {
    let running = run(memory());
    let waiting: Vec<_> = ["a", "b", "c"]
        .map(|id| running.committer.offer(event(id).offer()))
        .into_iter()
        .collect();
    let mut seqs = Vec::new();
    for answer in waiting {
        seqs.push(answer.await.unwrap().unwrap().seq().unwrap().0);
    }
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test]
async fn who_follows_hears_of_what_is_stored_and_of_no_duplicate() {
    let running = run(memory());
    let mut stored = running.committer.stored();
    for id in ["a", "b", "a"] {
        let taken = running.committer.offer(event(id).offer()).await;
        taken.unwrap().unwrap();
    }
    let newest = running.inbox.horizon().await.unwrap().complete;
    assert_eq!(*stored.borrow_and_update(), newest);
    let again = running.committer.offer(event("b").offer()).await;
    assert_ne!(again.unwrap().unwrap().seq(), None);
    assert!(!stored.has_changed().unwrap());
}

#[tokio::test]
async fn one_bad_event_does_not_fail_its_neighbours() {
    let running = run(memory().poisoned_by("bad"));
    let answers =
        ["a", "bad", "b"].map(|id| running.committer.offer(event(id).of("alert:1").offer()));
    let [first, bad, second] = answers;
    assert!(first.await.unwrap().is_ok());
    assert!(matches!(bad.await.unwrap(), Err(Refusal::Event(_))));
    assert!(second.await.unwrap().is_ok());
    assert_eq!(running.inbox.counts().await.unwrap().events, 2);
}

#[tokio::test]
async fn a_full_store_refuses_and_takes_pushes_again_by_itself() {
    let running = run(memory());
    let full = || Some(InboxError::Full("no room".to_owned()));
    running.inbox.fail_next([full(), full()]);
    let refused = running.committer.offer(event("a").offer()).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Full)), "{refused:?}");
    assert!(matches!(running.committer.state(), StoreState::Full(_)));
    let refused = running.committer.offer(event("b").offer()).await.unwrap();
    assert!(
        matches!(refused, Err(Refusal::Full)),
        "not even tried: {refused:?}"
    );
    let mut state = running.committer.watch();
    state
        .wait_for(|state| *state == StoreState::Working)
        .await
        .unwrap();
    let taken = running
        .committer
        .offer(event("a").offer())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        taken.outcome(),
        crate::event::Outcome::Accepted,
        "nothing was kept of the refused one"
    );
}

#[tokio::test]
async fn a_settled_lease_survives_a_full_store() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 8);
    running
        .committer
        .offer(event("a").to(sink).offer())
        .await
        .unwrap()
        .unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    running
        .inbox
        .fail_next([Some(InboxError::Full("no room".to_owned()))]);
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    let mut state = running.committer.watch();
    state
        .wait_for(|state| matches!(state, StoreState::Full(_)))
        .await
        .unwrap();
    state
        .wait_for(|state| *state == StoreState::Working)
        .await
        .unwrap();
    running.committer.finish();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.inbox.counts().await.unwrap().sinks[0].pending, 0);
}

#[tokio::test]
async fn a_store_too_full_for_events_still_settles_what_was_delivered() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 8);
    let wanted = event("a").to(sink).offer();
    running.committer.offer(wanted).await.unwrap().unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    let full = || Some(InboxError::Full("no room for events".to_owned()));
    running.inbox.fail_next([full(), None, full()]);
    let refused = running.committer.offer(event("b").offer()).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Full)), "{refused:?}");
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    while running.inbox.counts().await.unwrap().sinks[0].pending > 0 {
        tokio::task::yield_now().await;
    }
    assert!(
        matches!(running.committer.state(), StoreState::Full(_)),
        "settled only when there was room for events again"
    );
}

#[tokio::test]
async fn a_broken_store_acknowledges_nothing_and_ends_the_task() {
    let running = run(memory());
    running
        .inbox
        .fail_next([Some(InboxError::Broken("disk".to_owned()))]);
    let refused = running.committer.offer(event("a").offer()).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Failed)), "{refused:?}");
    assert!(running.task.await.unwrap().is_err());
    assert!(matches!(running.committer.state(), StoreState::Broken(_)));
    assert!(
        running.committer.offer(event("b").offer()).await.is_err(),
        "nobody answers any more"
    );
}

#[tokio::test]
async fn deliveries_that_wait_are_claimed_as_soon_as_a_slot_is_free() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 1);
    for id in ["a", "b"] {
        let offer = event(id)
            .of(if id == "a" { "alert:a" } else { "alert:b" })
            .to(sink)
            .offer();
        running.committer.offer(offer).await.unwrap().unwrap();
    }
    let first = claims.next().await.unwrap();
    assert_eq!(first.len(), 1, "one slot, one lease");
    assert!(claims.more().is_none());
    claims.desk().free(1, 0);
    let second = claims.next().await.unwrap();
    assert_eq!(second[0].seq.0, 2);
}

#[tokio::test]
async fn a_dispatcher_that_ends_gives_back_what_it_has_not_begun() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let claims = running.register(sink, 8);
    running
        .committer
        .offer(event("a").to(sink).offer())
        .await
        .unwrap()
        .unwrap();
    drop(claims);
    let mut again = running.register(sink, 8);
    let lease = again.next().await.unwrap().remove(0);
    assert_eq!((lease.attempt, lease.interrupted), (1, false));
}

#[tokio::test]
async fn what_is_leased_for_a_dispatcher_that_has_gone_is_given_back() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let claims = running.register(sink, 8);
    running
        .committer
        .offer(event("x").offer())
        .await
        .unwrap()
        .unwrap();
    let (done, go) = running.inbox.hold_next();
    let wanted = event("a").command().to(sink).offer();
    let answer = running.committer.offer(wanted);
    done.await.unwrap();
    drop(claims);
    drop(go);
    answer.await.unwrap().unwrap();
    running.committer.finish();
    running.task.await.unwrap().unwrap();
    let now = crate::clock::Clock::now(&SystemClock);
    let lease = conformance::claim(&*running.inbox, sink, 1, now)
        .await
        .leases
        .remove(0);
    assert_eq!((lease.attempt, lease.interrupted), (1, false));
}

#[tokio::test]
async fn the_dispatcher_registered_last_gets_a_sinks_leases() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut first = running.register(sink, 1);
    let mut second = running.register(sink, 1);
    let offers = ["alert:a", "alert:b"].map(|subject| {
        let id = if subject == "alert:a" { "a" } else { "b" };
        running
            .committer
            .offer(event(id).of(subject).to(sink).offer())
    });
    for answer in offers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(second.next().await.unwrap().len(), 1, "it has one slot");
    assert!(first.more().is_none());
}

#[tokio::test]
async fn a_slot_filled_while_the_sink_was_paused_is_not_free_when_it_goes_on() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 1);
    let (done, go) = running.inbox.hold_next();
    let answer = running
        .committer
        .offer(event("a").of("alert:a").to(sink).offer());
    done.await.unwrap();
    claims.desk().pause();
    drop(go);
    answer.await.unwrap().unwrap();
    assert_eq!(claims.next().await.unwrap().len(), 1);
    claims.desk().resume();
    let wanted = event("b").of("alert:b").to(sink).offer();
    running.committer.offer(wanted).await.unwrap().unwrap();
    assert!(
        claims.more().is_none(),
        "there is one slot, and it is taken"
    );
}

#[tokio::test]
async fn a_large_body_does_not_raise_the_bound_on_leased_bodies() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 8);
    let large: &'static str = Box::leak("x".repeat(18 << 20).into_boxed_str());
    let over: &'static str = Box::leak("x".repeat(17 << 20).into_boxed_str());
    let offer = |id, subject, body| {
        let offer = event(id).of(subject).body(body).to(sink).offer();
        running.committer.offer(offer)
    };
    offer("a", "alert:a", large).await.unwrap().unwrap();
    let leases = claims.next().await.unwrap();
    claims.desk().settle(
        leases
            .into_iter()
            .map(|lease| lease.settle(Settlement::Delivered))
            .collect(),
    );
    claims.desk().free(1, large.len());
    offer("b", "alert:b", over).await.unwrap().unwrap();
    assert_eq!(claims.next().await.unwrap().len(), 1);
    offer("c", "alert:c", "{}").await.unwrap().unwrap();
    assert!(claims.more().is_none(), "16 MiB are leased already");
}

#[tokio::test]
async fn what_was_committed_beside_a_bad_event_is_delivered_without_another_push() {
    let running = run(memory().poisoned_by("bad"));
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 8);
    running
        .committer
        .offer(event("x").offer())
        .await
        .unwrap()
        .unwrap();
    let bad = running.committer.offer(event("bad").offer());
    let good = running.committer.offer(event("a").to(sink).offer());
    assert!(bad.await.unwrap().is_err());
    good.await.unwrap().unwrap();
    let leases = tokio::time::timeout(Duration::from_secs(20), claims.next()).await;
    assert_eq!(leases.expect("nobody looks for it").unwrap().len(), 1);
}

#[tokio::test]
async fn claims_that_the_store_refuses_do_not_hold_up_pushes() {
    let running = run(memory().refusing_claims());
    let sink = running.inbox.sink("s").await.unwrap();
    let _claims = running.register(sink, 8);
    let begun = std::time::Instant::now();
    for id in ["a", "b", "c", "d", "e"] {
        let offer = event(id).to(sink).offer();
        running.committer.offer(offer).await.unwrap().unwrap();
        // The claims alone are tried before the next push comes.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "a second for each"
    );
}

#[tokio::test]
async fn a_settled_lease_survives_a_store_that_fills_up_while_parts_are_tried_one_by_one() {
    let running = run(memory());
    let sink = running.inbox.sink("s").await.unwrap();
    let mut claims = running.register(sink, 8);
    let wanted = event("a").to(sink).offer();
    running.committer.offer(wanted).await.unwrap().unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    running.inbox.fail_next([
        Some(InboxError::Refused("odd".to_owned())),
        Some(InboxError::Full("no room".to_owned())),
    ]);
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    let mut state = running.committer.watch();
    for full in [true, false] {
        state
            .wait_for(|state| matches!(state, StoreState::Full(_)) == full)
            .await
            .unwrap();
    }
    running.committer.finish();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.inbox.counts().await.unwrap().sinks[0].pending, 0);
}
