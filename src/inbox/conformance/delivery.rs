//! Who gets a delivery, when, and how it ends.

use super::*;

pub(in crate::inbox) async fn a_leased_delivery_is_not_leased_again(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 1);
    assert!(claim(inbox, sink, 5, at(2)).await.leases.is_empty());
}

pub(in crate::inbox) async fn a_new_event_is_leased_by_the_transaction_that_stores_it(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: ["a", "b", "c"]
            .map(|id| {
                event(id)
                    .of(if id == "b" { "alert:b" } else { "alert:a" })
                    .to(sink)
                    .offer()
            })
            .into(),
        claims: vec![Claim::new(sink, 5, TTL)],
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let leased: Vec<i64> = committed.leases.iter().map(|lease| lease.seq.0).collect();
    assert_eq!(
        leased,
        [1, 2],
        "the third waits behind the first of its subject"
    );
    assert_eq!(pending(inbox).await, 3);
}

pub(in crate::inbox) async fn a_subjects_deliveries_follow_one_another(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![
            event("a").to(sink),
            event("b").to(sink),
            event("c").to(sink),
        ],
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut leases = claim(inbox, sink, 5, at(1)).await.leases;
        assert_eq!(leases.len(), 1, "one at a time");
        let lease = leases.remove(0);
        seen.push(lease.seq.0);
        settle(inbox, lease, Settlement::Delivered, at(1)).await;
    }
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(pending(inbox).await, 0);
    assert!(claim(inbox, sink, 5, at(9)).await.leases.is_empty());
}

pub(in crate::inbox) async fn subjects_do_not_wait_for_each_other(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![
            event("a").of("alert:1").to(sink),
            event("b").of("alert:2").to(sink),
        ],
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 2);
}

pub(in crate::inbox) async fn events_without_a_subject_do_not_wait_for_each_other(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 2);
}

pub(in crate::inbox) async fn no_more_is_leased_than_there_are_slots(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    assert_eq!(claim(inbox, sink, 1, at(1)).await.leases.len(), 1);
}

pub(in crate::inbox) async fn bodies_that_are_leased_take_bounded_memory(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let claim = |offers| Batch {
        offers,
        claims: vec![Claim {
            bytes: 3,
            ..Claim::new(sink, 5, TTL)
        }],
        ..Batch::default()
    };
    let offers = ["a", "b", "c"].map(|id| event(id).alone().to(sink).offer());
    let committed = inbox
        .commit(Arc::new(claim(offers.into())), at(0))
        .await
        .unwrap();
    assert_eq!(
        committed.leases.len(),
        2,
        "two bodies of two bytes reach the bound"
    );
    let committed = inbox
        .commit(Arc::new(claim(Vec::new())), at(0))
        .await
        .unwrap();
    assert_eq!(committed.leases.len(), 1, "the third was left for later");
}

pub(in crate::inbox) async fn a_lease_that_ran_out_is_found_and_marked(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let first = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    assert_eq!((first.attempt, first.interrupted), (1, false));
    assert!(claim(inbox, sink, 5, at(59)).await.leases.is_empty());
    let second = claim(inbox, sink, 5, at(60)).await.leases.remove(0);
    assert_eq!((second.attempt, second.interrupted), (2, true));
    let lost = settle(inbox, first, Settlement::Delivered, at(61))
        .await
        .lost;
    assert_eq!(lost, [(Seq(1), sink)], "a lost lease changes nothing");
    assert_eq!(state(inbox, Seq(1)).await, DeliveryState::Leased);
    assert!(
        settle(inbox, second, Settlement::Delivered, at(61))
            .await
            .lost
            .is_empty()
    );
    assert_eq!(state(inbox, Seq(1)).await, DeliveryState::Delivered);
}

pub(in crate::inbox) async fn a_lost_lease_changes_nothing_however_it_ends(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    // One with another behind it, and one alone.
    let given = [event("a"), event("b"), event("c").alone()];
    let offered = offer_all(inbox, given.map(|one| one.to(sink)).into()).await;
    let ends = [
        Settlement::Delivered,
        Settlement::Expired,
        Settlement::Superseded("a later one waits".to_owned()),
        Settlement::Dead("no such ticket".to_owned()),
        Settlement::RetryAt(at(0), "busy".to_owned()),
        Settlement::Released,
    ];
    let mut now = 0;
    let mut lost = Vec::new();
    for end in ends {
        let leases = claim(inbox, sink, 5, at(now)).await.leases;
        lost.extend(leases.into_iter().map(|lease| (lease, end.clone())));
        now += 60;
    }
    let held = claim(inbox, sink, 5, at(now)).await.leases;
    assert_eq!((lost.len(), held.len()), (12, 2));
    for (lease, end) in lost {
        let seq = lease.seq;
        let said = format!("{end:?}");
        let settled = settle(inbox, lease, end, at(now)).await;
        assert_eq!(settled.lost, [(seq, sink)], "{said}");
        assert_eq!(state(inbox, seq).await, DeliveryState::Leased, "{said}");
    }
    for lease in held {
        assert_eq!((lease.attempt, lease.interrupted), (7, true));
        let settled = settle(inbox, lease, Settlement::Delivered, at(now)).await;
        assert_eq!(settled.lost, []);
    }
    let next = claim(inbox, sink, 5, at(now)).await.leases;
    let next: Vec<_> = next.iter().map(|lease| lease.seq).collect();
    assert_eq!(next, [offered[1].seq]);
}

