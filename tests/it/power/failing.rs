//! The same as in [`super::gate`] with a real disk: it fails, is well again, and loses its power.
//!
//! The disk is an image in memory that runs full: what was written before can be written again, the
//! log of xfs among it, and new places cannot.

use std::path::Path;
use std::process::Command;

use super::cut::image_of;
use super::gate::{IO_FAILED, PLAIN, PLAIN_ROWS, count_plain};
use super::image::Image;
use super::{configure, missing, push_all, push_until};
use crate::receiver::{Receiver, command, count, soak_line};

/// Too little for the log to be moved into the file: what fails is the sync of a commit.
const SPARE: u64 = 256 << 10;

#[test]
fn what_is_acknowledged_on_a_disk_that_failed_and_is_well_again_survives_a_power_cut() {
    let (times, mut all) = (count(1, 10), 0);
    for _ in 0..times {
        let Some(image) = image_of("xfs", 46) else {
            return;
        };
        let mut acknowledged = failed(&image);
        let folder = image.path();
        let mut receiver = start_again(folder);
        acknowledged.extend(push_all(receiver.public, "healed", 4));
        image.cut().unwrap();
        receiver.kill();
        image.mount_again();
        configure(folder);
        assert_eq!(missing(folder, &acknowledged), Ok(Vec::new()));
        all += acknowledged.len();
    }
    soak_line(
        46,
        "the same on xfs",
        &format!("{times} times, {all} acknowledged before and after, none missing"),
    );
}

#[test]
fn without_the_start_gate_a_disk_that_failed_and_is_well_again_loses_what_is_committed_then() {
    let Some(image) = image_of("xfs", 46) else {
        return;
    };
    failed(&image);
    let ended = Command::new("python3")
        .args(["-c", PLAIN])
        .current_dir(image.path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let told = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(told.lines().count(), PLAIN_ROWS);
    assert_eq!(count_plain(image.path()), PLAIN_ROWS);
    image.cut().unwrap();
    image.mount_again();
    let there = count_plain(image.path());
    assert!(
        there < PLAIN_ROWS,
        "this test cannot fail: nothing was lost"
    );
    soak_line(
        46,
        "the same on xfs without the start gate: loses, as it must",
        &format!(
            "{there} of {PLAIN_ROWS} rows are there that were committed with synchronous=FULL"
        ),
    );
}

/// Starts as a supervisor does. Where a failure to write was told to no one yet, Linux tells it to the
/// next process that syncs.
fn start_again(folder: &Path) -> Receiver {
    let start = || Receiver::try_run(folder, command(folder, &[]));
    start().unwrap_or_else(|status| {
        assert_eq!(status.code(), Some(IO_FAILED));
        start().unwrap()
    })
}

/// A store whose disk failed in the middle of load, and is well again. Returns what was acknowledged.
fn failed(image: &Image) -> Vec<String> {
    let folder = image.path();
    configure(folder);
    let mut healthy = Receiver::run(folder, command(folder, &[]));
    let mut acknowledged = push_all(healthy.public, "healthy", 2);
    assert_eq!(healthy.stop().code(), Some(0));
    let mut failing = Receiver::run(folder, command(folder, &[]));
    image.fail_after(SPARE);
    let pushed = push_until(failing.public, "failing", (1, usize::MAX), || {});
    assert_eq!(failing.wait().code(), Some(IO_FAILED));
    acknowledged.extend(pushed.into_iter().map(|push| push.id));
    image.heal();
    acknowledged
}
