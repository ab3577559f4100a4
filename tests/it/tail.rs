//! `tail` on the real binary, over kills and restarts of the receiver that it follows.

use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use serde_json::Value;

use crate::lines::Lines;
use crate::onslaught::{configure, event, push_and_kill};
use crate::receiver::{Receiver, command, count, ended, send_signal, soak_line};

/// A `tail --json` that runs. Killed when dropped.
struct Tail {
    child: Child,
    lines: Lines,
}

impl Tail {
    /// Follows the receiver at home in `folder`.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut tail = command(folder, &[&["tail", "--json"][..], arguments].concat());
        tail.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tail.spawn().unwrap();
        let lines = Lines::of(&mut child);
        Self { child, lines }
    }

    fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Waits for its end; what it remarked is read then.
    fn finish(&mut self) -> (ExitStatus, String) {
        let status = ended(&mut self.child);
        let remarks = self.child.stderr.take().unwrap();
        (status, std::io::read_to_string(remarks).unwrap())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn numbers(rows: &[Value]) -> Vec<i64> {
    rows.iter()
        .map(|row| row["seq"].as_i64().unwrap())
        .collect()
}

#[test]
fn a_tail_over_kills_of_the_receiver_shows_every_event_once() {
    let (rounds, enough) = (count(3, 30), count(80, 400));
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let start = || Receiver::run(folder.path(), command(folder.path(), &[]));
    let mut receiver = start();
    assert_eq!(receiver.push(&event("first", 0)).outcome(), "accepted");
    let mut tail = Tail::start(folder.path(), &["--since", "1h"]);
    tail.lines
        .wait("the first", |row| row["event_id"] == "first");
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        acknowledged.extend(push_and_kill(&mut receiver, round, enough));
        receiver = start();
    }
    assert_eq!(receiver.push(&event("last", 0)).outcome(), "accepted");
    tail.lines.wait("the last", |row| row["event_id"] == "last");

    let shown = tail.lines.all();
    let mut stored = receiver.rows("events");
    stored.reverse();
    assert_eq!(numbers(&shown), numbers(&stored));
    assert_eq!(shown, stored, "in the shape of the list");
    for id in &acknowledged {
        let is_shown = shown.iter().any(|row| row["event_id"] == **id);
        assert!(is_shown, "{id} was acknowledged, and is not shown");
    }

    // In good order: nothing is waited for, and nobody is cut off.
    assert_eq!(receiver.stop().code(), Some(0));
    receiver.lines.wait_for_end();
    let cut_off = |line: &Value| line.to_string().contains("cut off");
    assert!(!receiver.lines.all().iter().any(cut_off));
    tail.signal("INT");
    let (status, remarks) = tail.finish();
    assert_eq!(status.code(), Some(0), "{remarks}");
    let said = remarks.matches("following again").count();
    assert!((1..=rounds + 1).contains(&said), "{remarks}");
    soak_line(
        47,
        "tail over kill -9",
        &format!(
            "{rounds} kills, {} events acknowledged, {} shown, none missing, none twice",
            acknowledged.len(),
            shown.len()
        ),
    );
}

#[test]
fn a_tail_shows_the_last_events_then_those_that_come_and_ends_with_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
    for id in ["a", "b", "c"] {
        assert_eq!(receiver.push(&event(id, 1)).outcome(), "accepted");
    }
    let mut tail = Tail::start(folder.path(), &["-n", "2", "--subject", "incident:s1"]);
    tail.lines
        .wait("the one before", |row| row["event_id"] == "c");
    for (id, subject) in [("d", 2), ("e", 1)] {
        assert_eq!(receiver.push(&event(id, subject)).outcome(), "accepted");
    }
    tail.lines.wait("the new one", |row| row["event_id"] == "e");
    let shown = tail.lines.all();
    let ids: Vec<&str> = shown
        .iter()
        .filter_map(|row| row["event_id"].as_str())
        .collect();
    assert_eq!(ids, ["b", "c", "e"]);
    // Nothing more comes that it could fail to write: it notices by itself.
    tail.lines.hold();
    receiver.push(&event("f", 1));
    tail.lines.close();
    let (status, remarks) = tail.finish();
    assert_eq!((status.code(), remarks.as_str()), (Some(0), ""));
}

#[test]
fn a_tail_of_nobody_says_so_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let mut tail = Tail::start(folder.path(), &[]);
    let (status, remarks) = tail.finish();
    assert_eq!(status.code(), Some(1));
    assert!(remarks.contains("is the receiver running"), "{remarks}");
}
