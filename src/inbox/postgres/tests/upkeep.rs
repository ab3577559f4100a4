//! What is changed by hand, pruned and listed while receivers are at work.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::*;
use crate::event::{Route, Seq};
use crate::inbox::conformance::{TTL, at, event, offer_all, pending, state};
use crate::inbox::query::{
    AuditFilter, DeliveryFilter, DeliveryState, EventFilter, UnreadableFilter,
};
use crate::inbox::{
    Audit, Change, Changed, Claim, Offer, Order, Prune, PruneWhat, Settlement, SinkId, Unreadable,
    UnreadableBounds, Wanted, What,
};

async fn opened() -> (String, Arc<PostgresInbox>) {
    let database = database().await;
    let inbox = PostgresInbox::open(options(&database)).await.unwrap();
    (database, Arc::new(inbox))
}

fn audit(reason: &str) -> Audit {
    Audit {
        who: "10.0.0.9".to_owned(),
        action: "replay",
        selector: "state=dead".to_owned(),
        reason: reason.to_owned(),
    }
}

fn prune(what: PruneWhat) -> Prune {
    Prune {
        what,
        now: at(100_000),
        retention: Duration::from_secs(60),
        after: Seq(0),
        wanted_bytes: 0,
    }
}

#[tokio::test]
async fn pruning_passes_over_what_a_change_holds_and_finds_it_later() {
    let (_, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    offer_all(&*inbox, vec![event("a").alone(), event("b").alone()]).await;
    let mut changing = inbox.session().await.unwrap();
    changing.begin(SHORT).await.unwrap();
    let changes = [Change {
        seq: Seq(1),
        sink,
        what: What::Replay(Order::Subject),
    }];
    let micros = at(5).as_microsecond();
    let changed = change::change(changing.raw(), (&changes, &audit("late")), micros).await;
    assert_eq!(changed.unwrap(), [Changed::Done]);
    // It waits for nobody, and removes no event that is about to have work again.
    let pruned = inbox.prune(prune(PruneWhat::Aged)).await.unwrap();
    assert_eq!(pruned.events, 1);
    assert!(inbox.event(Seq(1)).await.unwrap().is_some());
    changing.end("ROLLBACK").await.unwrap();
    let pruned = inbox.prune(prune(PruneWhat::Aged)).await.unwrap();
    assert_eq!(pruned.events, 1);
    assert_eq!(inbox.counts().await.unwrap().events, 0);
}

#[tokio::test]
async fn an_event_that_outlived_its_subject_can_be_asked_for_again() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    offer_all(&*inbox, vec![event("a"), event("b")]).await;
    server::Server::shared().sql(
        &database,
        "DELETE FROM subjects; DELETE FROM events WHERE seq = 2",
    );
    let replay = Change {
        seq: Seq(1),
        sink,
        what: What::Replay(Order::Subject),
    };
    let changed = inbox.change(vec![replay], audit("again"), at(5)).await;
    assert_eq!(changed.unwrap(), [Changed::Done]);
    let kept = "SELECT count(*) FROM subjects WHERE last_seq IS NULL";
    assert_eq!(number(&database, kept), 1, "the row is there to be locked");
    offer_all(&*inbox, vec![event("c").to(sink)]).await;
    assert_eq!(number(&database, "SELECT count(*) FROM lanes"), 1);
    assert_eq!(state(&*inbox, Seq(3)).await, DeliveryState::Pending);
}

