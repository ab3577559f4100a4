//! A disk that fails: each write, sync and truncation of the store, once and for good.
//!
//! Whichever fails, nothing is acknowledged that is not there after a restart, and the process
//! leaves within a second with code 74.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::receiver::{BASE, Receiver, command, count, soak_line, wait_until};
use crate::strace::{Fault, Tracer, terminate, trace_of, traced};
use crate::volume::Volume;

/// Small, so that a short run moves the log into the file and begins it anew.
const MEBIBYTES: u32 = 8;
/// `EX_IOERR`: the store's I/O failed.
const IO_FAILED: i32 = 74;

/// What the workers of one test found.
#[derive(Default)]
struct Found {
    runs: usize,
    noticed: usize,
    acknowledged: usize,
    slowest: Duration,
}

#[test]
fn whichever_write_or_sync_fails_nothing_acknowledged_is_missing() {
    let mut faults = Vec::new();
    let volume = Volume::of(MEBIBYTES);
    let receiver = start_on(&volume);
    let tracer = Tracer::attach(&receiver, None);
    let (acknowledged, code) = push_and_stop(receiver);
    let healthy = tracer.finish();
    assert_eq!((acknowledged.len(), code), (bodies().len(), 0));
    for (call, small, full) in [
        ("pwrite64", 7, 1000),
        ("fdatasync", 4, 1000),
        ("ftruncate", 1, 10),
    ] {
        let calls = healthy.most(call);
        assert!(
            calls > 0,
            "the store makes no {call}: nothing would be tried"
        );
        for nth in sample(calls, count(small, full)) {
            for lasting in [false, true] {
                faults.push(Fault {
                    call,
                    error: "EIO",
                    nth,
                    lasting,
                });
            }
        }
    }
    drop(volume);
    let found = try_all(faults, |volume, fault, found| {
        let receiver = start_on(volume);
        let tracer = Tracer::attach(&receiver, Some(fault));
        let (acknowledged, code) = push_and_stop(receiver);
        let trace = tracer.finish();
        if trace.fault().is_some() {
            assert_eq!(code, IO_FAILED, "{fault:?}: {:?}", trace.fault());
            found.noticed += 1;
            found.slowest = found.slowest.max(trace.outlived());
        } else {
            assert_eq!(code, 0, "{fault:?}");
            assert_eq!(acknowledged.len(), bodies().len(), "{fault:?}");
        }
        found.acknowledged += acknowledged.len();
        nothing_is_missing(volume.path(), &acknowledged, fault);
    });
    assert!(
        found.slowest < Duration::from_secs(1),
        "{:?}",
        found.slowest
    );
    soak_line(
        5,
        "each Nth write, sync and truncation fails (EIO), once and for good",
        &format!(
            "{} runs, {} faults met, {} pushes acknowledged, none missing after a restart, \
             left with 74 after at most {:?}",
            found.runs, found.noticed, found.acknowledged, found.slowest
        ),
    );
}

#[test]
fn a_fault_while_the_store_opens_ends_the_start_with_74_and_says_what_failed() {
    let before = Volume::of(MEBIBYTES);
    let mut receiver = start_on(&before);
    let mut acknowledged = Vec::new();
    push_all(&receiver, &mut acknowledged);
    receiver.kill();
    let most = count(4, 60);
    let mut faults = Vec::new();
    for (call, calls) in [
        ("pwrite64", 60),
        ("fsync", 5),
        ("fdatasync", 5),
        ("ftruncate", 3),
    ] {
        for nth in sample(calls, most) {
            for lasting in [false, true] {
                faults.push(Fault {
                    call,
                    error: "EIO",
                    nth,
                    lasting,
                });
            }
        }
    }
    let found = try_all(faults, |volume, fault, found| {
        copy_store(before.path(), volume.path());
        std::fs::write(volume.path().join("config.toml"), BASE).unwrap();
        let started = Receiver::try_run(volume.path(), traced(volume.path(), fault));
        let told = std::fs::read_to_string(volume.path().join("stderr")).unwrap();
        match started {
            Err(status) => {
                assert_eq!(status.code(), Some(IO_FAILED), "{fault:?}: {told}");
                assert!(told.contains("data/inbox.db"), "{fault:?}: {told}");
                assert!(told.contains("I/O"), "{fault:?}: {told}");
                found.noticed += 1;
            }
            Ok(mut receiver) => {
                terminate(receiver.child.id());
                let code = receiver.wait().code();
                let met = trace_of(volume.path()).fault().map(str::to_owned);
                let wanted = if met.is_some() { IO_FAILED } else { 0 };
                assert_eq!(code, Some(wanted), "{fault:?}: {met:?} {told}");
            }
        }
        nothing_is_missing(volume.path(), &acknowledged, fault);
    });
    assert!(found.noticed > 0);
    soak_line(
        5,
        "faults while the store opens after a kill (EIO)",
        &format!(
            "{} runs, {} starts ended with 74, none of {} acknowledged missing afterwards",
            found.runs,
            found.noticed,
            acknowledged.len()
        ),
    );
}

