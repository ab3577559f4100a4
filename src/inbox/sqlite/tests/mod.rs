//! The conformance suite on a file and in memory, and what only the embedded store must do.

mod lists;
mod rates;
mod rights;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;
use crate::event::{Outcome, Seq};
use crate::inbox::conformance::{self, TTL, at, claim, event};
use crate::inbox::{
    Batch, Claim, ClaimOptions, Committer, CommitterOptions, Inbox, Prune, PruneWhat, Pruned,
    Settlement,
};
use crate::metrics::Metrics;

fn options(location: Location) -> SqliteOptions {
    SqliteOptions {
        location,
        lock_wait: Duration::ZERO,
        max_size: 0,
    }
}

fn open(folder: &std::path::Path) -> SqliteInbox {
    SqliteInbox::open(options(Location::File(folder.join("inbox.db")))).unwrap()
}

mod on_a_file {
    use super::*;

    async fn make() -> Arc<SqliteInbox> {
        // The folder goes with the test's process; the files are small.
        let folder = tempfile::tempdir().unwrap().keep();
        Arc::new(open(&folder))
    }

    conformance::every_property!(make);
}

mod in_memory {
    use super::*;

    async fn make() -> Arc<SqliteInbox> {
        Arc::new(SqliteInbox::open(options(Location::Memory)).unwrap())
    }

    conformance::every_property!(make);
}

#[tokio::test]
async fn what_was_leased_when_the_process_ended_is_found_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: vec![event("a").to(sink).offer()],
        claims: vec![Claim::new(sink, 1, TTL)],
        ..Batch::default()
    };
    assert_eq!(
        inbox
            .commit(Arc::new(batch), at(0))
            .await
            .unwrap()
            .leases
            .len(),
        1
    );
    inbox.close().await.unwrap();
    let inbox = open(folder.path());
    let lease = claim(&inbox, sink, 1, at(1)).await.leases.remove(0);
    assert!(lease.interrupted, "its end is unknown");
    assert_eq!(lease.attempt, 2);
    inbox.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_group_commit_rests_and_ends_when_nothing_is_left_to_settle() {
    let inbox = Arc::new(SqliteInbox::open(options(Location::Memory)).unwrap());
    let sink = inbox.sink("s").await.unwrap();
    let (committer, task) = Committer::new(CommitterOptions {
        inbox: Arc::clone(&inbox) as Arc<dyn Inbox>,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        spill: None,
    });
    let claims = committer.register(
        sink,
        ClaimOptions::new(0, TTL),
        Metrics::new().sink(&Arc::from("s")),
    );
    #[expect(clippy::disallowed_methods, reason = "no lifecycle is under test")]
    let task = tokio::spawn(task);
    claims.desk().settle(Vec::new());
    // Its time to ride passes, and nothing is there to ride.
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    committer.finish();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(task.is_finished(), "it goes round and round");
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn positions_are_never_given_out_twice() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    let offers = |id| Batch {
        offers: vec![event(id).offer()],
        ..Batch::default()
    };
    inbox.commit(Arc::new(offers("a")), at(0)).await.unwrap();
    let prune = Prune {
        what: PruneWhat::Aged,
        now: at(100),
        retention: Duration::ZERO,
        after: Seq(0),
        wanted_bytes: 0,
    };
    assert_eq!(inbox.prune(prune).await.unwrap().events, 1);
    inbox.close().await.unwrap();
    let inbox = open(folder.path());
    let offered = inbox
        .commit(Arc::new(offers("b")), at(0))
        .await
        .unwrap()
        .offered;
    assert_eq!(offered[0].seq, Seq(2));
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(folder.path());
    let again = SqliteInbox::open(options(Location::File(folder.path().join("inbox.db"))));
    let error = again.err().unwrap().to_string();
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
}

#[tokio::test]
async fn a_later_versions_store_and_a_foreign_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    open(folder.path()).close().await.unwrap();
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let refused = |path: &std::path::Path| {
        SqliteInbox::open(options(Location::File(path.to_owned())))
            .err()
            .unwrap()
            .to_string()
    };
    assert!(refused(&path).contains("later version (schema 99"));
    let other = folder.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    assert!(refused(&other).contains("another program"));
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "this is no database, but a longer text than a header",
    )
    .unwrap();
    assert!(
        refused(&text).contains("no SQLite database"),
        "{}",
        refused(&text)
    );
}

#[tokio::test]
async fn a_store_written_and_closed_has_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    assert_eq!(inbox.check().await.unwrap(), None);
    inbox.close().await.unwrap();
    assert!(!open(folder.path()).was_unclean());
}

