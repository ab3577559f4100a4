//! The PostgreSQL store beside a bare loop of inserts, beside the embedded store, and what an event
//! costs the database. It starts a server of its own, which syncs as a real one does.
//!
//! `cargo bench --bench postgres`, or one part of it: `... postgres store|closed|open|costs`. The
//! receiver is pinned to one core and the generator to another; the server shares both with them.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench prints, and ends when its set-up fails; others use the rest of what it shares"
)]

mod bare;
mod costs;
#[path = "../../src/inbox/postgres/tests/server.rs"]
mod database;
mod facts;
#[path = "../throughput/load.rs"]
mod load;
mod replicas;
#[path = "../throughput/server.rs"]
mod server;
#[path = "../setup/mod.rs"]
mod setup;
mod store;

/// A name to choose it by, and what it does.
type Part = (&'static str, fn(&database::Server));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let parts: [Part; 4] = [
        ("store", store::measure),
        ("closed", replicas::closed_loop),
        ("open", replicas::open_loop),
        ("costs", costs::measure),
    ];
    let chosen = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !parts.iter().any(|(name, _)| chosen(name));
    let server = database::Server::start();
    println!("machine: {}", server::machine());
    println!("{}, fsync on", server.sql("postgres", "SELECT version()"));
    for (name, measure) in parts {
        if all || chosen(name) {
            measure(&server);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
