//! The whole receiver against its physical limit, in one run on one machine.
//!
//! The server is pinned to one core and the generator to another. Compared are (a) a handler that
//! parses and answers, (b) the same front before an append-only file with one sync a batch, and
//! (c) the receiver: inbox, deliveries, log lines. Rounds are interleaved and medians compared, so
//! that a neighbour's load falls on all three.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints, and ends when its set-up fails"
)]

mod baseline;
#[path = "../setup/mod.rs"]
mod setup;
#[expect(dead_code, reason = "serves the bench of PostgreSQL as well")]
mod load;
mod million;
#[expect(dead_code, reason = "serves the bench of PostgreSQL as well")]
mod server;
mod stored;

use std::path::Path;

use load::{Load, Report};
use server::{Kind, Server};

/// Rounds of each measurement.
const ROUNDS: usize = 3;
/// A tail is made of twenty pushes: a disk that stands still for a moment moves it.
const TAIL_ROUNDS: usize = 7;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve-answer") => baseline::serve(None),
        Some("serve-append") => baseline::serve(Some(Path::new(&arguments[2]))),
        // The last part alone: `cargo bench --bench throughput million`.
        Some("million") => million::measure(),
        // `cargo test --benches` only wants to know that it starts.
        _ if arguments.iter().any(|argument| argument == "--test") => {}
        _ => everything(),
    }
}

fn everything() {
    println!("machine: {}", server::machine());
    closed_loop();
    open_loop();
    memory();
    million::measure();
}

fn closed_loop() {
    println!("\nclosed loop, pushes/s (median of {ROUNDS} interleaved rounds), 1.4 KB, unique ids");
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>7} {:>9}",
        "connections", "(a)", "(b)", "(c)", "c/b", "c: CPU us"
    );
    for connections in [1, 16, 64, 256] {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        let mut cpu = Vec::new();
        for _ in 0..ROUNDS {
            for (kind, rates) in Kind::ALL.into_iter().zip(&mut rates) {
                let (report, spent) = run(kind, &Load::closed(connections));
                rates.push(report.per_second);
                if kind == Kind::Receiver {
                    cpu.push(spent);
                }
            }
        }
        let [a, b, c] = rates.map(median);
        println!(
            "{connections:>12} {a:>10.0} {b:>10.0} {c:>10.0} {:>7.2} {:>9.1}",
            c / b,
            median(cpu)
        );
    }
}

fn open_loop() {
    println!(
        "\nopen loop, 2,000/s for 10 s over 64 connections, latency in ms from the scheduled time"
    );
    println!(
        "{:>5} {:>8} {:>8} {:>8} {:>8}  store",
        "", "p50", "p99", "p99.9", "max"
    );
    let mut tails = [Vec::new(), Vec::new()];
    for _ in 0..TAIL_ROUNDS {
        for (kind, tail) in [Kind::Append, Kind::Receiver].into_iter().zip(&mut tails) {
            let server = Server::start(kind, None);
            let report = load::run(&server, &Load::open(2000, 10));
            tail.push(report.latency_us.p999);
            println!(
                "{:>5} {}  {}",
                kind.letter(),
                report.tail(),
                server.store_facts()
            );
        }
    }
    let [b, c] = tails.map(median);
    println!(
        "p99.9, medians: (c) {:.2} ms is {:.2} times (b)'s {:.2} ms",
        c / 1e3,
        c / b,
        b / 1e3
    );
}

fn memory() {
    let server = Server::start(Kind::Receiver, None);
    let idle = server.resident_mib();
    let _warm = load::run(&server, &Load::closed(64));
    println!(
        "\nresident memory: idle {idle:.1} MiB, after 64 busy connections {:.1} MiB (peak {:.1})",
        server.resident_mib(),
        server.peak_mib()
    );
}

/// One round against a fresh server: the report, and the server's CPU time a push in microseconds.
fn run(kind: Kind, load: &Load) -> (Report, f64) {
    let server = Server::start(kind, None);
    let _warm = load::run(&server, &load.warm_up());
    let before = server.cpu_seconds();
    let report = load::run(&server, load);
    let spent = (server.cpu_seconds() - before) * 1e6 / f64::from(report.pushes);
    (report, spent)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
