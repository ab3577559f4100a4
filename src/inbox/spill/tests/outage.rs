//! The database goes away and comes back: what becomes of pushes, leases and rows.

use super::*;

#[tokio::test]
async fn while_the_database_is_away_pushes_are_taken_and_come_back_as_they_came() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    replica.offer(event("a").received(1).offer()).await.unwrap();
    database.turn(Weather::Away);
    for (id, received) in [("b", 2), ("c", 3), ("d", 4)] {
        let taken = replica.offer(event(id).received(received).offer()).await;
        let taken = taken.unwrap();
        assert_eq!((taken.outcome(), taken.seq()), (Outcome::Accepted, None));
    }
    assert_eq!(replica.committer.state(), StoreState::Spilling);
    assert_eq!(replica.metrics.spilled_events.get(), 3);
    assert_eq!(replica.ids().await, ["a"]);
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(replica.metrics.spilled_events.get(), 0);
    let stored = replica.stored().await;
    let times: Vec<_> = stored.iter().map(|row| row.received_at).collect();
    assert_eq!(times, [at(1), at(2), at(3), at(4)]);
    let next = replica.offer(event("e").offer()).await.unwrap();
    assert_eq!(next.seq(), Some(Seq(5)));
    replica.end().await;
}

#[tokio::test]
async fn what_is_confirmed_too_late_is_stored_once_and_its_lease_is_not_lost() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    replica.offer(event("x").offer()).await.unwrap();
    let (done, go) = database.hold_next();
    let sink = replica.sinks.sinks.lock().unwrap()[0];
    let answer = replica
        .committer
        .offer(event("a").command().to(sink).offer());
    done.await.unwrap();
    let begun = Instant::now();
    assert_eq!(answer.await.unwrap().unwrap(), Taken::Spilled);
    let waited = begun.elapsed();
    assert!(waited < Duration::from_millis(600), "{waited:?}");
    drop(go);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["x", "a"]);
    let lease = claims.next().await.unwrap().remove(0);
    assert_eq!((lease.attempt, lease.interrupted), (1, false));
    assert!(claims.more().is_none());
    replica.end().await;
}

#[tokio::test]
async fn a_drain_that_is_confirmed_late_removes_nothing_that_came_after_it() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    for id in ["a", "b", "c"] {
        replica.offer(event(id).offer()).await.unwrap();
    }
    let (drained, confirm) = database.hold_next();
    database.turn(Weather::Fine);
    drained.await.unwrap();
    // It is given up, and drained once more, until the file is empty.
    let emptied = async {
        while replica.spill.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let emptied = tokio::time::timeout(Duration::from_secs(20), emptied).await;
    emptied.expect("it is never drained again");
    let (under_way, go_on) = database.hold_next();
    for id in ["d", "e"] {
        let taken = replica.offer(event(id).offer()).await;
        assert_eq!(taken.unwrap(), Taken::Spilled);
    }
    under_way.await.unwrap();
    drop(confirm);
    drop(go_on);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a", "b", "c", "d", "e"]);
    replica.end().await;
}

#[tokio::test]
async fn what_was_committed_although_the_answer_got_lost_is_stored_once() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Deaf);
    let nameless = Offer {
        key: None,
        ..event("b").alone().offer()
    };
    for offer in [event("a").offer(), nameless.clone(), nameless] {
        assert_eq!(replica.offer(offer).await.unwrap(), Taken::Spilled);
    }
    database.turn(Weather::Fine);
    replica.until_working().await;
    assert_eq!(
        replica.ids().await,
        ["a", "b", "b"],
        "two pushes without a key"
    );
    replica.end().await;
}

#[tokio::test]
async fn leases_that_could_not_be_settled_are_settled_when_the_database_is_back() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    let sink = replica.sinks.sinks.lock().unwrap()[0];
    replica.offer(event("a").to(sink).offer()).await.unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    database.turn(Weather::Away);
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    replica.until(|state| *state == StoreState::Spilling).await;
    assert_eq!(
        replica.offer(event("b").offer()).await.unwrap(),
        Taken::Spilled
    );
    database.turn(Weather::Fine);
    let lease = claims.next().await.unwrap().remove(0);
    assert_eq!(
        (lease.seq, lease.attempt),
        (Seq(2), 1),
        "routed at the drain"
    );
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    replica.until_working().await;
    let counted = Arc::clone(&database);
    replica.end().await;
    assert_eq!(counted.counts().await.unwrap().sinks[0].pending, 0);
}

#[tokio::test]
async fn the_next_start_drains_what_is_left_before_anything_new() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    for id in ["a", "b"] {
        replica.offer(event(id).offer()).await.unwrap();
    }
    replica.end().await;
    let next = Replica::start(&database, &folder);
    assert_eq!(
        next.offer(event("c").offer()).await.unwrap(),
        Taken::Spilled
    );
    database.turn(Weather::Fine);
    next.until_working().await;
    assert_eq!(next.ids().await, ["a", "b", "c"]);
    next.end().await;
    assert_eq!(file(&folder).waiting(), 0);
}

