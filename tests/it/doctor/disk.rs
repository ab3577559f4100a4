//! Faults of the place where the store lies.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::{Visit, doctor, visit, within};
use crate::receiver::{BASE, Receiver, command};
use crate::volume::Volume;

/// [`BASE`] with its store somewhere else.
fn stored_in(folder: &Path) -> String {
    format!("{BASE}url = \"sqlite://{}/inbox.db\"\n", folder.display())
}

#[test]
fn a_folder_that_cannot_be_written_to_is_found() {
    let volume = Volume::of(8);
    volume.remount("ro");
    let visit = visit(&stored_in(volume.path()));
    let [what, advice] = visit.finding("store", "failure");
    let folder = volume.path().display();
    assert_eq!(
        what,
        format!("{folder} cannot be written to: Read-only file system (os error 30)")
    );
    let expected = "mount a writable volume there, or point store.url at one";
    assert!(advice.ends_with(expected), "{advice}");
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_store_that_would_be_gone_with_the_machine_is_found_and_fails_only_who_is_strict() {
    let volume = Volume::of(64);
    let folder = tempfile::tempdir().unwrap();
    let mut lenient = doctor(folder.path(), &stored_in(volume.path()));
    let mut strict = command(folder.path(), &["doctor", "--json", "--strict"]);
    assert_eq!(strict.output().unwrap().status.code(), Some(1));
    assert_eq!(lenient.output().unwrap().status.code(), Some(0));
    let visit = Visit::of(lenient);
    let place = volume.path().display();
    assert_eq!(
        visit.finding("store", "warning"),
        [
            format!("{place} is on tmpfs: what is there is gone with the container or the machine")
                .as_str(),
            "mount a disk, a block volume or a named volume there",
        ]
    );
}

#[test]
fn a_volume_that_is_full_is_found() {
    let volume = Volume::of(8);
    volume.fill(0);
    let visit = visit(&stored_in(volume.path()));
    let [what, advice] = visit.finding("store", "failure");
    let full = "its volume has no room (No space left on device (os error 28))";
    assert!(what.ends_with(full), "{what}");
    assert_eq!(advice, "make some, and it starts");
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_store_of_a_later_version_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start_in(folder.path(), "");
    assert_eq!(receiver.stop().code(), Some(0));
    let path = folder.path().join("data/inbox.db");
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    // Where SQLite keeps the version of the tables.
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&99_u32.to_be_bytes()).unwrap();
    let visit = Visit::of(doctor(folder.path(), BASE));
    let [what, advice] = visit.finding("store", "failure");
    let later = "the store data/inbox.db was written by a later version (schema 99, this program";
    assert!(what.starts_with(later), "{what}");
    let expected = "run that version, or restore a copy from before the upgrade";
    assert_eq!(advice, expected);
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}

#[test]
fn a_disk_whose_syncs_are_slow_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let slow = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "trace",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:delay_enter=600000",
    ];
    let visit = Visit::of(within(&slow, &doctor(folder.path(), BASE)));
    let [what, advice] = visit.finding("sync", "failure");
    assert!(what.starts_with("a sync takes 6"), "{what}");
    let expected = ": too long for an answer within the sender's second";
    assert!(what.ends_with(expected), "{what}");
    let expected = "use a faster disk or class of volume, or find out who else writes to it \
        (`iostat -x 1`)";
    assert_eq!(advice, expected);
    assert_eq!(visit.code, Some(1), "{}", visit.report);
}
