//! What is found, what leaves, and what is kept of the useless.

use super::*;
use crate::inbox::query::UnreadableFilter;

pub(in crate::inbox) async fn an_event_is_found_by_id_by_subject_and_by_page(inbox: &dyn Inbox) {
    for id in ["a", "b", "c"] {
        offer(inbox, event(id)).await;
    }
    let page = |cursor| EventFilter {
        limit: 2,
        cursor,
        ..EventFilter::default()
    };
    let first = inbox.events(page(None)).await.unwrap();
    let second = inbox.events(page(first.next_cursor.clone())).await.unwrap();
    let seqs: Vec<i64> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|row| row.seq.0)
        .collect();
    assert_eq!(seqs, [3, 2, 1]);
    assert_eq!(second.next_cursor, None);
    let of_subject = EventFilter {
        limit: 10,
        subject: Subject::parse("incident:664af"),
        ..EventFilter::default()
    };
    assert_eq!(inbox.events(of_subject).await.unwrap().items.len(), 3);
}

pub(in crate::inbox) async fn settled_events_leave_after_the_retention_and_their_keys_stay(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    let mut leases = claim(inbox, sink, 5, at(0)).await.leases;
    let waiting = leases.pop().unwrap();
    settle(inbox, leases.remove(0), Settlement::Delivered, at(100)).await;
    let prune = |now| Prune {
        what: PruneWhat::Aged,
        now,
        retention: Duration::from_secs(1000),
        after: Seq(0),
        wanted_bytes: 0,
    };
    assert_eq!(inbox.prune(prune(at(1099))).await.unwrap().events, 0);
    assert_eq!(inbox.prune(prune(at(1101))).await.unwrap().events, 1);
    assert!(inbox.event(Seq(1)).await.unwrap().is_none());
    assert!(
        inbox.event(waiting.seq).await.unwrap().is_some(),
        "it is not settled"
    );
    assert_eq!(
        offer(inbox, event("a").alone()).await.outcome,
        Outcome::Duplicate
    );
    assert_eq!(inbox.counts().await.unwrap().events, 1);
}

pub(in crate::inbox) async fn room_is_made_in_the_order_in_which_loss_hurts_least(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let given = |id, seconds| event(id).alone().to(sink).received(seconds);
    offer_all(
        inbox,
        vec![
            given("old", 0),
            given("dead", 0),
            given("young", 5000),
            given("waits", 5000),
        ],
    )
    .await;
    let mut leases = claim(inbox, sink, 3, at(0)).await.leases;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Delivered,
        at(5000),
    )
    .await;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Dead("x".to_owned()),
        at(5000),
    )
    .await;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Delivered,
        at(5000),
    )
    .await;
    let mut gone = Vec::new();
    for what in [
        PruneWhat::Settled,
        PruneWhat::Dead,
        PruneWhat::Waiting { sinks: vec![sink] },
    ] {
        let prune = Prune {
            what,
            now: at(5001),
            retention: Duration::from_secs(7 * 86_400),
            after: Seq(0),
            wanted_bytes: 0,
        };
        inbox.prune(prune).await.unwrap();
        let mut left = Vec::new();
        for seq in 1..=4 {
            left.extend(inbox.event(Seq(seq)).await.unwrap().map(|_| seq));
        }
        gone.push(left);
    }
    assert_eq!(gone, [vec![2, 3, 4], vec![3, 4], vec![3]]);
    assert_eq!(pending(inbox).await, 0);
}

fn for_room(what: PruneWhat, now: Timestamp) -> Prune {
    Prune {
        what,
        now,
        retention: Duration::from_secs(7 * 86_400),
        after: Seq(0),
        wanted_bytes: 0,
    }
}

