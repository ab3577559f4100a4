//! The conformance suite on PostgreSQL, and what only this store must do.

mod authority;
mod bouncer;
mod leases;
pub(crate) mod server;
mod upkeep;

use std::sync::Arc;

use super::*;
use crate::inbox::Inbox as _;
use crate::inbox::conformance;

fn options(database: &str) -> PostgresOptions {
    PostgresOptions {
        pool: 4,
        clock: Clockwork::Caller,
        ..PostgresOptions::new(server::Server::shared().url(database).parse().unwrap())
    }
}

async fn database() -> String {
    let made = tokio::task::spawn_blocking(|| server::Server::shared().database());
    made.await.unwrap()
}

/// A number from the database.
fn number(database: &str, statement: &str) -> i64 {
    let answer = server::Server::shared().sql(database, statement);
    answer.parse().unwrap()
}

mod on_a_server {
    use super::*;

    async fn make() -> Arc<PostgresInbox> {
        let options = options(&database().await);
        Arc::new(PostgresInbox::open(options).await.unwrap())
    }

    conformance::every_property!(make);
}

mod behind_pgbouncer;
mod encryption;
mod faults;
mod horizon;
mod plans;
mod several;
