//! End-to-end tests that measure latency: one at a time, so that they measure the receiver and not
//! each other. A test binary of its own, because cargo runs those one after the other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up should fail the test"
)]
#![expect(
    dead_code,
    reason = "the harness serves the other end-to-end tests as well"
)]

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
#[path = "../it/receiver.rs"]
mod receiver;
#[path = "../../benches/setup/mod.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "says how many events a bench stores, and configures nothing"
)]
mod setup;
#[path = "../../benches/throughput/stored.rs"]
mod stored;

mod pages;
mod pairs;

mod million;
mod others;
mod output;
mod restart;
mod slow;
mod traces;
mod watchers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by each test of this binary for as long as it measures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed has let go of the machine, too.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
