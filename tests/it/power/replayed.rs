//! Recorded calls, replayed onto the modelled disk and cut off anywhere.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use super::content::{Chance, MANNERS, Manner};
use super::disk::{Disk, lay_out};
use super::record::{Step, kill, recorded, steps};
use super::{CONNECTIONS, configure, missing, push_all};
use crate::receiver::{Receiver, command, count, soak_line};
use crate::strace::terminate;

/// Pushes of one connection in each life of the receiver.
const EACH: usize = 40;

/// Two lives of a receiver: the first is killed, the second stops by itself.
fn recording() -> &'static [Step] {
    static RECORDING: OnceLock<Vec<Step>> = OnceLock::new();
    RECORDING.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        configure(folder);
        let mut all = Vec::new();
        for life in ["first", "second"] {
            let started = recorded(folder, &command(folder, &[]), None);
            let mut receiver = Receiver::run(folder, started);
            let mut pushed = push_all(receiver.public, life, EACH);
            if life == "first" {
                kill(receiver.child.id());
            } else {
                terminate(receiver.child.id());
            }
            receiver.wait();
            let steps = steps(folder);
            let mut told: Vec<_> = steps.iter().filter_map(acknowledged).collect();
            told.sort();
            pushed.sort();
            assert_eq!(told, pushed, "the recorder misses answers");
            assert!(
                steps.iter().filter(|step| begins_log(step)).count() > 1,
                "the log is not begun anew under load"
            );
            all.extend(steps);
            agrees(&all, folder);
        }
        all
    })
}

fn begins_log(step: &Step) -> bool {
    matches!(step, Step::Wrote { name, offset: 0, .. } if name == "data/inbox.db-wal")
}

/// The event that a step tells the sender is safe.
pub(super) fn acknowledged(step: &Step) -> Option<String> {
    let Step::Said { text } = step else {
        return None;
    };
    let (head, body) = text.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let told = head.starts_with("HTTP/1.1 200 ").then_some(body)?;
    Some(told["event_id"].as_str()?.to_owned())
}

/// The disk that was told all the steps holds what the real one shows: no change went unseen.
pub(super) fn agrees(steps: &[Step], folder: &Path) {
    let mut disk = Disk::default();
    steps.iter().for_each(|step| disk.take(step));
    let mut modelled = disk.after_cut(Manner::Kept, Chance(0));
    // What SQLite keeps there between processes is mapped, and made anew after a crash.
    modelled.remove("data/inbox.db-shm");
    for (name, content) in &modelled {
        let real = std::fs::read(folder.join(name)).unwrap();
        assert!(*content == real, "the recorder misses changes to {name}");
    }
    assert!(modelled.contains_key("data/inbox.db"));
}

/// One cut: after so many steps, and what the disk does then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    after: usize,
    manner: Manner,
    seed: u64,
}

/// Behind the first `from` steps: the ends of syncs and the answers, one after the other, and as many
/// places anywhere.
pub(super) fn cuts(steps: &[Step], from: usize, wanted: usize) -> Vec<Cut> {
    let sharp: Vec<usize> = (from + 1..=steps.len())
        .filter(|after| {
            let last = &steps[after - 1];
            matches!(last, Step::SyncEnded { .. }) || acknowledged(last).is_some()
        })
        .collect();
    let mut cuts: Vec<_> = (0..wanted)
        .map(|number| {
            let seed = number as u64;
            let after = match number % 2 {
                0 => sharp[number * sharp.len() / wanted],
                _ => from + 1 + Chance(seed).below(0, steps.len() - from),
            };
            let manner = MANNERS[number / 2 % MANNERS.len()];
            Cut {
                after,
                manner,
                seed,
            }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.after);
    cuts
}

/// What came of a cut.
#[derive(Debug)]
pub(super) struct Tried {
    _cut: Cut,
    /// Events that were acknowledged before it.
    pub(super) told: usize,
    /// Those of them that are missing, or how the start failed.
    pub(super) missing: Result<Vec<String>, String>,
}

impl Tried {
    pub(super) fn lost(&self) -> bool {
        self.missing.as_ref().map_or(true, |lost| !lost.is_empty())
    }
}

/// Tries the cuts, which come in the order of the steps.
pub(super) fn replay(steps: &[Step], mut disk: Disk, cuts: Vec<Cut>) -> Vec<Tried> {
    let (mut done, mut told) = (0, Vec::new());
    let images = cuts.into_iter().map(|cut| {
        for step in &steps[done..cut.after] {
            disk.take(step);
            told.extend(acknowledged(step));
        }
        done = cut.after;
        let files = disk.after_cut(cut.manner, Chance(cut.seed));
        (cut, files, told.clone())
    });
    // Made one after the other, tried two at a time.
    let images = Mutex::new(images);
    let tried = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = images.lock().unwrap().next();
                    let Some((_cut, files, told)) = next else {
                        break;
                    };
                    let folder = tempfile::tempdir().unwrap();
                    lay_out(&files, folder.path());
                    configure(folder.path());
                    let missing = missing(folder.path(), &told);
                    tried.lock().unwrap().push(Tried {
                        _cut,
                        told: told.len(),
                        missing,
                    });
                }
            });
        }
    });
    tried.into_inner().unwrap()
}

#[test]
fn wherever_the_recorded_writes_are_cut_off_what_was_acknowledged_is_there() {
    let steps = recording();
    let tried = replay(steps, Disk::default(), cuts(steps, 0, count(40, 1500)));
    let lost: Vec<_> = tried.iter().filter(|cut| cut.lost()).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:#?}");
    let checked: usize = tried.iter().map(|cut| cut.told).sum();
    let syncs = steps
        .iter()
        .filter(|step| matches!(step, Step::SyncEnded { .. }));
    soak_line(
        45,
        "recorded writes, cut off anywhere: unsynced ones dropped, kept, torn, reordered",
        &format!(
            "{} cuts over {} syncs of two lives with {} events, {checked} times an acknowledged \
             event was looked for, none missing, the store whole each time",
            tried.len(),
            syncs.count(),
            2 * CONNECTIONS * EACH,
        ),
    );
}

#[test]
fn a_disk_that_does_not_sync_loses_what_was_acknowledged_and_the_replay_sees_it() {
    let steps = recording();
    let tried = replay(steps, Disk::that_lies(), cuts(steps, 0, 10));
    let told = tried.iter().filter(|cut| cut.told > 0).count();
    let lost = tried.iter().filter(|cut| cut.lost()).count();
    assert!(lost > 0, "this test cannot fail: {tried:#?}");
    soak_line(
        45,
        "the same on a disk that only says it synced: loses, as it must",
        &format!("acknowledged events are missing after {lost} of {told} cuts"),
    );
}
