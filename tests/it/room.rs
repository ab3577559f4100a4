//! Small volumes: full and freed, under load for hours, and with nothing on them but what waits.
//!
//! Time is made to run faster by libfaketime, for the clock on the wall only: an hour of history
//! passes in seconds, deadlines do not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::Answer;
use crate::load::{Load, Plan, Tally};
use crate::receiver::{BASE, PATIENCE, Receiver, command, count, soak_line, wait_until};
use crate::volume::Volume;

const DROPPED: &str = "flashduty_deliveries_total{sink=\"log\",outcome=\"dropped\"}";

#[test]
fn a_disk_that_fills_up_is_refused_with_and_taken_back_by_itself() {
    let volume = Volume::of(64);
    let mut receiver = Receiver::start_in(volume.path(), "");
    let load = Load::start(&Plan::of_sender(receiver.public, 200));
    receiver
        .lines
        .wait("events", |line| line["target"] == "flashduty::event");
    let filler = volume.fill(0);
    let full = wait_for_readiness(&receiver, 503);
    assert!(full.json().to_string().contains("no room"), "{full:?}");
    let refused = receiver.push(r#"{"event_id":"refused","event_type":"i_new"}"#);
    assert_eq!(refused.status, 503, "{refused:?}");
    for counted in [
        "store_failures_total{outcome=\"full\"}",
        "ack_budget_total{outcome=\"missed\"}",
    ] {
        assert!(receiver.metric(&format!("flashduty_{counted}")) >= 1.0);
    }
    assert_eq!(receiver.client().get("/livez").unwrap().status, 200);
    // A second probe has failed, too, and nobody was told 200 meanwhile.
    let stored = events_in(&receiver);
    let seen = Instant::now();
    while seen.elapsed() < Duration::from_secs(2) {
        assert_eq!(receiver.client().get("/readyz").unwrap().status, 503);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(events_in(&receiver), stored);

    let freed = Instant::now();
    std::fs::remove_file(filler).unwrap();
    wait_for_readiness(&receiver, 200);
    let back_after = freed.elapsed();
    assert!(back_after < Duration::from_secs(5), "{back_after:?}");
    while events_in(&receiver) < stored + 50.0 {
        assert!(freed.elapsed() < PATIENCE, "nothing more is taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    let tally = load.stop();
    assert!(
        tally.failed.iter().all(|how| how.contains("status: 503")),
        "{:?}",
        tally.failed.first()
    );
    assert!(!tally.failed.is_empty());
    assert_eq!(receiver.stop().code(), Some(0));
    let there = ids(volume.path());
    assert_eq!(missing(&tally, &there), [""; 0]);
    soak_line(
        5,
        "disk full, then freed",
        &format!(
            "{} acknowledged, all there; {} refused with 503; ready again {back_after:?} after",
            tally.acknowledged.len(),
            tally.failed.len()
        ),
    );
}

#[test]
fn a_small_volume_under_load_keeps_an_hour_and_refuses_nothing() {
    let hours_a_minute = count(10, 1);
    let volume = Volume::of(count(64, 200).try_into().unwrap());
    let hour = Duration::from_secs(60) / u32::try_from(hours_a_minute).unwrap();
    let plan = |receiver: &Receiver| Plan {
        // An hour is about half of what the volume has for events.
        length: count(14_000, 5_000),
        ..Plan::of_sender(receiver.public, 300)
    };
    configure(volume.path());
    let mut receiver = Receiver::run(volume.path(), faster(volume.path(), hours_a_minute * 60));
    let begun = Instant::now();
    let load = Load::start(&plan(&receiver));
    let lasting = hour * count(3, 8).try_into().unwrap();
    let mut fullest = u64::MAX;
    while begun.elapsed() < lasting {
        let answer = receiver.client().get("/readyz").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        fullest = fullest.min(volume.free());
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = Instant::now();
    let tally = load.stop();
    assert_eq!(receiver.stop().code(), Some(0));

    assert_eq!(tally.failed, [""; 0]);
    let there = ids(volume.path());
    let gone = missing(&tally, &there);
    assert!(!gone.is_empty(), "nothing was pruned");
    let young: Vec<_> = tally
        .acknowledged
        .iter()
        .filter(|push| push.due > ended.checked_sub(hour).unwrap() && gone.contains(&push.id))
        .collect();
    assert!(young.is_empty(), "younger than an hour: {young:?}");
    assert_eq!(receiver.lines.delivered().len(), tally.acknowledged.len());
    assert!(fullest > 0, "the volume was full");
    let pushed = tally.acknowledged.len() * plan(&receiver).length;
    soak_line(
        5,
        "a small volume under load",
        &format!(
            "{} pushes, {} MiB of bodies, {:.1} hours of the clock in {lasting:?}, none refused, \
             {} pruned, none of the last hour, at the fullest {} MiB free",
            tally.acknowledged.len(),
            pushed >> 20,
            lasting.as_secs_f64() / hour.as_secs_f64(),
            gone.len(),
            fullest >> 20,
        ),
    );
}

#[test]
fn on_a_volume_of_nothing_but_waiting_deliveries_they_are_dropped_before_a_push_is_refused() {
    let volume = Volume::of(count(64, 200).try_into().unwrap());
    let mut receiver = Receiver::start_in(volume.path(), "");
    receiver.lines.hold();
    let load = Load::start(&Plan {
        length: 20_000,
        ..Plan::of_sender(receiver.public, 400)
    });
    let begun = Instant::now();
    let most = Duration::from_secs(count(60, 180) as u64);
    // So many that what is left cannot all be waiting from before.
    while receiver.metric(DROPPED) < 1_000.0 {
        assert!(begun.elapsed() < most, "nothing was dropped");
        let answer = receiver.client().get("/readyz").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let tally = load.stop();
    assert_eq!(tally.failed, [""; 0]);
    receiver.lines.release();
    wait_until_nothing_waits(&receiver);
    // Some may have been dropped behind the last push.
    let dropped = receiver.metric(DROPPED);
    assert_eq!(receiver.stop().code(), Some(0));
    receiver.lines.wait_for_end();
    let written: BTreeSet<String> = receiver.lines.delivered().into_iter().collect();
    let unwritten = missing(&tally, &written);
    assert_eq!(unwritten.len() as f64, dropped, "the others are written");
    // The oldest went: of the last ones none is missing.
    let mut acknowledged = tally.acknowledged.clone();
    acknowledged.sort_by_key(|push| push.due);
    let last = &acknowledged[acknowledged.len() - 500..];
    assert!(last.iter().all(|push| written.contains(&push.id)));
    assert!(
        receiver
            .lines
            .all()
            .iter()
            .any(|line| line["level"] == "ERROR"
                && line["message"]
                    == "waiting deliveries were given up, because the disk is nearly full")
    );
    soak_line(
        5,
        "a small volume with only waiting deliveries",
        &format!(
            "{} pushes, none refused, {dropped} deliveries dropped, the oldest first, {} written",
            tally.acknowledged.len(),
            written.len()
        ),
    );
}

#[test]
fn a_store_that_filled_its_volume_itself_starts_again_and_recovers_with_time() {
    let volume = Volume::of(24);
    let mut receiver = Receiver::start_in(volume.path(), "");
    let load = Load::start(&Plan {
        length: 20_000,
        ..Plan::of_sender(receiver.public, 300)
    });
    wait_for_readiness(&receiver, 503);
    let tally = load.stop();
    assert!(
        volume.free() > 0,
        "the part of the log was given to events as well"
    );
    // Settled history younger than an hour is not given up, nor is anything that was delivered.
    assert_eq!(receiver.metric(DROPPED), 0.0);
    receiver.kill();
    assert_eq!(missing(&tally, &ids_of_a_copy(&volume)), [""; 0]);

    let mut again = Receiver::run(volume.path(), command(volume.path(), &[]));
    let large = format!(
        r#"{{"event_id":"large","event_type":"i_new","filler":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    let refused = again.push(&large);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(again.stop().code(), Some(0), "also while it is full");

    // An hour of the clock later there is history to give up.
    let mut later = Receiver::run(volume.path(), faster(volume.path(), 1_200));
    let begun = Instant::now();
    loop {
        let answer = later.push(&large);
        if answer.status == 200 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(later.stop().code(), Some(0));
    let there = ids(volume.path());
    assert!(!missing(&tally, &there).is_empty(), "nothing was pruned");
}

fn configure(folder: &Path) {
    std::fs::write(folder.join("config.toml"), BASE).unwrap();
}

/// The receiver with a clock on the wall that runs `times` faster.
fn faster(folder: &Path, times: usize) -> Command {
    let mut command = command(folder, &[]);
    faketime(&mut command, &format!("+0 x{times}"));
    command
}

/// Has the command's clock on the wall go as faketime(1) is told to.
pub(crate) fn faketime(command: &mut Command, time: &str) {
    let library = std::fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("these tests need libfaketime (Debian's package `faketime`)");
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", time)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

fn wait_for_readiness(receiver: &Receiver, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = receiver.client().get("/readyz").unwrap();
        if answer.status == status {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_until_nothing_waits(receiver: &Receiver) {
    wait_until("no delivery waits", || {
        receiver.metric("flashduty_sink_pending_deliveries{sink=\"log\"}") < 1.0
    });
}

fn events_in(receiver: &Receiver) -> f64 {
    receiver.metric("flashduty_events_total{outcome=\"accepted\"}")
}

fn missing(tally: &Tally, there: &BTreeSet<String>) -> Vec<String> {
    tally
        .acknowledged
        .iter()
        .filter(|push| !there.contains(&push.id))
        .map(|push| push.id.clone())
        .collect()
}

/// The ids in the store of a receiver that has stopped.
fn ids(folder: &Path) -> BTreeSet<String> {
    let store = rusqlite::Connection::open(folder.join("data/inbox.db")).unwrap();
    store
        .prepare("SELECT event_id FROM events")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// The same of one that was killed, whose files stay as they are.
fn ids_of_a_copy(volume: &Volume) -> BTreeSet<String> {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("data")).unwrap();
    for name in ["inbox.db", "inbox.db-wal"] {
        let name = Path::new("data").join(name);
        std::fs::copy(volume.path().join(&name), copy.path().join(&name)).unwrap();
    }
    ids(copy.path())
}
