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

/// Beside the tests' own.
const SETTINGS: &str = "-c shared_buffers=1GB -c checkpoint_timeout=15min -c max_wal_size=8GB \
     -c min_wal_size=2GB -c fsync=on";
/// Files of the log that are made before anything is measured.
const LOG_FILES: usize = 120;

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
    let server = lived_in();
    println!("machine: {}", server::machine());
    println!("{}, {SETTINGS}", server.sql("postgres", "SELECT version()"));
    for (name, measure) in parts {
        if all || chosen(name) {
            // The files of the log that the part before used up are there to be used again.
            server.sql("postgres", "CHECKPOINT");
            measure(&server);
        }
    }
}

/// A server as one that has worked for a while with room for it: the pages that are entered at random
/// are in memory, and the files of its log are there. Making one of those takes a disk a tenth of a
/// second, in which nobody's commit gets through.
fn lived_in() -> database::Server {
    let server = database::Server::start_with(SETTINGS);
    let file = "SELECT pg_logical_emit_message(false, '', ''); SELECT pg_switch_wal(); ";
    server.sql(
        "postgres",
        &format!("{} CHECKPOINT", file.repeat(LOG_FILES)),
    );
    server
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
