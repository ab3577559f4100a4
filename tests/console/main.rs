//! The console in a real browser: the real binary, real pushes, and Chromium that looks at it.
//!
//! A test here owns the receivers, and plays a scene of the same name, a script beside it, that owns
//! the browser. Where there is none, the tests say so and check nothing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up should fail the test"
)]
#![expect(
    dead_code,
    reason = "the harness serves the other end-to-end tests as well"
)]

#[path = "../it/aloud.rs"]
mod aloud;
#[path = "../../src/inbox/postgres/tests/server.rs"]
mod database;
#[path = "../it/fake/mod.rs"]
mod fake;
#[path = "../it/http.rs"]
mod http;
#[path = "../it/lines.rs"]
mod lines;
#[path = "../it/onslaught.rs"]
mod onslaught;
#[path = "../it/receiver.rs"]
mod receiver;

mod driver;
mod stage;

mod changes;
mod live;
mod naughty;
mod pages;
