//! What becomes of a store whose database goes away, or is not what it should be.

use std::time::Instant;

use super::*;
use crate::event::Outcome;
use crate::inbox::conformance::{at, claim, event, settle};
use crate::inbox::{Report, Settlement};

fn one(id: &'static str) -> Arc<Batch> {
    Arc::new(Batch {
        offers: vec![event(id).offer()],
        ..Batch::default()
    })
}

async fn opened(database: &str) -> PostgresInbox {
    PostgresInbox::open(options(database)).await.unwrap()
}

fn sql(database: &str, text: &str) -> String {
    server::Server::shared().sql(database, text)
}

/// Until somebody else has locked the keys.
fn keys_are_locked(database: &str) {
    let asked = "SELECT count(*) FROM pg_locks WHERE relation = 'keys'::regclass \
                 AND mode = 'AccessExclusiveLock' AND granted";
    let limit = Instant::now() + Duration::from_secs(10);
    while sql(database, asked).trim() != "1" {
        assert!(Instant::now() < limit, "nobody locks the keys");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_said_and_the_same_batch_is_taken_afterwards() {
    let database = database().await;
    let inbox = opened(&database).await;
    inbox.commit(one("a"), at(0)).await.unwrap();
    // Held up behind a lock, and cut off there.
    let lock = format!(
        "BEGIN; LOCK TABLE keys IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = '{database}' AND application_name = 'flashduty-receiver'; COMMIT"
    );
    let cutting = tokio::task::spawn_blocking({
        let database = database.clone();
        move || sql(&database, &lock)
    });
    keys_are_locked(&database);
    let away = inbox.commit(one("b"), at(0)).await.unwrap_err();
    assert!(matches!(away, InboxError::Away(_)), "{away:?}");
    cutting.await.unwrap();
    for expected in [Outcome::Accepted, Outcome::Duplicate] {
        let offered = inbox.commit(one("b"), at(0)).await.unwrap().offered;
        assert_eq!(offered[0].outcome, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_leaves_no_transaction_open() {
    let database = database().await;
    let inbox = opened(&database).await;
    inbox.commit(one("a"), at(0)).await.unwrap();
    let lock = "BEGIN; LOCK TABLE keys IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT";
    let locking = tokio::task::spawn_blocking({
        let database = database.clone();
        move || sql(&database, lock)
    });
    keys_are_locked(&database);
    let late = tokio::time::timeout(Duration::from_millis(50), inbox.commit(one("b"), at(0)));
    assert!(late.await.is_err());
    locking.await.unwrap();
    let offered = inbox.commit(one("b"), at(0)).await.unwrap().offered;
    assert_eq!(offered[0].outcome, Outcome::Accepted);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
                AND datname = current_database()";
    assert_eq!(sql(&database, open), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_look_there_is_a_connection_for_those_who_store() {
    let database = database().await;
    let inbox = Arc::new(opened(&database).await);
    inbox.commit(one("a"), at(0)).await.unwrap();
    let mut holding = inbox.session().await.unwrap();
    holding.begin("BEGIN").await.unwrap();
    let lock = "LOCK TABLE unreadable IN ACCESS EXCLUSIVE MODE";
    holding.raw().batch_execute(lock).await.unwrap();
    let mut looking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (one, other) = (Arc::clone(&inbox), Arc::clone(&inbox));
        looking.spawn(async move { one.unreadable(1).await.map(drop) });
        looking.spawn(async move { other.counts().await.map(drop) });
    }
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock'";
    while number(&database, waits) == 0 {}
    let committing = inbox.commit(one("b"), at(0));
    let committed = tokio::time::timeout(Duration::from_secs(5), committing).await;
    assert_eq!(committed.unwrap().unwrap().offered.len(), 1);
    holding.end("COMMIT").await.unwrap();
    while let Some(found) = looking.join_next().await {
        found.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_away_and_its_password_is_not_said() {
    let target = "postgres://me:hunter2@127.0.0.1:1/inbox?sslmode=disable";
    let options = PostgresOptions::new(target.parse().unwrap());
    let error = PostgresInbox::open(options.clone()).await.err().unwrap();
    assert!(matches!(error, PostgresOpenError::Away { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let inbox = PostgresInbox::new(options).unwrap();
    let away = inbox.commit(one("a"), at(0)).await.unwrap_err();
    assert!(matches!(away, InboxError::Away(_)), "{away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_versions_tables_and_anothers_are_refused() {
    let database = database().await;
    drop(opened(&database).await);
    sql(&database, "UPDATE meta SET value = 99 WHERE key = 'schema'");
    let open = async || {
        let opened = PostgresInbox::open(options(&database)).await;
        opened.err().unwrap().to_string()
    };
    let refused = open().await;
    assert!(refused.contains("later version (schema 99"), "{refused}");
    for other in ["meta (a integer)", "meta (key text, value bigint)"] {
        sql(&database, "DROP TABLE meta");
        sql(&database, &format!("CREATE TABLE {other}"));
        let refused = open().await;
        assert!(refused.contains("another program"), "{refused}");
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_database_before_somebody_has_looked_at_it_and_found_it_fit() {
    let database = database().await;
    let inbox = PostgresInbox::new(options(&database)).unwrap();
    let is_away = async || {
        let away = inbox.commit(one("a"), at(0)).await.unwrap_err();
        assert!(matches!(away, InboxError::Away(_)), "{away:?}");
        let away = inbox.probe().await.unwrap_err();
        assert!(matches!(away, InboxError::Away(_)), "{away:?}");
    };
    is_away().await;
    sql(&database, "CREATE TABLE meta (a integer)");
    let unfit = inbox.contact().await.unwrap_err();
    assert!(
        matches!(unfit, PostgresOpenError::Unfit { .. }),
        "{unfit:?}"
    );
    assert!(unfit.to_string().contains("another program"));
    is_away().await;
    sql(&database, "DROP TABLE meta");
    inbox.contact().await.unwrap();
    inbox.commit(one("a"), at(0)).await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_exist_denies_itself_and_one_that_hangs_is_away_in_time() {
    let mut missing = options(&database().await);
    missing.target = server::Server::shared().url("nowhere").parse().unwrap();
    let denied = PostgresInbox::open(missing.clone()).await.err().unwrap();
    assert!(
        matches!(denied, PostgresOpenError::Denied { .. }),
        "{denied:?}"
    );
    // The kernel takes the connection, and nobody says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/inbox", silent.local_addr().unwrap());
    missing.target = url.parse().unwrap();
    let inbox = PostgresInbox::new(missing).unwrap();
    let begun = tokio::time::Instant::now();
    let away = inbox.contact_within(Glance {
        connected: Duration::from_millis(50),
        passed: Duration::from_secs(60),
    });
    let away = away.await.unwrap_err();
    assert!(matches!(away, PostgresOpenError::Away { .. }), "{away:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_start_together_make_the_tables_once() {
    let database = database().await;
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let options = options(&database);
        opening.spawn(async move { PostgresInbox::open(options).await.map(drop) });
    }
    while let Some(opened) = opening.join_next().await {
        opened.unwrap().unwrap();
    }
}

#[tokio::test]
async fn texts_with_a_null_character_are_taken() {
    let inbox = opened(&database().await).await;
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: vec![event("a").to(sink).offer()],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let lease = claim(&inbox, sink, 1, at(0)).await.leases.remove(0);
    let report = Report {
        answer: Some("a\0b".to_owned()),
        remember: vec![("n\0".to_owned(), "v\0".to_owned())],
        ..Report::default()
    };
    let retry = Settlement::RetryAt(at(1), "no\0".to_owned());
    let batch = Batch {
        settled: vec![lease.settle_with(retry, Some(Box::new(report)))],
        ..Batch::default()
    };
    assert_eq!(inbox.commit(Arc::new(batch), at(0)).await.unwrap().lost, []);
    let lease = claim(&inbox, sink, 1, at(1)).await.leases.remove(0);
    let dead = Settlement::Superseded("x\0".to_owned());
    assert_eq!(settle(&inbox, lease, dead, at(2)).await.lost, []);
}

#[tokio::test]
async fn a_database_whose_commits_need_not_be_durable_is_told_otherwise() {
    let database = database().await;
    let off = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    sql(&database, &off);
    let inbox = opened(&database).await;
    let waits = "CREATE TABLE seen AS SELECT 'x' AS setting; CREATE FUNCTION see() RETURNS trigger \
                 LANGUAGE plpgsql AS $$ BEGIN UPDATE seen SET setting = \
                 current_setting('synchronous_commit'); RETURN NEW; END $$; \
                 CREATE TRIGGER see AFTER INSERT ON events EXECUTE FUNCTION see()";
    sql(&database, waits);
    inbox.commit(one("a"), at(0)).await.unwrap();
    assert_eq!(sql(&database, "SELECT setting FROM seen"), "on");
}