#[tokio::test]
async fn a_list_does_not_end_at_what_came_late() {
    let (_, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let given = |id, seconds| event(id).to(sink).received(seconds);
    // The last was kept aside by a receiver for a while.
    let all = vec![given("a", 1000), given("b", 2000), given("late", 10)];
    offer_all(&*inbox, all).await;
    let filter = EventFilter {
        limit: 1,
        since: Some(at(500)),
        ..EventFilter::default()
    };
    let page = inbox.events(filter.clone()).await.unwrap();
    let seqs = page.items.iter().map(|row| row.seq.0);
    assert_eq!(seqs.collect::<Vec<_>>(), [2]);
    let rest = EventFilter {
        limit: 10,
        cursor: page.next_cursor,
        ..filter
    };
    let page = inbox.events(rest).await.unwrap();
    let seqs = page.items.iter().map(|row| row.seq.0);
    assert_eq!(seqs.collect::<Vec<_>>(), [1]);
    assert_eq!(page.next_cursor, None);
    let filter = DeliveryFilter {
        limit: 10,
        since: Some(at(1500)),
        ..DeliveryFilter::default()
    };
    let page = inbox.deliveries(filter).await.unwrap();
    let seqs = page.items.iter().map(|row| row.seq.0);
    assert_eq!(seqs.collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn what_a_text_cannot_hold_is_replaced() {
    let (_, inbox) = opened().await;
    let unreadable = Unreadable {
        received_at: at(0),
        reason: "no\0thing".to_owned(),
        route: Route {
            tag: Some("t".into()),
            query: Some("a=\0".into()),
        },
        source_ip: None,
        peer_ip: None,
        body: Bytes::from_static(b"{\0}"),
    };
    let bounds = UnreadableBounds {
        count: 10,
        bytes: 100,
    };
    let kept = inbox.keep_unreadable(vec![unreadable], bounds).await;
    kept.unwrap();
    let row = inbox
        .unreadables(UnreadableFilter::newest(10))
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(row.reason, "no\u{FFFD}thing");
    assert_eq!(row.query.as_deref(), Some("a=\u{FFFD}"));
    let (_, body) = inbox.unreadable(row.id).await.unwrap().unwrap();
    assert_eq!(body, "{\0}");
    let changed = inbox.change(Vec::new(), audit("why\0"), at(1)).await;
    assert_eq!(changed.unwrap(), []);
    let line = inbox
        .audited(AuditFilter::newest(1))
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!((line.reason.as_str(), line.count), ("why\u{FFFD}", 0));
    let filter = EventFilter {
        limit: 1,
        event_type: Some("i\0".to_owned()),
        ..EventFilter::default()
    };
    assert_eq!(inbox.events(filter).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn what_is_removed_is_room_at_once() {
    let database = database().await;
    let options = PostgresOptions {
        max_size: 1 << 30,
        ..options(&database)
    };
    let inbox = PostgresInbox::open(options).await.unwrap();
    let body: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    offer_all(&inbox, vec![event("a").alone().body(body)]).await;
    let before = inbox.space().await.unwrap();
    assert_eq!(before.total, 1 << 30);
    assert_eq!(before.free, Some(before.total - before.store));
    let pruned = inbox.prune(prune(PruneWhat::Settled)).await.unwrap();
    assert_eq!(pruned.bytes, 100_000);
    let after = inbox.space().await.unwrap();
    assert_eq!(after.free, before.free.map(|free| free + 100_000));
}

/// Works through rounds of offers, claims and settles as a receiver does.
async fn receive(inbox: Arc<PostgresInbox>, sinks: [SinkId; 2], number: usize) {
    let ids = ["a", "b", "c", "d", "e"];
    let wanted = |sink, order| Wanted {
        sink,
        order,
        fresh: true,
        stale: true,
    };
    for round in 0..30_usize {
        let offer = |n: usize| Offer {
            key: None,
            wanted: [
                wanted(sinks[0], Order::Subject),
                wanted(sinks[1], [Order::Latest, Order::None][n % 2]),
            ]
            .into(),
            ..event(ids[(n + number) % 5])
                .of(["incident:1", "incident:2", "alert:3"][n % 3])
                .offer()
        };
        let batch = Batch {
            offers: (round..round + 4).map(offer).collect(),
            claims: sinks.map(|sink| Claim::new(sink, 3, TTL)).into(),
            ..Batch::default()
        };
        let leases = inbox.commit(Arc::new(batch), at(0)).await.unwrap().leases;
        let settled = leases.into_iter().enumerate().map(|(n, lease)| {
            lease.settle(match (n + round) % 4 {
                0 => Settlement::Dead("no".to_owned()),
                1 => Settlement::RetryAt(at(0), "later".to_owned()),
                2 => Settlement::Released,
                _ => Settlement::Delivered,
            })
        });
        let batch = Batch {
            settled: settled.collect(),
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    }
}

/// Changes what there is, in turns, until `over`.
async fn meddle(inbox: Arc<PostgresInbox>, over: Arc<AtomicBool>) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        turn += 1;
        let filter = DeliveryFilter {
            limit: 20,
            ..DeliveryFilter::default()
        };
        let found = inbox.deliveries(filter).await.unwrap().items;
        let mut changes = Vec::new();
        for (n, row) in found.into_iter().enumerate() {
            let what = match (n + turn) % 3 {
                0 => What::Drop,
                1 => What::Replay(Order::None),
                _ => What::Replay(Order::Subject),
            };
            changes.push(Change {
                seq: row.seq,
                sink: inbox.sink(&row.sink).await.unwrap(),
                what,
            });
        }
        inbox.change(changes, audit("try"), at(0)).await.unwrap();
    }
}

/// Removes what may go, in turns, until `over`.
async fn remove(inbox: Arc<PostgresInbox>, sink: SinkId, over: Arc<AtomicBool>) {
    let turns = [
        PruneWhat::Waiting { sinks: vec![sink] },
        PruneWhat::Settled,
        PruneWhat::Dead,
        PruneWhat::Forgotten { slice: 0 },
    ];
    for what in turns.into_iter().cycle() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let step = Prune {
            // By then events are old enough, and attempts still under way.
            now: at(30),
            retention: Duration::from_secs(10),
            wanted_bytes: 6,
            ..prune(what)
        };
        inbox.prune(step).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_and_lanes_are_right_after_all_was_changed_and_pruned_at_once() {
    let database = database().await;
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let inbox = PostgresInbox::open(options(&database)).await.unwrap();
        replicas.push(Arc::new(inbox));
    }
    let inbox = Arc::clone(&replicas[0]);
    let sinks = [
        inbox.sink("s").await.unwrap(),
        inbox.sink("t").await.unwrap(),
    ];
    let over = Arc::new(AtomicBool::new(false));
    let (mut receivers, mut others) = (JoinSet::new(), JoinSet::new());
    for (number, inbox) in replicas.iter().enumerate() {
        receivers.spawn(receive(Arc::clone(inbox), sinks, number));
        others.spawn(meddle(Arc::clone(inbox), Arc::clone(&over)));
        others.spawn(remove(Arc::clone(inbox), sinks[number], Arc::clone(&over)));
    }
    while let Some(done) = receivers.join_next().await {
        done.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    while let Some(done) = others.join_next().await {
        done.unwrap();
    }

    nothing_is_wrong(&database);
    drain(&inbox, sinks).await;
    assert_eq!(pending(&*inbox).await, 0);
}

/// What waits is found by whoever looks for it, and counted.
fn nothing_is_wrong(database: &str) {
    let walk = "WITH RECURSIVE walk (sink, lane, tail, seq, n) AS (\
         SELECT sink, lane, tail, head, 1 FROM lanes UNION ALL \
         SELECT w.sink, w.lane, w.tail, d.next, n + 1 FROM walk w \
         JOIN deliveries d ON d.seq = w.seq AND d.sink = w.sink \
         WHERE d.next IS NOT NULL AND n < 10000) ";
    for (wrong, what) in [
        (
            "SELECT count(*) FROM walk w LEFT JOIN deliveries d \
             ON d.seq = w.seq AND d.sink = w.sink WHERE d.state IS DISTINCT FROM 0",
            "in a lane, and does not wait",
        ),
        (
            "SELECT count(*) FROM deliveries d WHERE state = 0 AND 1 <> (SELECT count(*) \
             FROM walk w WHERE d.seq = w.seq AND d.sink = w.sink) + (lease IS NOT NULL)::int",
            "waits, and is in no lane, in two, or in one and under a shared lease",
        ),
        (
            "SELECT count(*) FROM deliveries d WHERE lease IS NOT NULL AND (state <> 0 \
             OR NOT EXISTS (SELECT 1 FROM leases l WHERE l.sink = d.sink AND l.id = d.lease \
             AND d.seq BETWEEN l.id AND l.upto))",
            "under a lease that nobody finds",
        ),
        (
            "SELECT count(*) FROM deliveries d JOIN events e ON e.seq = d.seq \
             JOIN subjects s ON s.id = e.lane \
             WHERE d.lease IS NOT NULL AND NOT d.own AND s.last_seq <> d.seq",
            "under a lease, and not of its subject's newest event",
        ),
        (
            "SELECT count(*) FROM (SELECT DISTINCT ON (sink, lane) tail, seq FROM walk \
             ORDER BY sink, lane, n DESC) l WHERE tail <> seq",
            "a lane that ends elsewhere",
        ),
        (
            "SELECT count(*) FROM deliveries d \
             WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = d.seq)",
            "a delivery of no event",
        ),
        (
            "SELECT (SELECT sum(n) FROM tallies WHERE sink > 0) - \
             (SELECT count(*) FROM deliveries WHERE state = 0)",
            "counted as waiting",
        ),
        (
            "SELECT (SELECT sum(n) FROM tallies WHERE sink = 0) - (SELECT count(*) FROM events)",
            "counted as stored",
        ),
    ] {
        let found = number(database, &format!("{walk}{wrong}"));
        assert_eq!(found, 0, "{what}");
    }
}

/// Delivers all that waits.
async fn drain(inbox: &PostgresInbox, sinks: [SinkId; 2]) {
    let mut settled = Vec::new();
    loop {
        let batch = Batch {
            settled,
            claims: sinks.map(|sink| Claim::new(sink, 50, TTL)).into(),
            ..Batch::default()
        };
        // Past the end of every lease.
        let leases = inbox
            .commit(Arc::new(batch), at(1000))
            .await
            .unwrap()
            .leases;
        if leases.is_empty() {
            return;
        }
        let delivered = leases.into_iter();
        settled = delivered
            .map(|lease| lease.settle(Settlement::Delivered))
            .collect();
    }
}
