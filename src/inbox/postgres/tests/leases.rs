//! Deliveries that share a lease, and what becomes of them when a lane is needed.

use super::gate::MIGRATIONS;
use super::*;
use crate::event::Seq;
use crate::inbox::conformance::{Given, TTL, at, claim, event, settle, state};
use crate::inbox::query::DeliveryState;
use crate::inbox::subject::subject_id;
use crate::inbox::{
    Audit, Change, Changed, Claim, Lease, Order, Prune, PruneWhat, Report, Settled, Settlement,
    SinkId, What,
};

async fn opened() -> (String, PostgresInbox) {
    let database = database().await;
    let inbox = PostgresInbox::open(options(&database)).await.unwrap();
    (database, inbox)
}

/// Stores events, with leases for those that come first.
async fn store(inbox: &PostgresInbox, given: Vec<Given>, sinks: &[SinkId]) -> Vec<Lease> {
    let batch = Batch {
        offers: given.into_iter().map(Given::offer).collect(),
        claims: sinks.iter().map(|sink| Claim::new(*sink, 9, TTL)).collect(),
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    committed.leases
}

async fn end(inbox: &PostgresInbox, settled: Vec<Settled>) -> Vec<(Seq, SinkId)> {
    let batch = Batch {
        settled,
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap().lost
}

fn audit() -> Audit {
    Audit {
        who: "10.0.0.9".to_owned(),
        action: "replay",
        selector: String::new(),
        reason: "try".to_owned(),
    }
}

/// Lanes, shared leases, and deliveries under one.
async fn there(database: &str) -> [i64; 3] {
    let database = database.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        [
            "SELECT count(*) FROM lanes",
            "SELECT count(*) FROM leases",
            "SELECT count(*) FROM deliveries WHERE lease IS NOT NULL",
        ]
        .map(|statement| number(&database, statement))
    });
    asked.await.unwrap()
}

#[tokio::test]
async fn what_nothing_waits_behind_gets_no_lane() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let given = vec![
        event("a").of("alert:1").to(sink),
        event("b").alone().to(sink),
        event("c").of("alert:2").to(sink),
    ];
    let mut leases = store(&inbox, given, &[sink]).await;
    assert_eq!(leases.len(), 3);
    assert_eq!(there(&database).await, [0, 1, 3]);
    assert_eq!(state(&inbox, Seq(2)).await, DeliveryState::Leased);
    let asked = claim(&inbox, sink, 9, at(1)).await;
    assert!(asked.leases.is_empty());
    assert_eq!(asked.next_due, [(sink, Some(at(60)))]);

    let last = leases.pop().unwrap().settle(Settlement::Delivered);
    let settled = leases
        .into_iter()
        .map(|lease| lease.settle(Settlement::Delivered));
    assert_eq!(end(&inbox, settled.collect()).await, []);
    assert_eq!(there(&database).await, [0, 1, 1]);
    // Said twice, it is lost the second time.
    let lost = end(&inbox, vec![last.clone(), last.clone()]).await;
    assert_eq!(lost, [(Seq(3), sink)]);
    assert_eq!(end(&inbox, vec![last]).await, [(Seq(3), sink)]);
    assert_eq!(there(&database).await, [0, 0, 0]);
    let delivered = "SELECT count(*) FROM deliveries WHERE state = 2 AND settled IS NOT NULL";
    assert_eq!(number(&database, delivered), 3);
    assert_eq!(claim(&inbox, sink, 9, at(1)).await.next_due, [(sink, None)]);
}

#[tokio::test]
async fn what_comes_behind_what_is_under_way_waits_for_it() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let mut first = store(&inbox, vec![event("a").to(sink)], &[sink]).await;
    let second = store(&inbox, vec![event("b").to(sink)], &[sink]).await;
    assert!(second.is_empty());
    assert_eq!(there(&database).await, [1, 1, 0]);
    let first = first.remove(0).settle(Settlement::Delivered);
    assert_eq!(end(&inbox, vec![first]).await, []);
    assert_eq!(there(&database).await, [1, 0, 0]);
    let second = claim(&inbox, sink, 9, at(1)).await.leases.remove(0);
    assert_eq!((second.seq, second.attempt), (Seq(2), 1));

    // What is settled by the transaction that stores the next one keeps it from nothing.
    settle(&inbox, second, Settlement::Delivered, at(1)).await;
    let mut third = store(&inbox, vec![event("c").to(sink)], &[sink]).await;
    let batch = Batch {
        settled: vec![third.remove(0).settle(Settlement::Delivered)],
        offers: vec![event("d").to(sink).offer()],
        claims: vec![Claim::new(sink, 9, TTL)],
        ..Batch::default()
    };
    let fourth = inbox.commit(Arc::new(batch), at(0)).await.unwrap().leases;
    assert_eq!(fourth[0].seq, Seq(4));
    assert_eq!(there(&database).await, [0, 1, 1]);
}

