//! Sinks in trouble cost the sender and the other sinks next to nothing.

use std::time::{Duration, Instant};

use crate::fake::{FakeServer, Reply};
use crate::load::body;
use crate::pairs::{BEARABLE, by_turns, median, steady, times_as_late};
use crate::receiver::{PATIENCE, Receiver, count, soak_line};

/// Connections that push as fast as they can.
const PUSHERS: usize = 8;
/// What the sink that works takes for an answer, so that it is what limits its own throughput.
const ANSWER: Duration = Duration::from_millis(4);

/// What one receiver reached.
struct Reached {
    p99: Duration,
    /// Events a second that arrived at the sink that works.
    throughput: f64,
}

/// Pushes at a steady rate, and then as fast as it goes.
fn reach(trouble: &str) -> Reached {
    let fine = FakeServer::new(|_, _| Reply::Slow(ANSWER, Box::new(Reply::new(200, ""))));
    let sink = fine.sink("fine", "concurrency = 4");
    let receiver = Receiver::start(&format!("{sink}{trouble}"));
    let (tally, p99) = steady(&receiver, 200, count(2, 10));

    let pushes = count(800, 8_000);
    let before = tally.acknowledged.len();
    wait_for(&fine, before);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            let receiver = &receiver;
            scope.spawn(move || {
                let mut client = receiver.client();
                for number in 0..pushes / PUSHERS {
                    let body = body(&format!("fast-{pusher}-{number}"));
                    let answer = client.push("/webhook", &body).unwrap();
                    assert_eq!(answer.status, 200);
                }
            });
        }
    });
    wait_for(&fine, before + pushes);
    Reached {
        p99,
        throughput: pushes as f64 / begun.elapsed().as_secs_f64(),
    }
}

fn wait_for(fine: &FakeServer, requests: usize) {
    let begun = Instant::now();
    while fine.requests() < requests {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {requests}",
            fine.requests()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_dead_sink_and_a_hanging_one_slow_neither_pushes_nor_another_sink() {
    let _alone = crate::alone();
    let dead = FakeServer::scripted(vec![Reply::Close]);
    let hanging = FakeServer::scripted(vec![Reply::Hang]);
    let trouble = format!("{}{}", dead.sink("dead", ""), hanging.sink("hanging", ""));
    let pairs = count(3, 5);
    let reached = by_turns(pairs, |troubled| {
        reach(if troubled { &trouble } else { "" })
    });
    let throughputs = reached.iter();
    let fewer = median(throughputs.map(|(with, without)| without.throughput / with.throughput));
    let tell = |with: &Reached, without: &Reached| {
        format!(
            "p99 {:.1?} and {:.1?}, {:.0}/s and {:.0}/s",
            with.p99, without.p99, with.throughput, without.throughput
        )
    };
    let (later, shown) = times_as_late(&reached, |one| one.p99, tell);
    // A build without optimization is the limit itself, and few pairs are no median.
    let bearable = match count(0, 1) {
        0 => 2.0,
        _ => BEARABLE,
    };
    assert!(
        fewer <= bearable,
        "the other sink gets 1/{fewer:.2}: {shown:?}"
    );
    soak_line(
        6,
        "one sink dead, one hanging, with and without",
        &format!(
            "median of {pairs} pairs: p99 {later:.2} times, other sink's throughput 1/{fewer:.2}; {}",
            shown.join("; ")
        ),
    );
}
