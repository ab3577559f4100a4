//! The conformance suite through a `PgBouncer` in transaction mode that has fewer sessions than the
//! receiver has connections, and gives them out in turn.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::bouncer::Bouncer;
use super::server::Server;
use super::session::Call;
use super::*;
use crate::inbox::conformance::{at, event};

const USER: &str = "postgres";
const PASSWORD: &str = "c0rrect-h0rse";
const SESSIONS: usize = 2;

/// The one of this process, before its server.
fn bouncer() -> &'static Bouncer {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    BOUNCER.get_or_init(|| {
        let server = Server::shared().address();
        Bouncer::before(server, [USER, PASSWORD], SESSIONS)
    })
}

async fn pooled(database: &str, pgbouncer: bool) -> PostgresOptions {
    let address = tokio::task::spawn_blocking(|| bouncer().address);
    let address = address.await.unwrap();
    let url = format!("postgres://{USER}:{PASSWORD}@{address}/{database}?sslmode=disable");
    PostgresOptions {
        target: url.parse().unwrap(),
        pgbouncer,
        ..options(database)
    }
}

async fn make_on(database: &str) -> Arc<PostgresInbox> {
    let options = pooled(database, true).await;
    assert!(options.pool > SESSIONS);
    let inbox = PostgresInbox::open(options).await.unwrap();
    // Transactions at the same time need a session each. From then on all of them are there.
    let mut under_way = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = inbox.session().await.unwrap();
        session.begin("BEGIN").await.unwrap();
        under_way.push(session);
    }
    for mut session in under_way {
        session.end("COMMIT").await.unwrap();
    }
    Arc::new(inbox)
}

async fn make() -> Arc<PostgresInbox> {
    make_on(&database().await).await
}

conformance::every_property!(make);

#[tokio::test]
async fn one_connections_transactions_meet_all_sessions_in_turn() {
    let inbox = make().await;
    let mut session = inbox.session().await.unwrap();
    let mut met: Vec<i32> = Vec::new();
    for _ in 0..2 * SESSIONS {
        let rows = session.one(Call::new("SELECT pg_backend_pid()")).await;
        met.push(rows.unwrap()[0].get(0));
    }
    let (first, again) = met.split_at(SESSIONS);
    assert_eq!(first, again);
    assert_eq!(BTreeSet::from_iter(first).len(), SESSIONS);
}

#[tokio::test]
async fn prepared_statements_are_not_found_again() {
    let database = database().await;
    make_on(&database).await;
    // As if the database itself were there.
    let direct = pooled(&database, false).await;
    let failed = async {
        let inbox = PostgresInbox::open(direct)
            .await
            .map_err(|error| error.to_string())?;
        let batch = Batch {
            offers: vec![event("a").offer()],
            ..Batch::default()
        };
        let done = inbox.commit(Arc::new(batch), at(0)).await;
        done.map(drop).map_err(|error| error.to_string())
    };
    let failed = failed.await.unwrap_err();
    assert!(failed.contains("prepared statement"), "{failed}");
}