#[test]
fn no_room_is_a_failure_of_the_disk_out_of_a_sync_and_none_out_of_a_write() {
    let volume = Volume::of(MEBIBYTES);
    let fault = |call| Fault {
        call,
        error: "ENOSPC",
        nth: 3,
        lasting: false,
    };
    let receiver = start_on(&volume);
    let tracer = Tracer::attach(&receiver, Some(&fault("fdatasync")));
    let (acknowledged, code) = push_and_stop(receiver);
    assert!(tracer.finish().fault().is_some());
    assert_eq!(code, IO_FAILED);
    nothing_is_missing(volume.path(), &acknowledged, &fault("fdatasync"));

    let mut receiver = start_on(&volume);
    let tracer = Tracer::attach(&receiver, Some(&fault("pwrite64")));
    let mut client = receiver.client();
    let refused = client
        .push("/webhook", body("full", 10).as_bytes())
        .unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    let answer = receiver.client().get("/readyz").unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.json().to_string().contains("no room"), "{answer:?}");
    receiver
        .lines
        .wait("room", |line| line["message"] == "the store has room again");
    // It is said a moment before it is so.
    wait_until("it is ready", || {
        receiver.client().get("/readyz").unwrap().status == 200
    });
    let accepted = client
        .push("/webhook", body("full", 10).as_bytes())
        .unwrap();
    assert_eq!(
        accepted.outcome(),
        "accepted",
        "nothing was kept of the refused one"
    );
    assert_eq!(receiver.stop().code(), Some(0));
    assert!(tracer.finish().fault().is_some());
}

/// Runs `attempt` for each fault, on two volumes at once.
fn try_all(faults: Vec<Fault>, attempt: impl Fn(&Volume, &Fault, &mut Found) + Sync) -> Found {
    let runs = faults.len();
    let left = Mutex::new(faults);
    let all = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let volume = Volume::of(MEBIBYTES);
                loop {
                    let Some(fault) = left.lock().unwrap().pop() else {
                        break;
                    };
                    let mut found = Found::default();
                    attempt(&volume, &fault, &mut found);
                    volume.clear();
                    let mut all = all.lock().unwrap();
                    all.noticed += found.noticed;
                    all.acknowledged += found.acknowledged;
                    all.slowest = all.slowest.max(found.slowest);
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.runs = runs;
    all
}

/// `wanted` numbers spread over `1..=most`, or all of them.
fn sample(most: usize, wanted: usize) -> BTreeSet<usize> {
    let wanted = wanted.min(most);
    (0..wanted).map(|n| 1 + n * most / wanted).collect()
}

fn start_on(volume: &Volume) -> Receiver {
    Receiver::start_in(volume.path(), "")
}

/// Small events and large ones: enough to move the log into the file and to begin it anew.
fn bodies() -> Vec<(String, String)> {
    (0..12)
        .map(|n| {
            let id = format!("e{n}");
            let filler = if n % 3 == 1 { 40_000 } else { 100 };
            (id.clone(), body(&id, filler))
        })
        .collect()
}

fn body(id: &str, filler: usize) -> String {
    let filler = "x".repeat(filler);
    format!(
        r#"{{"event_id":"{id}","event_type":"i_new","incident":{{"incident_id":"{id}","title":"{filler}"}}}}"#
    )
}

/// Pushes until the receiver is gone; `acknowledged` are those it answered with 200.
fn push_all(receiver: &Receiver, acknowledged: &mut Vec<String>) {
    let mut client = receiver.client();
    for (id, body) in bodies() {
        match client.push("/webhook", body.as_bytes()) {
            Ok(answer) if answer.status == 200 => acknowledged.push(id),
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => return,
        }
    }
}

/// Returns what was acknowledged, and the exit code.
fn push_and_stop(mut receiver: Receiver) -> (Vec<String>, i32) {
    let mut acknowledged = Vec::new();
    push_all(&receiver, &mut acknowledged);
    if receiver.child.try_wait().unwrap().is_none() {
        receiver.signal("TERM");
    }
    (acknowledged, receiver.wait().code().unwrap())
}

/// After a start without faults all that was acknowledged is in the store, and the store is whole.
fn nothing_is_missing(folder: &Path, acknowledged: &[String], fault: &Fault) {
    let mut receiver = Receiver::run(folder, command(folder, &[]));
    assert_eq!(receiver.stop().code(), Some(0), "{fault:?}");
    let store = rusqlite::Connection::open(folder.join("data/inbox.db")).unwrap();
    let there: BTreeSet<String> = store
        .prepare("SELECT event_id FROM events")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|id| !there.contains(*id))
        .collect();
    assert!(missing.is_empty(), "{fault:?}: {missing:?} are missing");
    let whole: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok", "{fault:?}");
}

fn copy_store(from: &Path, to: &Path) {
    let (from, to) = (from.join("data"), to.join("data"));
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