#[tokio::test]
async fn at_the_end_a_spill_is_drained_into_a_database_that_answers_when_it_is_asked_once_more() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    replica.offer(event("a").offer()).await.unwrap();
    database.turn(Weather::Fine);
    replica
        .committer
        .finish_by(Instant::now() + Duration::from_secs(20));
    replica.task.await.unwrap().unwrap();
    assert_eq!(database.counts().await.unwrap().events, 1);
    assert_eq!(file(&folder).waiting(), 0);
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_database_that_is_away() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    for id in ["a", "b"] {
        replica.offer(event(id).offer()).await.unwrap();
    }
    replica
        .committer
        .finish_by(Instant::now() + Duration::from_secs(60));
    let ended = tokio::time::timeout(Duration::from_secs(20), replica.task).await;
    ended.expect("it waits").unwrap().unwrap();
    assert_eq!(file(&folder).waiting(), 2);
}

#[tokio::test]
async fn at_the_end_a_database_that_is_slow_is_still_told_which_deliveries_ended() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    let sink = replica.sinks.sinks.lock().unwrap()[0];
    replica.offer(event("a").to(sink).offer()).await.unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    database.turn(Weather::Slow(Duration::from_millis(300)));
    let settled = vec![lease.settle(Settlement::Delivered)];
    claims.desk().settle(settled);
    replica
        .committer
        .finish_by(Instant::now() + Duration::from_secs(20));
    replica.task.await.unwrap().unwrap();
    assert_eq!(database.counts().await.unwrap().sinks[0].pending, 0);
}

#[tokio::test]
async fn what_ended_while_the_database_was_away_is_told_once_it_is_back_without_another_push() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    let sink = replica.sinks.sinks.lock().unwrap()[0];
    replica.offer(event("a").to(sink).offer()).await.unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    // Its sink takes nothing more for now, so nothing is claimed either.
    claims.desk().pause();
    database.fail_next([Some(InboxError::Away("the network is down".to_owned()))]);
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    let told = async {
        while database.counts().await.unwrap().sinks[0].pending > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.expect("it waits for a push");
    replica.end().await;
}

#[tokio::test]
async fn what_the_database_refuses_of_what_it_has_still_to_be_told_keeps_no_push_in_the_spill() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    let sink = replica.sinks.sinks.lock().unwrap()[0];
    replica.offer(event("a").to(sink).offer()).await.unwrap();
    let lease = claims.next().await.unwrap().remove(0);
    claims.desk().pause();
    // Then each probe is answered, and whatever follows it is refused.
    let away = InboxError::Away("the network is down".to_owned());
    let refused = || Some(InboxError::Refused("no such state".to_owned()));
    let answers = (0..100).flat_map(|_| [None, refused()]);
    database.fail_next([Some(away)].into_iter().chain(answers));
    claims
        .desk()
        .settle(vec![lease.settle(Settlement::Delivered)]);
    replica.until(|state| *state == StoreState::Spilling).await;
    let working = replica.until_working();
    let working = tokio::time::timeout(Duration::from_secs(5), working).await;
    working.expect("it stays in the spill");
    replica.end().await;
}

#[tokio::test]
async fn an_event_that_was_routed_before_the_sinks_were_known_is_routed_again() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut claims = replica.register().await;
    let offer = event("a").to(SinkId::UNKNOWN).offer();
    replica.offer(offer).await.unwrap();
    assert_eq!(claims.next().await.unwrap().len(), 1);
    replica.end().await;
}

#[tokio::test]
async fn a_replica_that_begins_away_drains_nothing_before_it_knows_the_sinks() {
    let (database, folder) = (database(), folder());
    let before = Replica::start(&database, &folder);
    database.turn(Weather::Away);
    before.offer(event("a").offer()).await.unwrap();
    before.end().await;
    // The database answers from the first moment on; what it alone knows is still to be learned.
    database.turn(Weather::Fine);
    let replica = Replica::start_away(&database, &folder);
    for id in ["b", "c"] {
        let offer = event(id).to(SinkId::UNKNOWN).offer();
        assert_eq!(replica.offer(offer).await.unwrap(), Taken::Spilled);
    }
    assert_eq!(replica.committer.state(), StoreState::Spilling);
    assert_eq!(replica.ids().await, [""; 0]);
    let mut claims = replica.register().await;
    replica.sinks.unknown.store(false, Ordering::SeqCst);
    replica.until_working().await;
    assert_eq!(replica.ids().await, ["a", "b", "c"]);
    let mut seqs = Vec::new();
    while seqs.len() < 3 {
        for lease in claims.next().await.unwrap() {
            seqs.push(lease.seq);
            claims
                .desk()
                .settle(vec![lease.settle(Settlement::Delivered)]);
        }
    }
    assert_eq!(
        seqs,
        [Seq(1), Seq(2), Seq(3)],
        "all went to the sink, in order"
    );
    replica.end().await;
}

#[tokio::test]
async fn a_replica_that_ends_before_it_knows_the_sinks_leaves_everything_in_the_spill() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start_away(&database, &folder);
    for id in ["a", "b"] {
        let offer = event(id).to(SinkId::UNKNOWN).offer();
        assert_eq!(replica.offer(offer).await.unwrap(), Taken::Spilled);
    }
    replica.end().await;
    assert_eq!(database.counts().await.unwrap().events, 0);
    assert_eq!(file(&folder).waiting(), 2);
}
