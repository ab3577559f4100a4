//! Real file systems, cut off in the middle of load.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::image::Image;
use super::{configure, missing, push_until};
use crate::receiver::{Receiver, command, count, soak_line};

const KINDS: [&str; 2] = ["ext4", "xfs"];

/// What some cuts of one kind of file system showed.
#[derive(Default)]
struct Shown {
    cuts: usize,
    acknowledged: usize,
}

#[test]
fn whatever_was_acknowledged_before_a_power_cut_is_there_after_it() {
    for kind in KINDS {
        let mut shown = Shown::default();
        for _ in 0..count(1, 5) {
            let Some(image) = image_of(kind, 45) else {
                break;
            };
            cut_again_and_again(&image, count(3, 20), &mut shown);
        }
        if shown.cuts == 0 {
            continue;
        }
        soak_line(
            45,
            &format!("power cuts under load on {kind}"),
            &format!(
                "{} cuts, {} acknowledged, none missing, the store whole each time",
                shown.cuts, shown.acknowledged
            ),
        );
    }
}

#[test]
fn without_syncs_a_power_cut_loses_what_was_acknowledged() {
    for kind in KINDS {
        let Some(image) = image_of(kind, 45) else {
            continue;
        };
        let folder = image.path();
        configure(folder);
        let mut healthy = Receiver::run(folder, command(folder, &[]));
        assert_eq!(healthy.stop().code(), Some(0));
        let receiver = Receiver::run(folder, without_syncs(folder));
        let acknowledged = push_and_cut(receiver, &image, "unsynced", 50);
        configure(folder);
        let lost = missing(folder, &acknowledged);
        assert!(
            !matches!(&lost, Ok(missing) if missing.is_empty()),
            "{kind}: this test cannot fail: nothing was lost though nothing was synced"
        );
        soak_line(
            45,
            &format!("the same on {kind} with syncs disabled: loses, as it must"),
            &match lost {
                Ok(lost) => format!("{} of {} are missing", lost.len(), acknowledged.len()),
                Err(how) => format!("all of {} are missing: {how}", acknowledged.len()),
            },
        );
    }
}

/// A new one, for a line of the soak's table. When it cannot be had, that is said where no test's output
/// is held back: what was not tried must not pass for something that was.
pub(super) fn image_of(kind: &str, line: u32) -> Option<Image> {
    let image = Image::of(kind);
    if let Err(why) = &image {
        let told = format!("\nNOT TRIED on {kind}, writes are replayed all the same: {why}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        soak_line(
            line,
            &format!("power cuts on {kind}"),
            &format!("not tried here: {why}"),
        );
    }
    image.ok()
}

/// Each cut hits a store that went through those before it.
fn cut_again_and_again(image: &Image, cuts: usize, shown: &mut Shown) {
    let folder = image.path();
    let mut acknowledged = Vec::new();
    for round in 0..cuts {
        configure(folder);
        let receiver = Receiver::run(folder, command(folder, &[]));
        // Within the first batches, and when the log has been moved once or twice.
        let enough = 1 + (round * 89) % 250;
        acknowledged.extend(push_and_cut(receiver, image, &format!("r{round}"), enough));
        configure(folder);
        let missing = missing(folder, &acknowledged).unwrap();
        assert_eq!(
            missing, [""; 0],
            "acknowledged before cut {round}, and lost"
        );
    }
    shown.cuts += cuts;
    shown.acknowledged += acknowledged.len();
}

/// Returns what was acknowledged before the cut. A sync that runs when it comes may be told to have
/// worked though the file system's log is closed already; without power nobody is told anything.
fn push_and_cut(mut receiver: Receiver, image: &Image, run: &str, enough: usize) -> Vec<String> {
    let mut cut = Instant::now();
    let acknowledged = push_until(receiver.public, run, (enough, usize::MAX), || {
        cut = Instant::now();
        image.cut().unwrap();
    });
    receiver.kill();
    image.mount_again();
    let before = acknowledged.into_iter().filter(|push| push.at < cut);
    before.map(|push| push.id).collect()
}

/// The receiver with a library before it that makes every sync do nothing.
fn without_syncs(folder: &Path) -> Command {
    let library = std::fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("libeatmydata.so"))
        .find(|path| path.exists())
        .expect("these tests need libeatmydata (Debian's package `eatmydata`)");
    let mut command = command(folder, &[]);
    command.env("LD_PRELOAD", library);
    command
}