#[tokio::test]
async fn an_event_that_a_sink_does_not_get_does_not_hide_what_is_under_way_there() {
    let (database, inbox) = opened().await;
    let sinks = [
        inbox.sink("s").await.unwrap(),
        inbox.sink("t").await.unwrap(),
    ];
    // One after the other, and at once.
    for (subject, ids, at_once) in [
        ("alert:1", ["a", "b", "c"], false),
        ("alert:2", ["d", "e", "f"], true),
    ] {
        let [first, second, third] = ids.map(|id| event(id).of(subject));
        let first = first.to(sinks[0]).to(sinks[1]);
        let leases = if at_once {
            store(&inbox, vec![first, second], &sinks).await
        } else {
            let leases = store(&inbox, vec![first], &sinks).await;
            store(&inbox, vec![second], &sinks).await;
            leases
        };
        assert_eq!(leases.len(), 2);
        assert!(
            store(&inbox, vec![third.to(sinks[1])], &sinks)
                .await
                .is_empty()
        );
        let settled = leases.into_iter();
        let settled = settled.map(|lease| lease.settle(Settlement::Delivered));
        assert_eq!(end(&inbox, settled.collect()).await, []);
        let next = claim(&inbox, sinks[1], 9, at(1)).await.leases.remove(0);
        assert_eq!(next.event.event_id.as_ref().unwrap().as_str(), ids[2]);
        settle(&inbox, next, Settlement::Delivered, at(1)).await;
    }
    assert_eq!(there(&database).await, [0, 0, 0]);
}

#[tokio::test]
async fn what_is_left_under_a_shared_lease_is_taken_over_when_it_runs_out() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let given = ["a", "b", "c"].map(|id| event(id).alone().to(sink));
    let mut leases = store(&inbox, given.into(), &[sink]).await;
    let late = leases.pop().unwrap();
    let first = leases.remove(0).settle(Settlement::Delivered);
    assert_eq!(end(&inbox, vec![first]).await, []);
    let other = PostgresInbox::open(options(&database)).await.unwrap();
    assert!(claim(&other, sink, 9, at(59)).await.leases.is_empty());
    let taken = claim(&other, sink, 9, at(60)).await.leases;
    let seqs: Vec<i64> = taken.iter().map(|lease| lease.seq.0).collect();
    assert_eq!(seqs, [2, 3]);
    assert!(taken.iter().all(|lease| lease.interrupted));
    assert_eq!(there(&database).await, [2, 0, 0]);
    let late = late.settle(Settlement::Delivered);
    assert_eq!(end(&inbox, vec![late]).await, [(Seq(3), sink)]);
    let settled = taken.into_iter();
    let settled = settled.map(|lease| lease.settle(Settlement::Delivered));
    assert_eq!(end(&other, settled.collect()).await, []);
    assert_eq!(there(&database).await, [0, 0, 0]);
}

#[tokio::test]
async fn no_lease_of_a_sink_that_is_gone_stays_and_its_backlog_does() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    store(&inbox, vec![event("a").to(sink)], &[sink]).await;
    store(&inbox, vec![event("b")], &[]).await;
    store(&inbox, vec![event("c").alone().to(sink)], &[sink]).await;
    assert_eq!(there(&database).await, [1, 2, 1]);
    for (seconds, left) in [(3659, [1, 2, 1]), (3660, [2, 0, 0])] {
        let step = Prune {
            what: PruneWhat::Forgotten { slice: 7 },
            now: at(seconds),
            retention: Duration::from_secs(86_400),
            after: Seq(0),
            wanted_bytes: 0,
        };
        inbox.prune(step).await.unwrap();
        assert_eq!(there(&database).await, left);
    }
    assert_eq!(claim(&inbox, sink, 9, at(3660)).await.leases.len(), 2);
}

