//! A sync that fails, a disk that is well again, a new start, and then a power cut.
//!
//! Linux leaves the pages of a failed sync readable and does not write them any more. What SQLite
//! appends to the log behind such frames is synced and still not to be reached after a cut, because
//! frames count only as far as the chain is whole. The start gate moves them into the file first.

use std::path::Path;
use std::process::Command;

use super::content::{Chance, Manner};
use super::disk::{Disk, lay_out};
use super::record::{Step, kill, recorded, steps};
use super::replayed::{acknowledged, agrees, cuts, replay};
use super::{configure, push_all, push_until};
use crate::receiver::{Receiver, command, count, soak_line};
use crate::strace::terminate;

/// The writer's commit that fails, and all syncs after it, so that the frames stay in the log when
/// the process ends.
const FAULT: &str = "inject=fdatasync:error=EIO:when=6+";
/// `EX_IOERR`: the store's I/O failed.
pub(super) const IO_FAILED: i32 = 74;

/// Opens the store as SQLite does without a gate, and commits one row after the other.
pub(super) const PLAIN: &str = r#"
import os, sqlite3
store = sqlite3.connect("data/inbox.db", isolation_level=None)
assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
store.execute("PRAGMA synchronous = FULL")
for n in range(5):
    store.execute("INSERT INTO meta (key, value) VALUES (?, 0)", (f"plain-{n}",))
    os.write(1, f"plain-{n}\n".encode())
os._exit(0)
"#;
pub(super) const PLAIN_ROWS: usize = 5;

#[test]
fn what_is_acknowledged_after_a_failed_sync_and_a_new_start_survives_a_power_cut() {
    let before = failed_sync();
    let folder = laid_out(&before);
    configure(folder.path());
    let started = recorded(folder.path(), &command(folder.path(), &[]), None);
    let mut receiver = Receiver::run(folder.path(), started);
    push_all(receiver.public, "healed", 4);
    kill(receiver.child.id());
    receiver.wait();

    let mut all = before.clone();
    all.extend(steps(folder.path()));
    agrees(&all, folder.path());
    let mut tried = replay(&all, Disk::default(), cuts(&all, 0, count(10, 150)));
    let after = cuts(&all, before.len(), count(20, 300));
    tried.extend(replay(&all, Disk::default(), after));
    let lost: Vec<_> = tried.iter().filter(|cut| cut.lost()).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:#?}");
    soak_line(
        46,
        "a sync fails, the disk is well again, a start, new events, a power cut",
        &format!(
            "{} cuts, most after the start, up to {} events acknowledged before them, none missing",
            tried.len(),
            tried.iter().map(|cut| cut.told).max().unwrap_or(0)
        ),
    );
}

#[test]
fn without_the_start_gate_what_is_committed_after_a_failed_sync_is_lost_with_the_power() {
    // Seldom the failing process writes the same frames once more before it ends, and the next sync
    // has them.
    let mut lives = (0..5).map(|_| rows_without_the_gate());
    let there = lives.find(|there| *there < PLAIN_ROWS);
    let there = there.unwrap_or(PLAIN_ROWS);
    assert!(
        there < PLAIN_ROWS,
        "this test cannot fail: nothing was lost"
    );
    soak_line(
        46,
        "the same without the start gate: loses, as it must",
        &format!(
            "{there} of {PLAIN_ROWS} rows are there that were committed with synchronous=FULL"
        ),
    );
}

/// How many rows are there after a cut that were committed behind the frames of a failed sync.
fn rows_without_the_gate() -> usize {
    let before = failed_sync();
    let folder = laid_out(&before);
    let mut plain = Command::new("python3");
    plain.args(["-c", PLAIN]);
    let ended = recorded(folder.path(), &plain, None).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let after = steps(folder.path());
    let said = |step: &&Step| matches!(step, Step::Said { text } if text.starts_with("plain-"));
    assert_eq!(after.iter().filter(said).count(), PLAIN_ROWS);

    let mut all = before;
    all.extend(after);
    agrees(&all, folder.path());
    let mut disk = Disk::default();
    all.iter().for_each(|step| disk.take(step));
    assert_eq!(plain_rows(&disk, Manner::Kept), PLAIN_ROWS);
    plain_rows(&disk, Manner::Dropped)
}

/// A healthy life, and one whose disk begins to fail in the middle of load.
fn failed_sync() -> Vec<Step> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder);
    let start = |fault| Receiver::run(folder, recorded(folder, &command(folder, &[]), fault));
    let mut healthy = start(None);
    push_all(healthy.public, "healthy", 2);
    terminate(healthy.child.id());
    assert_eq!(healthy.wait().code(), Some(0));
    let mut all = steps(folder);

    let mut failing = start(Some(FAULT));
    let pushed = push_until(failing.public, "failing", (1, usize::MAX), || {});
    assert_eq!(failing.wait().code(), Some(IO_FAILED));
    let steps = steps(folder);
    let told: Vec<_> = steps.iter().filter_map(acknowledged).collect();
    assert_eq!(told.len(), pushed.len(), "the recorder misses answers");
    let failed = |step: &Step| matches!(step, Step::SyncEnded { worked: false, .. });
    assert!(steps.iter().any(failed), "no sync was made to fail");
    all.extend(steps);
    agrees(&all, folder);
    all
}

/// A folder with the files as whoever opens them sees them.
fn laid_out(steps: &[Step]) -> tempfile::TempDir {
    let mut disk = Disk::default();
    steps.iter().for_each(|step| disk.take(step));
    let folder = tempfile::tempdir().unwrap();
    lay_out(&disk.after_cut(Manner::Kept, Chance(0)), folder.path());
    folder
}

/// How many of the plain rows are found after a cut.
fn plain_rows(disk: &Disk, manner: Manner) -> usize {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&disk.after_cut(manner, Chance(0)), folder.path());
    count_plain(folder.path())
}

/// How many of them whoever opens the store finds.
pub(super) fn count_plain(folder: &Path) -> usize {
    let store = rusqlite::Connection::open(folder.join("data/inbox.db")).unwrap();
    store
        .query_row(
            "SELECT count(*) FROM meta WHERE key LIKE 'plain-%'",
            [],
            |row| row.get(0),
        )
        .unwrap()
}
