//! End-to-end tests: the real binary, real sockets, real faults.
//!
//! Counts are small by default; `make soak` runs the same tests with the full ones.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up should fail the test"
)]
#![expect(
    dead_code,
    reason = "the harness serves the tests that measure as well, in tests/quiet"
)]

mod aloud;
mod balancer;
mod certificates;
mod collector;
#[path = "../../src/inbox/postgres/tests/server.rs"]
mod database;
mod dice;
mod fake;
mod http;
mod launcher;
mod lines;
mod load;
mod markdown;
mod onslaught;
mod prometheus;
mod proxy;
mod receiver;
mod sender;
mod stand_in;
mod strace;
mod volume;

mod admission;
mod alerts;
mod broken;
mod builds;
mod compose;
mod crash;
mod dashboards;
mod delivery;
mod dependencies;
mod deploy;
mod disk;
mod doctor;
mod documents;
mod drain;
mod events;
mod examples;
mod exec;
mod explain;
mod files;
mod fresh;
mod gate;
mod guard;
mod held;
mod hostile;
mod killed;
mod manifests;
mod openapi;
mod packing;
mod power;
mod promises;
mod proxies;
mod races;
mod recipes;
mod recover;
mod recovered;
mod refusals;
mod release;
mod reload;
mod replay;
mod restart;
mod room;
mod runbooks;
mod shared;
mod smoke;
mod spill;
mod strangers;
mod supervised;
mod tail;
mod tickets;
mod tidy;
mod tls;
mod tls_admin;
mod tools;
mod traces;
mod translation;
mod unfinished;
mod units;
mod walks;