#[tokio::test]
async fn no_more_is_taken_over_at_once_than_there_are_slots() {
    let (_, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    for ids in [["a", "b"], ["c", "d"], ["e", "f"]] {
        let given = ids.map(|id| event(id).alone().to(sink));
        assert_eq!(store(&inbox, given.into(), &[sink]).await.len(), 2);
    }
    let mut seqs = Vec::new();
    for expected in [3, 3, 0] {
        let taken = claim(&inbox, sink, 3, at(61)).await.leases;
        assert_eq!(taken.len(), expected);
        seqs.extend(taken.iter().map(|lease| lease.seq.0));
    }
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn what_is_tried_again_or_given_up_leaves_its_shared_lease() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let given = ["a", "b", "c", "d"].map(|id| event(id).alone().to(sink));
    let leases = store(&inbox, given.into(), &[sink]).await;
    let settled = leases.into_iter().zip([
        Settlement::RetryAt(at(5), "busy".to_owned()),
        Settlement::Dead("no".to_owned()),
        Settlement::Released,
        Settlement::Delivered,
    ]);
    let settled = settled.map(|(lease, settlement)| {
        let keep = Report {
            keep: true,
            ..Report::default()
        };
        lease.settle_with(settlement, Some(Box::new(keep)))
    });
    assert_eq!(end(&inbox, settled.collect()).await, []);
    assert_eq!(there(&database).await, [2, 0, 0]);
    assert_eq!(state(&inbox, Seq(2)).await, DeliveryState::Dead);
    assert_eq!(state(&inbox, Seq(4)).await, DeliveryState::Delivered);
    let released = claim(&inbox, sink, 9, at(1)).await.leases;
    assert_eq!((released[0].seq, released[0].attempt), (Seq(3), 1));
    let retried = claim(&inbox, sink, 9, at(5)).await.leases;
    assert_eq!((retried[0].seq, retried[0].attempt), (Seq(1), 2));
}

#[tokio::test]
async fn a_replay_waits_behind_what_is_under_way_of_its_subject() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    for id in ["a", "b"] {
        let leases = store(&inbox, vec![event(id).to(sink)], &[sink]).await;
        let settled = leases.into_iter();
        let settled = settled.map(|lease| lease.settle(Settlement::Delivered));
        assert_eq!(end(&inbox, settled.collect()).await, []);
    }
    let mut running = store(&inbox, vec![event("c").to(sink)], &[sink]).await;
    assert_eq!(there(&database).await, [0, 1, 1]);
    let replay = |seq| Change {
        seq: Seq(seq),
        sink,
        what: What::Replay(Order::Subject),
    };
    let given_up = Change {
        what: What::Drop,
        ..replay(3)
    };
    let changes = vec![replay(1), replay(3), given_up];
    let changed = inbox.change(changes, audit(), at(1)).await.unwrap();
    assert_eq!(changed, [Changed::Done, Changed::Running, Changed::Running]);
    assert!(claim(&inbox, sink, 9, at(1)).await.leases.is_empty());
    let running = running.remove(0).settle(Settlement::Delivered);
    assert_eq!(end(&inbox, vec![running]).await, []);
    let replayed = claim(&inbox, sink, 9, at(1)).await.leases.remove(0);
    assert_eq!((replayed.seq, replayed.replay), (Seq(1), true));
}

#[tokio::test]
async fn what_is_under_way_is_not_given_up_for_room() {
    let (_, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap();
    let given = ["a", "b"].map(|id| event(id).alone().to(sink));
    assert_eq!(store(&inbox, given.into(), &[sink]).await.len(), 2);
    assert_eq!(
        inbox.counts().await.unwrap().sinks[0].oldest_pending_at,
        Some(at(0))
    );
    let step = |seconds| Prune {
        what: PruneWhat::Waiting { sinks: vec![sink] },
        now: at(seconds),
        retention: Duration::from_secs(10),
        after: Seq(0),
        wanted_bytes: 0,
    };
    assert_eq!(inbox.prune(step(30)).await.unwrap().events, 0);
    let pruned = inbox.prune(step(61)).await.unwrap();
    assert_eq!((pruned.events, pruned.dropped.len()), (2, 2));
}

/// Tables without shared leases, with these rows.
async fn make_tables_of_an_earlier_version(database: &str, rows: String) {
    let database = database.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        let server = server::Server::shared();
        for step in MIGRATIONS.iter().take(5) {
            server.sql(&database, step);
        }
        server.sql(&database, &rows);
    });
    made.await.unwrap();
}