pub(in crate::inbox) async fn nothing_that_waits_is_given_up_unless_its_event_goes_with_it(
    inbox: &dyn Inbox,
) {
    let slow = inbox.sink("slow").await.unwrap();
    let parked = inbox.sink("parked").await.unwrap();
    let waiting = || PruneWhat::Waiting {
        sinks: vec![parked],
    };
    offer(inbox, event("a").to(slow).to(parked)).await;
    let pruned = inbox.prune(for_room(waiting(), at(9))).await.unwrap();
    assert_eq!(pruned, Pruned::default(), "the slow sink's event stays");
    assert_eq!(pending(inbox).await, 2);
    let lease = claim(inbox, slow, 1, at(9)).await.leases.remove(0);
    settle(inbox, lease, Settlement::Dead("x".to_owned()), at(9)).await;
    let pruned = inbox.prune(for_room(PruneWhat::Dead, at(9))).await.unwrap();
    assert_eq!(pruned.events, 0, "it waits for the parked one");
    let pruned = inbox.prune(for_room(waiting(), at(9))).await.unwrap();
    assert_eq!((pruned.events, pruned.dead), (1, 1));
    assert_eq!(pruned.dropped, [parked]);
    assert_eq!(pending(inbox).await, 0);
}

pub(in crate::inbox) async fn a_subjects_deliveries_follow_one_another_past_those_given_up(
    inbox: &dyn Inbox,
) {
    let slow = inbox.sink("slow").await.unwrap();
    let parked = inbox.sink("parked").await.unwrap();
    let waiting = PruneWhat::Waiting {
        sinks: vec![parked],
    };
    // The first and the third can go; the third stands between two of its subject that cannot.
    offer_all(
        inbox,
        vec![
            event("gone").to(parked),
            event("a").to(slow).to(parked),
            event("b").to(parked),
            event("c").to(slow).to(parked),
        ],
    )
    .await;
    let pruned = inbox.prune(for_room(waiting, at(9))).await.unwrap();
    assert_eq!(pruned.events, 2);
    let mut seen = Vec::new();
    while let Some(lease) = claim(inbox, parked, 5, at(9)).await.leases.pop() {
        seen.push(lease.seq.0);
        settle(inbox, lease, Settlement::Delivered, at(9)).await;
    }
    assert_eq!(seen, [2, 4]);
}

pub(in crate::inbox) async fn what_waits_behind_a_running_attempt_is_given_up_and_it_is_not(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let all = ["a", "b", "c"].map(|id| event(id).to(sink));
    offer_all(inbox, all.to_vec()).await;
    let running = claim(inbox, sink, 1, at(9)).await.leases.remove(0);
    let waiting = PruneWhat::Waiting { sinks: vec![sink] };
    let pruned = inbox.prune(for_room(waiting, at(9))).await.unwrap();
    assert_eq!((pruned.events, pruned.dropped.len()), (2, 2));
    assert!(inbox.event(running.seq).await.unwrap().is_some());
    offer(inbox, event("d").to(sink)).await;
    assert!(claim(inbox, sink, 5, at(9)).await.leases.is_empty());
    let settled = settle(inbox, running, Settlement::Delivered, at(9)).await;
    assert!(settled.lost.is_empty());
    let next = claim(inbox, sink, 5, at(9)).await.leases;
    assert_eq!(
        next.iter().map(|lease| lease.seq.0).collect::<Vec<_>>(),
        [4]
    );
    assert_eq!(pending(inbox).await, 1);
}

pub(in crate::inbox) async fn a_clock_that_was_ahead_for_a_while_does_not_stop_the_pruning(
    inbox: &dyn Inbox,
) {
    let year = 365 * 86_400;
    offer_all(
        inbox,
        vec![event("ahead").alone().received(year), event("a").alone()],
    )
    .await;
    for what in [PruneWhat::Aged, PruneWhat::Settled] {
        let prune = for_room(what, at(8 * 86_400));
        inbox.prune(prune).await.unwrap();
    }
    assert!(inbox.event(Seq(2)).await.unwrap().is_none());
    assert!(inbox.event(Seq(1)).await.unwrap().is_some());
}

