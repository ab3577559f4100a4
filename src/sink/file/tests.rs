//! Real files: whole lines, on disk, wherever the file went meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::sink::leases::{event, leases};

struct At(Mutex<Timestamp>);

impl Clock for At {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn clock() -> Arc<At> {
    Arc::new(At(Mutex::new("2026-04-12T08:01:00Z".parse().unwrap())))
}

fn options(folder: &Path) -> FileOptions {
    FileOptions {
        path: folder.join("events.log"),
        labels: LabelStyle::Object,
        rotate_size: 0,
        rotate_every: Duration::ZERO,
        keep: 2,
    }
}

fn sink(options: &FileOptions, clock: &Arc<At>) -> FileSink {
    FileSink::new(options.clone(), Arc::<At>::clone(clock) as Arc<dyn Clock>)
}

async fn write(sink: &FileSink, bodies: &[&str]) -> Result<(), SinkError> {
    let events = bodies
        .iter()
        .map(|body| event((*body).to_owned()))
        .collect();
    let results = sink.deliver(&leases(events).await).await;
    assert_eq!(results.len(), bodies.len());
    results
        .into_iter()
        .try_for_each(|result| result.map(|_| ()))
}

/// The pushes in a file of whole lines.
fn pushes(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let push = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["push"].to_string()
    };
    text.lines().map(push).collect()
}

fn rotated(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name != "events.log");
    names.sort();
    names
}

#[tokio::test]
async fn a_batch_is_whole_lines_with_the_push_however_long() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let long = format!("{{\"incident\":{{\"title\":\"{}\"}}}}", "x".repeat(100_000));
    write(&sink(&options, &clock()), &["{\"a\":\r\n1}", &long])
        .await
        .unwrap();
    assert_eq!(pushes(&options.path), ["{\"a\":1}", &long]);
    let text = fs::read_to_string(&options.path).unwrap();
    assert!(text.contains("\"push\":{\"a\":  1}}") && !text.contains("truncated"));
    let mode = fs::metadata(&options.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[tokio::test]
async fn a_file_that_was_moved_or_removed_or_emptied_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let sink = sink(&options, &clock());
    write(&sink, &["1"]).await.unwrap();
    fs::rename(&options.path, folder.path().join("moved")).unwrap();
    write(&sink, &["2"]).await.unwrap();
    assert_eq!(pushes(&folder.path().join("moved")), ["1"]);
    assert_eq!(pushes(&options.path), ["2"]);
    fs::remove_file(&options.path).unwrap();
    write(&sink, &["3"]).await.unwrap();
    assert_eq!(pushes(&options.path), ["3"]);
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&options.path)
        .unwrap();
    write(&sink, &["4"]).await.unwrap();
    assert_eq!(pushes(&options.path), ["4"]);
}

#[tokio::test]
async fn a_full_or_old_file_makes_room_and_only_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let by_size = FileOptions {
        rotate_size: 1,
        ..options(folder.path())
    };
    let first = sink(&by_size, &clock);
    for body in ["1", "2", "3", "4"] {
        write(&first, &[body]).await.unwrap();
    }
    assert_eq!(
        rotated(folder.path()),
        [
            "events.log.20260412T080100Z-1",
            "events.log.20260412T080100Z-2"
        ]
    );
    assert_eq!(pushes(&by_size.path), ["4"]);
    let by_time = FileOptions {
        rotate_every: Duration::from_secs(3600),
        ..options(folder.path())
    };
    *clock.0.lock().unwrap() = "2026-04-12T09:00:59Z".parse().unwrap();
    write(&sink(&by_time, &clock), &["5"]).await.unwrap();
    assert_eq!(pushes(&by_time.path), ["4", "5"]);
    *clock.0.lock().unwrap() = "2026-04-12T09:01:00Z".parse().unwrap();
    // A restart does not make the file younger.
    write(&sink(&by_time, &clock), &["6"]).await.unwrap();
    assert_eq!(pushes(&by_time.path), ["6"]);
    assert_eq!(
        rotated(folder.path()),
        [
            "events.log.20260412T080100Z-2",
            "events.log.20260412T090100Z"
        ]
    );
}

#[tokio::test]
async fn a_line_that_a_crash_tore_is_completed_or_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let torn = format!("{{\"push\":1}}\n{{\"push\":\"{}", "x".repeat(200_000));
    for (before, after) in [
        ("{\"push\":1}\n{\"push\":2}", vec!["1", "2", "9"]),
        (&*torn, vec!["1", "9"]),
        ("{\"pu", vec!["9"]),
    ] {
        fs::write(&options.path, before).unwrap();
        write(&sink(&options, &clock()), &["9"]).await.unwrap();
        assert_eq!(pushes(&options.path), after);
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_tried_again_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.path = folder.path().join("absent/events.log");
    let error = write(&sink(&options, &clock()), &["1"]).await.unwrap_err();
    assert!(matches!(error, SinkError::Retry(_)));
    assert!(error.to_string().contains("create the folder"), "{error}");
    options.path = "/dev/null".into();
    let error = write(&sink(&options, &clock()), &["1"]).await.unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

/// Mounting takes root, as do other tests of faults.
#[tokio::test]
async fn a_full_disk_leaves_no_half_line_and_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program)
            .args(arguments)
            .arg(folder.path())
            .status();
        assert!(
            done.unwrap().success(),
            "this test needs root to mount a small volume"
        );
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs"]);
    let options = options(folder.path());
    let sink = sink(&options, &clock());
    let long = format!("\"{}\"", "x".repeat(100_000));
    write(&sink, &["1"]).await.unwrap();
    let error = write(&sink, &["2", &long, &long, &long]).await.unwrap_err();
    assert!(matches!(error, SinkError::Retry(_)));
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(pushes(&options.path), ["1"]);
    write(&sink, &["3"]).await.unwrap();
    assert_eq!(pushes(&options.path), ["1", "3"]);
    drop(sink);
    mount("umount", &["--lazy"]);
}
