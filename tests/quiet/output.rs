//! Stdout that nobody reads, or that is closed, holds up nothing but itself.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lines::Lines;
use crate::load::{Load, Plan, Tally};
use crate::receiver::{Receiver, count, soak_line};

/// What the receiver may hold more than before, with all events waiting in the store.
const MORE_MEMORY: u64 = 48 << 20;

#[test]
fn a_stdout_that_nobody_reads_slows_no_push_and_loses_no_line() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start_in(folder.path(), "");
    let rate = u32::try_from(count(100, 500)).unwrap();
    let load = Load::start(&Plan::of_sender(receiver.public, rate));
    // What its twin takes, whose stdout is read, the machine takes.
    let twin = Receiver::start("");
    let twins_load = Load::start(&Plan::of_sender(twin.public, 100));
    let begun = Instant::now();
    stay_ready(&receiver, Duration::from_secs(3));

    receiver.lines.hold();
    let held = Instant::now();
    let paused = "flashduty_sink_paused{sink=\"log\"}";
    while receiver.metric(paused) < 1.0 {
        assert!(held.elapsed() < Duration::from_secs(20), "never paused");
        stay_ready(&receiver, Duration::from_millis(200));
    }
    let memory_at_first = receiver.memory();
    let blocked = Duration::from_secs(count(5, 60) as u64);
    stay_ready(&receiver, blocked.saturating_sub(held.elapsed()));
    let memory = receiver.memory();
    receiver.lines.close();
    let closed = Instant::now();
    stay_ready(&receiver, Duration::from_secs(count(3, 10) as u64));
    let ended = Instant::now();
    let (tally, twins) = (load.stop(), twins_load.stop());

    assert_eq!(tally.failed, [""; 0]);
    let before = tally.steady_p99(begun, held);
    let during = tally.steady_p99(held, closed);
    let after = tally.steady_p99(closed, ended);
    let twins = twins.steady_p99(held, ended);
    let unchanged = Duration::from_millis(100).max(3 * before.max(twins));
    assert!(
        during.max(after) < unchanged,
        "p99 {before:?} before, {during:?} while nobody read, {after:?} after closing, and \
         {twins:?} where it was read"
    );
    assert!(
        memory < memory_at_first + MORE_MEMORY,
        "{memory_at_first} bytes of memory grew to {memory}"
    );

    assert_eq!(receiver.stop().code(), Some(0));
    let mut again = Receiver::start_in(folder.path(), "");
    let marked = all_are_there(&tally, &receiver.lines, &again.lines);
    assert!(
        marked > 0,
        "what stood unread in the pipe may have been seen"
    );
    assert_eq!(again.stop().code(), Some(0));
    soak_line(
        8,
        "stdout not read, then closed",
        &format!(
            "{} acknowledged at {rate}/s, {blocked:?} unread, then closed; typical p99 {before:.1?} \
             before, {during:.1?} during ({:.1?} over all of it), {after:.1?} after; {} MiB more \
             memory; none lost, {marked} marked as perhaps repeated",
            tally.acknowledged.len(),
            tally.p99(held, closed),
            memory.saturating_sub(memory_at_first) >> 20,
        ),
    );
}

/// Probes until `time` is over.
fn stay_ready(receiver: &Receiver, time: Duration) {
    let until = Instant::now() + time;
    loop {
        let answer = receiver.client().get("/readyz").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        if Instant::now() >= until {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every acknowledged event has a line in the first log or in the second; a line of the second
/// that was in the first says that it may be a repetition. Returns how many say so.
fn all_are_there(tally: &Tally, first: &Lines, second: &Lines) -> usize {
    let written: HashSet<String> = first.delivered().into_iter().collect();
    let missing = tally.acknowledged.iter().map(|push| push.id.clone());
    let missing: HashSet<String> = missing.filter(|id| !written.contains(id)).collect();
    let state = RefCell::new((0, missing));
    second.wait_until("all that was acknowledged", |lines| {
        let (seen, missing) = &mut *state.borrow_mut();
        for (id, _) in events(&lines[*seen..]) {
            missing.remove(id);
        }
        *seen = lines.len();
        missing.is_empty().then_some(())
    });
    let lines = second.all();
    let mut once = HashSet::new();
    let mut marked = 0;
    for (id, line) in events(&lines) {
        assert!(once.insert(id), "{id} is twice in one log");
        let repeated = line["redelivered"] == true;
        assert!(repeated || !written.contains(id), "{line}");
        marked += usize::from(repeated);
    }
    marked
}

fn events(lines: &[Value]) -> impl Iterator<Item = (&str, &Value)> {
    lines
        .iter()
        .filter(|line| line["target"] == "flashduty::event")
        .filter_map(|line| Some((line["event_id"].as_str()?, line)))
}