#[tokio::test]
async fn tables_that_are_in_use_are_changed_another_time_and_keep_nobody_waiting() {
    let database = database().await;
    let schema = "INSERT INTO meta (key, value) VALUES ('schema', 5)";
    make_tables_of_an_earlier_version(&database, schema.to_owned()).await;
    // As a backup does for as long as it lasts.
    let backup = PostgresInbox::new(options(&database)).unwrap();
    let mut reading = backup.connection().await.unwrap();
    reading.begin("BEGIN").await.unwrap();
    let lock = "LOCK TABLE deliveries IN ACCESS SHARE MODE";
    reading.raw().batch_execute(lock).await.unwrap();
    let hurried = PostgresOptions {
        patience: Duration::from_secs(1),
        ..options(&database)
    };
    let refused = PostgresInbox::open(hurried).await.err().unwrap();
    let is_away = matches!(refused, PostgresOpenError::Away { .. });
    assert!(is_away, "{refused}");
    reading.end("COMMIT").await.unwrap();
    PostgresInbox::open(options(&database)).await.unwrap();
}

#[tokio::test]
async fn what_waited_in_tables_of_an_earlier_version_is_delivered_in_its_order() {
    let database = database().await;
    let (route, subject) = (1, "incident:664af");
    let lane = subject_id(route, subject);
    let rows = format!(
        "INSERT INTO meta (key, value) VALUES ('schema', 5); \
         INSERT INTO sinks (name) VALUES ('s'); \
         INSERT INTO routes (used) VALUES (0); \
         SELECT setval('positions', 2); \
         INSERT INTO subjects VALUES ({lane}, {route}, '{subject}', NULL, 2, 0); \
         INSERT INTO events (seq, lane, previous, route, event_type, subject, outcome, command, \
         origin, received, body) VALUES \
         (1, {lane}, NULL, {route}, 'i_ack', '{subject}', 1, false, 0, 0, '{{}}'), \
         (2, {lane}, 1, {route}, 'i_ack', '{subject}', 1, false, 0, 0, '{{}}'); \
         INSERT INTO deliveries (seq, sink, state, attempts, previous, next) \
         VALUES (1, 1, 0, 1, NULL, 2), (2, 1, 0, 0, 1, NULL); \
         INSERT INTO lanes (sink, lane, head, tail, leased, available, token) \
         VALUES (1, {lane}, 1, 2, true, {}, -1)",
        at(60).as_microsecond()
    );
    make_tables_of_an_earlier_version(&database, rows).await;
    let inbox = PostgresInbox::open(options(&database)).await.unwrap();
    let sink = inbox.sink("s").await.unwrap();
    assert!(
        store(&inbox, vec![event("c").to(sink)], &[sink])
            .await
            .is_empty()
    );
    for seq in [1, 2, 3] {
        let mut leases = claim(&inbox, sink, 9, at(60)).await.leases;
        assert_eq!(leases.len(), 1, "one at a time");
        let lease = leases.remove(0);
        assert_eq!((lease.seq, lease.interrupted), (Seq(seq), seq == 1));
        settle(&inbox, lease, Settlement::Delivered, at(60)).await;
    }
    assert_eq!(there(&database).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_receiver_of_an_earlier_version_finds_lanes_where_it_looks_for_them() {
    let (database, inbox) = opened().await;
    let sink = inbox.sink("s").await.unwrap().0;
    let leases = store(&inbox, vec![event("a").to(SinkId(sink))], &[SinkId(sink)]).await;
    assert_eq!(there(&database).await, [0, 1, 1]);
    let lane = leases[0].lane;
    // As that version asks when it stores another event of the subject.
    let ask = format!(
        "SELECT what, n1, n2, n3 FROM inbox_begin(NULL, ARRAY[{lane}]::bigint[], 0, '{{}}', '{{}}', \
         '{{}}', ARRAY[{sink}]::bigint[], ARRAY[{lane}]::bigint[], '{{}}', '{{}}', '{{}}', '{{}}', \
         '{{}}', '{{}}') WHERE what = 2"
    );
    let told = server::Server::shared().sql(&database, &ask);
    assert_eq!(told, format!("2|{sink}|{lane}|1"));
    assert_eq!(there(&database).await, [1, 1, 0]);
}
