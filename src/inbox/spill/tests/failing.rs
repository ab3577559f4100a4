//! A spill that fails, none at all, and events that the database does not want.

use prometheus_client::encoding::text::encode_registry;

use super::*;
use crate::inbox::query::UnreadableFilter;

/// How often the database, or the spill in its place, took nothing for this reason.
fn failures(replica: &Replica, outcome: &str) -> u64 {
    let mut text = String::new();
    encode_registry(&mut text, replica.metrics.registry()).unwrap();
    let name = format!("flashduty_store_failures_total{{outcome=\"{outcome}\"}} ");
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(&name)?.parse().ok());
    found.unwrap()
}

#[tokio::test]
async fn a_full_spill_refuses_and_takes_pushes_again_by_itself() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    let full = || Some(InboxError::Full("no room".to_owned()));
    replica.spill.fail_next([full(), full()]);
    let refused = replica.offer(event("a").offer()).await;
    assert!(matches!(refused, Err(Refusal::Full)), "{refused:?}");
    assert!(matches!(replica.committer.state(), StoreState::Away(_)));
    for (outcome, counted) in [("away", true), ("full", true), ("failed", false)] {
        assert_eq!(failures(&replica, outcome) > 0, counted, "{outcome}");
    }
    replica.until(|state| *state == StoreState::Spilling).await;
    assert_eq!(
        replica.offer(event("b").offer()).await.unwrap(),
        Taken::Spilled
    );
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(
        replica.ids().await,
        ["b"],
        "nothing was kept of the refused one"
    );
    replica.end().await;
}

#[tokio::test]
async fn a_broken_spill_acknowledges_nothing_and_ends_the_task() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    let broken = InboxError::Broken("bad sector".to_owned());
    replica.spill.fail_next([Some(broken)]);
    let refused = replica.offer(event("a").offer()).await;
    assert!(matches!(refused, Err(Refusal::Failed)), "{refused:?}");
    assert!(matches!(replica.committer.state(), StoreState::Broken(_)));
    let error = replica.task.await.unwrap().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(InboxError::Broken(_))));
}

#[tokio::test]
async fn without_a_spill_pushes_are_refused_until_the_database_answers() {
    let database = database();
    let (committer, task) = Committer::new(CommitterOptions {
        inbox: Arc::clone(&database) as Arc<dyn Inbox>,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        spill: None,
    });
    let task = tokio::spawn(task);
    database.turn(Weather::Away);
    for id in ["a", "b"] {
        let refused = committer.offer(event(id).offer()).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Away)), "{refused:?}");
        assert!(matches!(committer.state(), StoreState::Away(_)));
    }
    database.turn(Weather::Fine);
    let mut state = committer.watch();
    let working = state.wait_for(|state| *state == StoreState::Working);
    working.await.unwrap();
    committer.offer(event("a").offer()).await.unwrap().unwrap();
    committer.finish();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_database_refuses_at_the_drain_is_kept_as_unreadable_and_its_neighbours_arrive() {
    let inbox = SqliteInbox::in_memory();
    let database = Arc::new(FaultyInbox::new(inbox).poisoned_by("bad"));
    let folder = folder();
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    for id in ["a", "bad", "b"] {
        replica.offer(event(id).offer()).await.unwrap();
    }
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a", "b"]);
    let kept = database
        .unreadables(UnreadableFilter::newest(10))
        .await
        .unwrap()
        .items;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].reason.contains("poisoned"), "{}", kept[0].reason);
    replica.end().await;
}

#[tokio::test]
async fn a_database_that_answers_and_takes_nothing_is_complained_of_once() {
    let (lines, _guard) = Lines::begin();
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let away = || Some(InboxError::Away("unknown statement".to_owned()));
    // What was offered, then each time a probe that is answered and a drain that is not.
    database.fail_next([away(), None, away(), None, away(), None, away()]);
    let taken = replica.offer(event("a").offer()).await;
    assert_eq!(taken.unwrap(), Taken::Spilled);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a"]);
    for line in [
        "the database is away",
        "the database answers; the spill is drained",
        "the spill cannot be drained now",
        "the spill is drained again",
        "the spill is empty",
    ] {
        assert_eq!(lines.with(line).len(), 1, "{line}: {}", lines.all());
    }
    replica.end().await;
}

#[tokio::test]
async fn a_duplicate_that_differs_is_kept_when_it_is_drained() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    replica.offer(event("a").offer()).await.unwrap();
    database.turn(Weather::Away);
    replica
        .offer(event("a").body("{\"other\":1}").offer())
        .await
        .unwrap();
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a"]);
    let kept = database
        .unreadables(UnreadableFilter::newest(10))
        .await
        .unwrap()
        .items;
    assert_eq!(kept.len(), 1);
    replica.end().await;
}

#[tokio::test]
async fn what_the_database_refuses_stays_in_the_spill_where_nothing_unreadable_is_kept() {
    let inbox = SqliteInbox::in_memory();
    let database = Arc::new(FaultyInbox::new(inbox).poisoned_by("bad"));
    let folder = folder();
    let replica = Replica::start(&database, &folder);
    replica.sinks.keeps_none.store(true, Ordering::SeqCst);
    database.turn(Weather::Away);
    for id in ["a", "bad", "b"] {
        replica.offer(event(id).offer()).await.unwrap();
    }
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a", "b"]);
    let (contents, _) = replica.spill.look(None).await.unwrap();
    assert_eq!((contents.events, contents.set_aside), (0, 1));
    replica.end().await;
}

#[tokio::test]
async fn a_copy_that_differs_and_cannot_be_kept_holds_up_no_other_and_stays_in_the_spill() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    replica.offer(event("a").offer()).await.unwrap();
    database.turn(Weather::Away);
    let other = event("a").body("{\"other\":1}").offer();
    for offer in [other, event("b").offer()] {
        replica.offer(offer).await.unwrap();
    }
    database.box_refuses(true);
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a", "b"]);
    let (contents, _) = replica.spill.look(None).await.unwrap();
    assert_eq!((contents.events, contents.set_aside), (0, 1));
    replica.end().await;
}
