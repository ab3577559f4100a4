//! Restarts in place, by the socket that stays, fail no push and slow none down.

use std::collections::HashSet;
use std::time::Duration;

use crate::launcher::Launcher;
use crate::lines::Lines;
use crate::load::{Load, Plan, Tally};
use crate::receiver::{BASE, Receiver, count, soak_line, wait_until};
use crate::stored::fill;

/// What any push may take, from when it was due.
const BEARABLE: Duration = Duration::from_millis(500);
/// From the last push that is accepted to the end.
const LAST_MOMENT: Duration = Duration::from_millis(200);

#[test]
fn restarts_in_place_under_load_fail_no_push_and_keep_none_waiting() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let stored = count(2_000, 1_000_000);
    fill(&folder.path().join("data/inbox.db"), stored);
    let launcher = Launcher::in_folder(folder, BASE);
    let mut receiver = launcher.start();
    // What its twin takes without restarts, the machine takes.
    let twin = Receiver::start("");
    let rate = u32::try_from(count(100, 500)).unwrap();
    // Enough that none of them waits for its turn once a receiver is back, and few enough that each
    // is used before a receiver that ends closes it as idle.
    let connections = u32::try_from(count(4, 16)).unwrap();
    let [load, steady] = [launcher.address(), twin.public].map(|address| {
        Load::start(&Plan {
            connections,
            ..Plan::of_sender(address, rate)
        })
    });
    // Each receiver comes to work off what waited for it, and then some.
    let (restarts, between) = (count(5, 50), count(100, 1_000));
    let (mut logs, mut parting) = (Vec::new(), Vec::new());
    for _ in 0..restarts {
        wait_for_events(&receiver.lines, between);
        assert_eq!(receiver.stop().code(), Some(0));
        receiver.lines.wait_for_end();
        parting.push(from_the_last_accept_to_the_end(&receiver.lines));
        logs.push(receiver.lines.clone());
        receiver = launcher.start();
    }
    wait_for_events(&receiver.lines, between);
    let [tally, steady] = [load, steady].map(Load::stop);
    wait_until_delivered(&receiver);
    logs.push(receiver.lines.clone());

    assert_eq!(tally.failed, [""; 0]);
    let written: HashSet<String> = logs.iter().flat_map(Lines::delivered).collect();
    let ids = tally.acknowledged_ids();
    let lost: Vec<_> = ids.iter().filter(|id| !written.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let (slowest, without) = (slowest(&tally), slowest(&steady));
    assert!(
        slowest < BEARABLE.max(3 * without),
        "the slowest push took {slowest:?}, and without restarts {without:?}"
    );
    parting.sort_unstable();
    let typical = parting[parting.len() / 2];
    assert!(typical < LAST_MOMENT, "the ends took {parting:?}");
    soak_line(
        3,
        "restarts in place",
        &format!(
            "{restarts} under {rate} pushes/s on {stored} stored events: {} pushes, none failed, \
             none lost, the slowest {slowest:.1?} (without restarts {without:.1?}); from the last \
             accept to the end typically {typical:?}, at most {:?}",
            tally.acknowledged.len(),
            parting.last().unwrap(),
        ),
    );
}

fn slowest(tally: &Tally) -> Duration {
    let times = tally.acknowledged.iter().map(|push| push.took);
    times.max().unwrap()
}

fn wait_for_events(lines: &Lines, wanted: usize) {
    let are_there = || lines.count_delivered() >= wanted;
    wait_until("the events of this run are delivered", are_there);
}

/// By the log's own times.
fn from_the_last_accept_to_the_end(lines: &Lines) -> Duration {
    let lines = lines.all();
    let at = |beginning: &str| -> jiff::Timestamp {
        let line = lines.iter().find(|line| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.starts_with(beginning))
        });
        let line = line.unwrap_or_else(|| panic!("no line {beginning:?}"));
        line["timestamp"].as_str().unwrap().parse().unwrap()
    };
    let took = at("stopped").duration_since(at("closing"));
    took.try_into().unwrap()
}

fn wait_until_delivered(receiver: &Receiver) {
    let waits = |state: &str| {
        let answer = receiver.api(&format!("/api/v1/deliveries?state={state}&limit=1"));
        answer.json()["items"] != serde_json::json!([])
    };
    wait_until("all is delivered", || !waits("pending") && !waits("leased"));
}