pub(in crate::inbox) async fn a_retry_waits_until_it_is_due(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(
        inbox,
        lease,
        Settlement::RetryAt(at(30), "busy".to_owned()),
        at(1),
    )
    .await;
    let early = claim(inbox, sink, 5, at(29)).await;
    assert!(early.leases.is_empty());
    assert_eq!(early.next_due, [(sink, Some(at(30)))]);
    let again = claim(inbox, sink, 5, at(30)).await.leases.remove(0);
    assert_eq!((again.attempt, again.interrupted), (2, false));
}

pub(in crate::inbox) async fn a_released_lease_does_not_count_as_an_attempt(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(inbox, lease, Settlement::Released, at(1)).await;
    let again = claim(inbox, sink, 5, at(1)).await.leases.remove(0);
    assert_eq!((again.attempt, again.interrupted), (1, false));
}

pub(in crate::inbox) async fn a_release_does_not_hide_that_an_earlier_attempt_may_have_begun(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").command().to(sink)).await;
    drop(claim(inbox, sink, 5, at(0)).await);
    let lease = claim(inbox, sink, 5, at(60)).await.leases.remove(0);
    assert_eq!((lease.attempt, lease.interrupted), (2, true));
    settle(inbox, lease, Settlement::Released, at(61)).await;
    let again = claim(inbox, sink, 5, at(61)).await.leases.remove(0);
    assert_eq!((again.attempt, again.interrupted), (2, true));
}

pub(in crate::inbox) async fn a_dead_delivery_no_longer_holds_back_its_subject(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(inbox, vec![event("a").to(sink), event("b").to(sink)]).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(
        inbox,
        lease,
        Settlement::Dead("no such ticket".to_owned()),
        at(1),
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases[0].seq, Seq(2));
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        sink: Some("s".to_owned()),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let dead = inbox.deliveries(filter).await.unwrap().items;
    assert_eq!(dead[0].last_error.as_deref(), Some("no such ticket"));
    assert_eq!(inbox.counts().await.unwrap().sinks[0].dead, 1);
}

pub(in crate::inbox) async fn a_lease_that_began_no_attempt_is_none(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let given = ["a", "b", "c", "d"].map(|id| event(id).alone().to(sink));
    offer_all(inbox, given.into()).await;
    let needless = Settlement::Superseded("skip_when is true".to_owned());
    let busy = || Settlement::RetryAt(at(1), "busy".to_owned());
    let first = [Settlement::Expired, needless.clone(), busy(), busy()];
    let second = [Settlement::Expired, needless];
    for (round, ends) in [(1, Vec::from(first)), (2, Vec::from(second))] {
        let mut leases = claim(inbox, sink, 5, at(round)).await.leases;
        leases.sort_by_key(|lease| lease.seq);
        assert_eq!(leases.len(), ends.len());
        for (lease, end) in leases.into_iter().zip(ends) {
            settle(inbox, lease, end, at(round)).await;
        }
    }
    let filter = DeliveryFilter {
        limit: 10,
        ..DeliveryFilter::default()
    };
    let rows = inbox.deliveries(filter).await.unwrap().items.into_iter();
    let told: Vec<_> = rows
        .map(|row| (row.seq.0, row.state, row.attempts))
        .collect();
    let expected = [
        (4, DeliveryState::Superseded, 1),
        (3, DeliveryState::Expired, 1),
        (2, DeliveryState::Superseded, 0),
        (1, DeliveryState::Expired, 0),
    ];
    assert_eq!(told, expected);
}

pub(in crate::inbox) async fn a_lease_that_finds_an_interrupted_attempt_is_none(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let given = ["a", "b"].map(|id| event(id).alone().command().to(sink));
    offer_all(inbox, given.into()).await;
    // Both attempts may have begun, and nobody says how they ended.
    drop(claim(inbox, sink, 5, at(0)).await);
    let mut leases = claim(inbox, sink, 5, at(60)).await.leases;
    leases.sort_by_key(|lease| lease.seq);
    // The second was begun after all, and is known to have come to nothing.
    let ends = [INTERRUPTED, "interrupted: no end within 10s"];
    for (lease, end) in leases.into_iter().zip(ends) {
        assert_eq!((lease.attempt, lease.interrupted), (2, true));
        settle(inbox, lease, Settlement::Dead(end.to_owned()), at(61)).await;
    }
    for (seq, attempts) in [(1, 1), (2, 2)] {
        let filter = DeliveryFilter {
            seq: Some(Seq(seq)),
            limit: 10,
            ..DeliveryFilter::default()
        };
        let row = inbox.deliveries(filter).await.unwrap().items.remove(0);
        let numbers: Vec<_> = row.history.iter().map(|attempt| attempt.n).collect();
        assert_eq!((row.state, row.attempts), (DeliveryState::Dead, attempts));
        assert_eq!(
            numbers,
            [attempts],
            "the attempt that ended is kept as itself"
        );
    }
}