pub(in crate::inbox) async fn the_unreadable_box_keeps_the_newest_within_its_bounds(
    inbox: &dyn Inbox,
) {
    let unreadable = |body: &'static str| Unreadable {
        received_at: at(0),
        reason: "no JSON".to_owned(),
        route: Route::default(),
        source_ip: None,
        peer_ip: None,
        body: Bytes::from_static(body.as_bytes()),
    };
    let bounds = UnreadableBounds {
        count: 3,
        bytes: 10,
    };
    for body in ["1", "2", "3", "4"] {
        inbox
            .keep_unreadable(vec![unreadable(body)], bounds)
            .await
            .unwrap();
    }
    let kept = inbox
        .unreadables(UnreadableFilter::newest(10))
        .await
        .unwrap()
        .items;
    assert_eq!(kept.len(), 3, "by count");
    inbox
        .keep_unreadable(vec![unreadable("123456789")], bounds)
        .await
        .unwrap();
    let kept = inbox
        .unreadables(UnreadableFilter::newest(10))
        .await
        .unwrap()
        .items;
    assert_eq!(
        kept.iter().map(|row| row.body_bytes).sum::<u64>(),
        10,
        "by bytes"
    );
    let (_, body) = inbox.unreadable(kept[0].id).await.unwrap().unwrap();
    assert_eq!(body, "123456789");
}

fn url(number: usize) -> Route {
    Route {
        tag: None,
        query: Some(number.to_string().into()),
    }
}

fn offer_to(number: usize) -> Offer {
    let mut offer = event("x").offer();
    offer.key = None;
    Arc::make_mut(&mut offer.event).route = url(number);
    offer
}

pub(in crate::inbox) async fn urls_are_bounded_and_forgotten_once_nothing_refers_to_them(
    inbox: &dyn Inbox,
) {
    for first in (0..MOST_ROUTES).step_by(512) {
        assert!(inbox.takes(&url(first)));
        let batch = Batch {
            offers: (first..first + 512).map(offer_to).collect(),
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    }
    let new = url(MOST_ROUTES);
    assert!(inbox.takes(&url(7)) && !inbox.takes(&new));

    let prune = async |what| {
        let prune = Prune {
            what,
            now: at(30 * 86_400),
            retention: Duration::from_secs(7 * 86_400),
            after: Seq(0),
            wanted_bytes: 0,
        };
        inbox.prune(prune).await.unwrap()
    };
    prune(PruneWhat::Forgotten { slice: 0 }).await;
    assert!(!inbox.takes(&new), "their events are still there");
    let mut after = Some(Seq(0));
    while after.is_some() {
        after = prune(PruneWhat::Aged).await.next;
    }
    prune(PruneWhat::Forgotten { slice: 0 }).await;
    let subjects = SubjectFilter {
        subject: Subject::parse("incident:664af"),
        ..SubjectFilter::default()
    };
    let left = inbox.subjects(subjects).await.unwrap().items.len();
    assert!(left > MOST_ROUTES - 100, "{left} still refer to theirs");
    for slice in 1..=4096 {
        prune(PruneWhat::Forgotten { slice }).await;
    }
    assert!(inbox.takes(&new));

    let batch = Batch {
        offers: vec![offer_to(7), offer_to(MOST_ROUTES)],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let rows = inbox
        .events(EventFilter {
            limit: 9,
            ..EventFilter::default()
        })
        .await
        .unwrap();
    let queries: Vec<_> = rows.items.iter().map(|row| row.query.as_deref()).collect();
    assert_eq!(queries, [Some("4096"), Some("7")]);
}

pub(in crate::inbox) async fn no_page_begins_at_a_cursor_that_none_gave_out(inbox: &dyn Inbox) {
    offer(inbox, event("a")).await;
    for cursor in ["", "x", "1.5", "99999999999999999999"] {
        let filter = EventFilter {
            limit: 2,
            cursor: Some(cursor.to_owned()),
            ..EventFilter::default()
        };
        let refused = inbox.events(filter).await.unwrap_err();
        assert!(matches!(refused, InboxError::Refused(_)), "{cursor:?}");
    }
}
