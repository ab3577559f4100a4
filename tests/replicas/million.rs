//! However much is stored in PostgreSQL, whoever looks at the console waits for nothing.

use flashduty_receiver::inbox::Inbox as _;
use flashduty_receiver::inbox::postgres::{PostgresInbox, PostgresOptions};
use secrecy::SecretString;

use crate::alone;
use crate::fleet::{Fleet, Setup};
use crate::pages::{Answered, fill};
use crate::postgres::{PASSWORD, Postgres};
use crate::receiver::{count, soak_line};

/// Stores so many events through the inbox itself.
fn filled(setup: &Setup, events: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = PostgresOptions {
            password: Some(SecretString::from(PASSWORD)),
            ..PostgresOptions::new(setup.url.parse().unwrap())
        };
        let inbox = PostgresInbox::open(options).await.unwrap();
        fill(&inbox, events).await;
        inbox.close().await.unwrap();
    });
}

#[test]
fn with_a_million_events_in_postgresql_every_request_of_the_console_is_answered_soon() {
    let _alone = alone();
    let server = Postgres::start();
    let setup = Setup::of(server.address());
    let stored = count(2_000, 1_000_000);
    filled(&setup, stored);
    // As the server does by itself where events come one by one.
    server.rows("VACUUM (ANALYZE)");
    let fleet = Fleet::start(1, &setup);
    let answered = fleet.ask(0, Answered::by);
    soak_line(
        82,
        "the console's requests on PostgreSQL",
        &format!("{stored} events: {}", answered.are_soon()),
    );
}