#[test]
fn claims_search_by_index_whatever_waits() {
    let connection = open::open(&Location::Memory, Duration::ZERO)
        .unwrap()
        .writer;
    let plan = |sql: &str| -> String {
        connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map([], |row| row.get::<_, String>(3))
            .unwrap()
            .collect::<rusqlite::Result<Vec<_>>>()
            .unwrap()
            .join("; ")
    };
    let claim = plan(
        "SELECT lane, head FROM lanes WHERE sink = 1 AND leased = 0 AND available <= 5 ORDER BY available, head LIMIT 4",
    );
    assert!(
        claim.contains("lanes_by_time") && !claim.contains("TEMP B-TREE"),
        "{claim}"
    );
    let due = plan("SELECT min(available) FROM lanes WHERE sink = 1 AND leased = 0");
    assert!(
        due.contains("SEARCH lanes USING COVERING INDEX lanes_by_time"),
        "{due}"
    );
    let start = plan(writer::END_LEASES);
    assert!(start.contains("SEARCH lanes USING"), "{start}");
    assert!(start.contains("(sink=? AND leased=?)"), "{start}");
}

/// One subject's events, each with its time, offered in any order and any number of times.
fn offered() -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop::collection::vec((0..12_usize, 0..6_i64), 1..40).prop_map(|offers| {
        offers
            .into_iter()
            .map(|(id, time)| (id, time % 6 + (id as i64 % 3)))
            .collect()
    })
}

const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn accepted_events_are_in_time_order_and_none_is_accepted_twice(
        offers in offered(),
        cuts in prop::collection::vec(1..6_usize, 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let accepted = runtime.block_on(async {
            let inbox = SqliteInbox::open(options(Location::Memory)).unwrap();
            let mut rest = offers.as_slice();
            let mut accepted = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                let batch = Batch {
                    offers: now.iter().map(|(id, time)| event(IDS[*id]).time(*time).offer()).collect(),
                    ..Batch::default()
                };
                let judged = inbox.commit(Arc::new(batch), at(0)).await.unwrap().offered;
                for (offer, judged) in now.iter().zip(judged) {
                    if judged.outcome == Outcome::Accepted {
                        accepted.push(*offer);
                    }
                }
            }
            inbox.close().await.unwrap();
            accepted
        });
        prop_assert!(accepted.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{accepted:?}");
        let mut ids: Vec<usize> = accepted.iter().map(|offer| offer.0).collect();
        ids.sort_unstable();
        prop_assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{accepted:?}");
    }
}

#[tokio::test]
async fn settling_a_lease_of_a_dropped_delivery_is_noticed() {
    let inbox = SqliteInbox::open(options(Location::Memory)).unwrap();
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: vec![event("a").to(sink).offer()],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let lease = claim(&inbox, sink, 1, at(0)).await.leases.remove(0);
    let prune = |now| Prune {
        what: PruneWhat::Waiting { sinks: vec![sink] },
        now,
        retention: Duration::from_secs(1000),
        after: Seq(0),
        wanted_bytes: 0,
    };
    let under_way = inbox.prune(prune(at(1))).await.unwrap();
    assert_eq!(under_way.dropped, [], "what is leased does not wait");
    let run_out = inbox.prune(prune(at(61))).await.unwrap();
    assert_eq!(run_out.dropped, [sink]);
    let lost = conformance::settle(&inbox, lease, Settlement::Delivered, at(62))
        .await
        .lost;
    assert_eq!(lost.len(), 1);
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn making_room_reads_nothing_that_cannot_go() {
    let inbox = SqliteInbox::open(options(Location::Memory)).unwrap();
    let sink = inbox.sink("s").await.unwrap();
    // More than one step looks at.
    let mut offers: Vec<_> = (0..500)
        .map(|n| event(Box::leak(format!("e{n}").into_boxed_str())))
        .map(|event| event.alone().received(5000).offer())
        .collect();
    offers.push(event("waits").to(sink).received(5000).offer());
    let batch = Batch {
        offers,
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(5000)).await.unwrap();
    let prune = |what| Prune {
        what,
        now: at(5001),
        retention: Duration::from_secs(86_400),
        after: Seq(0),
        wanted_bytes: 1,
    };
    let dead = inbox.prune(prune(PruneWhat::Dead)).await.unwrap();
    assert_eq!(dead, Pruned::default());
    let waiting = PruneWhat::Waiting { sinks: vec![sink] };
    let waiting = inbox.prune(prune(waiting)).await.unwrap();
    assert_eq!((waiting.dropped, waiting.next), (vec![sink], None));
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn the_log_moves_into_the_file_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    // More than a quarter of the longest log.
    let big: &'static str = Box::leak("x".repeat(20 << 20).into_boxed_str());
    let batch = Batch {
        offers: vec![event("a").body(big).offer()],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while inbox.log.bytes_copied() < (20 << 20) {
        assert!(std::time::Instant::now() < deadline, "nothing was copied");
        tokio::task::yield_now().await;
    }
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_broke_once_takes_nothing_more_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    let torn = || InboxError::Broken("a page is torn".to_owned());
    let log = Arc::clone(&inbox.log);
    assert!(matches!(log.note(torn()), InboxError::Broken(_)));
    assert_eq!(inbox.broken().await, "a page is torn");
    let batch = Batch {
        offers: vec![event("a").offer()],
        ..Batch::default()
    };
    let refused = inbox.commit(Arc::new(batch), at(0)).await.unwrap_err();
    assert_eq!(refused.to_string(), torn().to_string());
    assert_eq!(
        inbox.close().await.unwrap_err().to_string(),
        torn().to_string()
    );
}
