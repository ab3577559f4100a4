//! End-to-end tests of several receivers with one PostgreSQL: real servers, real sockets, real faults.
//!
//! Counts are small by default; `make soak` runs the same tests with the full ones. A test binary of
//! its own, whose tests run one at a time: they measure, and each has a server and several receivers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up should fail the test"
)]
#![expect(
    dead_code,
    reason = "the harness serves the other end-to-end tests as well"
)]

#[path = "../it/dice.rs"]
mod dice;
#[path = "../it/fake/mod.rs"]
mod fake;
#[path = "../it/http.rs"]
mod http;
#[path = "../it/launcher.rs"]
mod launcher;
#[path = "../it/lines.rs"]
mod lines;
#[path = "../it/load.rs"]
mod load;
#[path = "../quiet/pages.rs"]
mod pages;
#[path = "../it/proxy.rs"]
mod proxy;
#[path = "../it/receiver.rs"]
mod receiver;

mod arrived;
mod cutter;
mod fleet;
mod loaded;
mod postgres;
mod stored;

mod away;
mod balanced;
mod cut;
mod durable;
mod failover;
mod follow;
mod million;
mod once;
mod order;
mod outage;
mod reloaded;
mod seen;
mod trust;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by each test of this binary for as long as it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed has let go of the machine, too.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
