//! Several receivers on one database.

use std::collections::{BTreeMap, HashMap};

use tokio::task::JoinSet;

use super::*;
use crate::event::{Outcome, Seq};
use crate::inbox::conformance::{TTL, at, claim, event, offer_all, settle};
use crate::inbox::subject::subject_id;
use crate::inbox::{Claim, Offer, Replica, Settlement, SinkId};

/// Receivers on one new database.
async fn replicas(count: usize, clock: Clockwork) -> (String, Vec<Arc<PostgresInbox>>) {
    let database = database().await;
    let mut all = Vec::new();
    for _ in 0..count {
        let options = PostgresOptions {
            clock,
            ..options(&database)
        };
        all.push(Arc::new(PostgresInbox::open(options).await.unwrap()));
    }
    (database, all)
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Number `n` of a stream in which each event comes twice and subjects are few.
fn offer(n: usize, sink: SinkId) -> Offer {
    let subject = leaked(format!("incident:{}", n % 7));
    event(leaked(format!("e{n}")))
        .of(subject)
        .time(i64::try_from(n / 5).unwrap())
        .to(sink)
        .offer()
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_get_the_same_events_store_each_once_and_in_order() {
    let (database, all) = replicas(3, Clockwork::Database).await;
    let sink = all[0].sink("s").await.unwrap();
    assert_eq!(all[1].sink("s").await.unwrap(), sink);
    let mut running = JoinSet::new();
    for (number, inbox) in all.iter().enumerate() {
        for worker in 0..2_usize {
            let inbox = Arc::clone(inbox);
            running.spawn(async move {
                let mut done = Vec::new();
                for round in 0..15_usize {
                    // Forwards and backwards, so that locks would cross if they were not sorted.
                    let mut these: Vec<usize> = (round * 10..round * 10 + 20).collect();
                    if (number + worker) % 2 == 1 {
                        these.reverse();
                    }
                    let batch = Batch {
                        offers: these.iter().map(|n| offer(*n, sink)).collect(),
                        claims: vec![Claim::new(sink, 2, TTL)],
                        ..Batch::default()
                    };
                    let batch = Arc::new(batch);
                    let committed = inbox.commit(batch, Timestamp::UNIX_EPOCH).await.unwrap();
                    done.extend(these.into_iter().zip(committed.offered));
                    let settled = committed.leases.into_iter();
                    let batch = Batch {
                        settled: settled
                            .map(|lease| lease.settle(Settlement::Delivered))
                            .collect(),
                        ..Batch::default()
                    };
                    let batch = Arc::new(batch);
                    let settled = inbox.commit(batch, Timestamp::UNIX_EPOCH).await.unwrap();
                    assert_eq!(settled.lost, []);
                }
                done
            });
        }
    }
    let mut stored: HashMap<usize, Vec<Seq>> = HashMap::new();
    let mut positions: BTreeMap<usize, Seq> = BTreeMap::new();
    while let Some(done) = running.join_next().await {
        for (n, offered) in done.unwrap() {
            let before = positions.insert(n, offered.seq);
            assert!(
                before.is_none_or(|seq| seq == offered.seq),
                "e{n} has two positions"
            );
            if offered.outcome != Outcome::Duplicate {
                stored.entry(n).or_default().push(offered.seq);
            }
        }
    }
    assert_eq!(stored.len(), 160);
    assert!(stored.values().all(|seqs| seqs.len() == 1));
    // The accepted ones of a subject are in the order of their times, and so are the deliveries.
    let server = server::Server::shared();
    let wrong = "SELECT count(*) FROM events a JOIN events b ON a.lane = b.lane AND a.seq < b.seq \
                 WHERE a.outcome = 1 AND b.outcome = 1 AND a.event_time > b.event_time";
    assert_eq!(server.sql(&database, wrong), "0");
    let chain = "SELECT count(*) FROM events e WHERE e.previous IS DISTINCT FROM \
                 (SELECT max(seq) FROM events b WHERE b.lane = e.lane AND b.seq < e.seq)";
    assert_eq!(server.sql(&database, chain), "0");
    let counted = "SELECT (SELECT sum(n) FROM tallies WHERE sink > 0) - \
                   (SELECT count(*) FROM deliveries WHERE state = 0), \
                   (SELECT sum(n) FROM tallies WHERE sink = 0) - (SELECT count(*) FROM events)";
    assert_eq!(server.sql(&database, counted), "0|0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_to_one_receiver_at_a_time_and_in_order() {
    let (_, all) = replicas(2, Clockwork::Caller).await;
    let sink = all[0].sink("s").await.unwrap();
    let given = ["a", "b", "c", "d"].map(|id| event(id).to(sink));
    offer_all(&*all[0], given.into()).await;
    let first = claim(&*all[1], sink, 5, at(1)).await.leases.remove(0);
    assert_eq!(first.seq, Seq(1));
    assert!(claim(&*all[0], sink, 5, at(1)).await.leases.is_empty());
    settle(&*all[1], first, Settlement::Delivered, at(2)).await;
    let second = claim(&*all[0], sink, 5, at(2)).await.leases.remove(0);
    assert_eq!(second.seq, Seq(2));
}

#[tokio::test]
async fn leases_last_by_the_databases_clock_whatever_the_receivers_say() {
    let (_, all) = replicas(2, Clockwork::Database).await;
    let sink = all[0].sink("s").await.unwrap();
    let batch = Batch {
        offers: vec![event("a").to(sink).offer()],
        ..Batch::default()
    };
    all[0].commit(Arc::new(batch), at(0)).await.unwrap();
    let lease = claim(&*all[0], sink, 1, at(0)).await.leases.remove(0);
    assert_eq!(lease.expires_at, at(60));
    // Years later by its own clock, and the lease is as young as it is.
    let later = at(100_000_000);
    let other = claim(&*all[1], sink, 1, later).await;
    assert!(other.leases.is_empty());
    let due = other.next_due[0].1.unwrap().duration_since(later);
    assert!((50..=60).contains(&due.as_secs()), "{due}");
    let retry = Settlement::RetryAt(at(30), "busy".to_owned());
    assert_eq!(settle(&*all[0], lease, retry, at(0)).await.lost, []);
    let early = claim(&*all[0], sink, 1, at(500)).await;
    assert!(early.leases.is_empty(), "half a minute has not passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_of_what_another_one_could_not_lease() {
    let (_, all) = replicas(2, Clockwork::Database).await;
    let sink = all[0].sink("s").await.unwrap();
    let looked = Arc::new(tokio::sync::Notify::new());
    let (listener, look) = (Arc::clone(&all[1]), Arc::clone(&looked));
    let mut listening = JoinSet::new();
    listening.spawn(async move { listener.listen(|| look.notify_one()).await });
    let stored = async {
        for n in 0_usize.. {
            let batch = Batch {
                offers: vec![offer(n, sink)],
                ..Batch::default()
            };
            all[0].commit(Arc::new(batch), at(0)).await.unwrap();
            if all[1].heard() > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stored)
        .await
        .unwrap();
    looked.notified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_another_receiver_makes_meanwhile_is_judged_by_its_mark() {
    let (database, all) = replicas(1, Clockwork::Database).await;
    offer_all(&*all[0], vec![event("first").of("incident:other")]).await;
    let stale = || event("late").of("incident:same").time(5);
    let subject = "incident:same";
    let route: i64 = number(&database, "SELECT id FROM routes");
    let mut other = all[0].session().await.unwrap();
    other.begin("BEGIN").await.unwrap();
    let row = format!(
        "INSERT INTO subjects (id, route, subject, last_time, last_seq, last_received) \
         VALUES ({}, {route}, '{subject}', 9, 1, 0)",
        subject_id(route, subject)
    );
    other.raw().batch_execute(&row).await.unwrap();
    let inbox = Arc::clone(&all[0]);
    let mut committing = JoinSet::new();
    committing.spawn(async move { offer_all(&*inbox, vec![stale()]).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock' AND query LIKE 'SELECT * FROM inbox_write%'";
    while number(&database, waits) == 0 {
        assert!(committing.try_join_next().is_none(), "it did not wait");
    }
    other.end("COMMIT").await.unwrap();
    let offered = committing.join_next().await.unwrap().unwrap();
    assert_eq!(offered[0].outcome, Outcome::Stale);
}

#[tokio::test]
async fn receivers_see_each_other_until_they_leave_or_an_hour_after_the_last_sign_of_life() {
    let (_database, all) = replicas(2, Clockwork::Caller).await;
    let replica = |name: &str, seen| Replica {
        name: name.to_owned(),
        started_at: at(-5),
        seen_at: at(seen),
        version: "1.2.3".to_owned(),
    };
    all[0].beat(replica("a:8080", 0)).await.unwrap();
    all[1].beat(replica("b:8080", 10)).await.unwrap();
    all[0].beat(replica("a:8080", 20)).await.unwrap();
    let seen = all[1].replicas().await.unwrap();
    assert_eq!(seen, [replica("a:8080", 20), replica("b:8080", 10)]);
    all[0].beat(replica("a:8080", 3_611)).await.unwrap();
    let seen = all[1].replicas().await.unwrap();
    assert_eq!(seen, [replica("a:8080", 3_611)]);
    // The process before this one is late to go.
    let before = Replica {
        started_at: at(-6),
        ..replica("a:8080", 3_612)
    };
    all[1].leave(before).await.unwrap();
    assert_eq!(all[1].replicas().await.unwrap().len(), 1);
    all[0].leave(replica("a:8080", 3_612)).await.unwrap();
    assert_eq!(all[1].replicas().await.unwrap(), []);
}
