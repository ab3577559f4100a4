//! Pushes whose client or store does not finish in time: what arrived whole is delivered, what did
//! not is nothing.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::SENDER;
use crate::races::events;
use crate::receiver::{PATIENCE, Receiver, base_with, command, count, soak_line};

/// A push, whole, as it goes over the wire.
fn request(id: &str, filler: usize) -> Vec<u8> {
    let filler = "x".repeat(filler);
    let body = format!(r#"{{"event_id":"{id}","event_type":"i_new","filler":"{filler}"}}"#);
    let length = body.len();
    format!(
        "POST /webhook HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {SENDER}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Waits until so many pushes ended in one of `outcomes`: nobody is told who hung up.
fn wait_for_count(receiver: &Receiver, outcomes: &[&str], wanted: f64) {
    let deadline = Instant::now() + PATIENCE;
    let counted = || -> f64 { outcomes.iter().map(|word| receiver.pushes(word)).sum() };
    while counted() < wanted {
        assert!(
            Instant::now() < deadline,
            "{outcomes:?} stay below {wanted}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counted(), wanted, "{outcomes:?}");
}

#[test]
fn a_client_that_hangs_up_after_its_last_byte_has_delivered_its_event() {
    let receiver = Receiver::start("");
    let clients = count(100, 2000);
    for number in 0..clients {
        // Some take one read, some many.
        let size = [0, 100, 70_000, 400_000][number % 4];
        let mut client = receiver.client();
        client.send(&request(&format!("e{number}"), size)).unwrap();
        drop(client);
        // Nobody waits for an answer; so many at once need not be refused for want of memory.
        if (number + 1) % 50 == 0 {
            receiver
                .lines
                .wait_until("their lines", |lines| events(lines, number + 1).map(drop));
        }
    }
    assert_eq!(receiver.lines.delivered().len(), clients, "each once");
    let outcomes = ["accepted", "aborted", "late"];
    wait_for_count(&receiver, &outcomes, clients as f64);
    soak_line(
        2,
        "clients that hang up after their last byte",
        &format!("{clients} of {clients} delivered"),
    );
}

#[test]
fn half_a_body_is_nothing() {
    let receiver = Receiver::start("");
    let clients = 20;
    for number in 0..clients {
        let whole = request(&format!("e{number}"), [0, 200_000][number % 2]);
        let cut = whole.len() - 1 - number;
        let mut client = receiver.client();
        client.send(&whole[..cut]).unwrap();
        drop(client);
    }
    wait_for_count(&receiver, &["aborted"], clients as f64);
    let line = receiver
        .lines
        .wait("an aborted push", |line| line["outcome"] == "aborted");
    assert_eq!(line["target"], "flashduty::push");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["source_ip"], SENDER);
    // Half a head is not even a push.
    let mut client = receiver.client();
    client.send(&request("head", 0)[..30]).unwrap();
    drop(client);
    let mut client = receiver.client();
    client.send(&request("last", 0)).unwrap();
    assert_eq!(client.answer(false).unwrap().outcome(), "accepted");
    assert_eq!(receiver.rows("events").len(), 1);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    assert_eq!(receiver.pushes("aborted"), clients as f64);
    assert_eq!(receiver.pushes("accepted"), 1.0);
}

/// A store whose every sync of its log takes 900 ms, by strace's fault injection.
fn on_a_slow_disk(folder: &Path, configuration: &str) -> Receiver {
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    let folder = folder.canonicalize().unwrap();
    let receiver = command(&folder, &[]);
    let mut traced = Command::new("strace");
    traced
        // The tracer steps aside: the child is the receiver itself.
        .args(["-D", "-f", "-qq", "-o", "/dev/null"])
        .arg("-P")
        .arg(folder.join("data/inbox.db-wal"))
        .args(["-e", "trace=fsync,fdatasync"])
        .args(["-e", "inject=fsync,fdatasync:delay_enter=900000"])
        .arg(receiver.get_program())
        .args(receiver.get_args())
        .current_dir(&folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    assert!(
        Command::new("strace").arg("-V").output().is_ok(),
        "this test needs strace; `make test` installs it"
    );
    Receiver::run(&folder, traced)
}

/// The line that tells how a late push ended.
fn aftermath(receiver: &Receiver, id: &str) -> Value {
    let line = receiver.lines.wait("the aftermath", |line| {
        line["target"] == "flashduty::push" && line["event_id"] == id
    });
    receiver.lines.wait("the event", |line| {
        line["target"] == "flashduty::event" && line["event_id"] == id
    });
    line
}

#[test]
fn a_push_the_store_does_not_confirm_in_time_is_answered_and_later_told_as_committed() {
    let folder = tempfile::tempdir().unwrap();
    let answer_late = base_with("server", "ack_deadline = \"200ms\"");
    let receiver = on_a_slow_disk(folder.path(), &answer_late);
    let mut client = receiver.client();
    let sent = Instant::now();
    client.send(&request("late", 0)).unwrap();
    let answer = client.answer(false).unwrap();
    let took = sent.elapsed().as_millis();
    assert!((200..850).contains(&took), "answered after {took} ms");
    let detail = crate::refusals::problem(&answer, 503, "late");
    assert!(detail.contains("may still be stored"), "{detail}");
    let line = aftermath(&receiver, "late");
    assert_eq!(line["outcome"], "late");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["committed"], true);
    assert_eq!(line["seq"], 1);
    assert_eq!(receiver.pushes("late"), 1.0);

    let close_late = base_with("server", "ack_deadline = \"200ms\"\non_late = \"close\"");
    assert_eq!(receiver.reconfigure(&close_late).status, 200);
    client.send(&request("closed", 0)).unwrap();
    let error = client.answer(false).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(aftermath(&receiver, "closed")["committed"], true);
    assert_eq!(receiver.pushes("late"), 2.0);
    assert_eq!(receiver.rows("events").len(), 2);
}

#[test]
fn who_hangs_up_before_the_store_confirms_has_delivered_and_the_log_tells() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = on_a_slow_disk(folder.path(), &base_with("server", ""));
    let mut client = receiver.client();
    client.send(&request("gone", 0)).unwrap();
    drop(client);
    receiver.lines.wait("the event", |line| {
        line["target"] == "flashduty::event" && line["event_id"] == "gone"
    });
    wait_for_count(&receiver, &["accepted", "aborted", "late"], 1.0);
}
