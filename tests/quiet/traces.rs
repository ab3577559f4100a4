//! A collector of traces in trouble costs the sender next to nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fake::{FakeServer, Reply};
use crate::pairs::{by_turns, steady, times_as_late};
use crate::receiver::{Receiver, count, soak_line};

/// Three spans each: more in all than may wait.
const RATE: u32 = 200;
/// What the spans that wait may take, and what two processes differ by anyway.
const MORE_MEMORY: u64 = 32 << 20;

/// What one receiver reached.
struct Reached {
    p99: Duration,
    memory: u64,
    dropped: f64,
}

/// Pushes at a steady rate.
fn reach(table: &str) -> Reached {
    let receiver = Receiver::start(table);
    let (_, p99) = steady(&receiver, RATE, count(5, 20));
    Reached {
        p99,
        memory: receiver.memory(),
        dropped: receiver.metric("flashduty_otlp_spans_total{outcome=\"dropped\"}"),
    }
}

#[test]
fn a_collector_that_is_dead_and_one_that_hangs_slow_no_push_and_take_bounded_memory() {
    let _alone = crate::alone();
    let dead = FakeServer::scripted(vec![Reply::Close]);
    let hanging = FakeServer::scripted(vec![Reply::Hang]);
    let tables = [&hanging, &dead].map(|one| format!("\n[otlp]\nendpoint = \"{}\"\n", one.url("")));
    let turn = AtomicUsize::new(0);
    let pairs = count(3, 6);
    let reached = by_turns(pairs, |traced| match traced {
        true => reach(&tables[turn.fetch_add(1, Ordering::Relaxed) % 2]),
        false => reach(""),
    });
    let tell = |with: &Reached, without: &Reached| {
        format!(
            "p99 {:.1?} and {:.1?}, {} and {} MiB, {} spans dropped",
            with.p99,
            without.p99,
            with.memory >> 20,
            without.memory >> 20,
            with.dropped
        )
    };
    let (later, shown) = times_as_late(&reached, |one| one.p99, tell);
    for (with, without) in &reached {
        assert!(with.dropped > 0.0, "nothing was too much: {shown:?}");
        assert!(with.memory < without.memory + MORE_MEMORY, "{shown:?}");
    }
    soak_line(
        84,
        "a collector of traces dead or hanging, and none",
        &format!(
            "median of {pairs} pairs at {RATE} pushes/s: p99 {later:.2} times; {}",
            shown.join("; ")
        ),
    );
}
