//! Reading the configuration again under load fails no push, whatever is in it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::SENDER;
use crate::load::{Load, Plan, body};
use crate::receiver::{BASE, PATIENCE, Receiver, command, count, soak_line};

#[test]
fn reloads_under_load_fail_no_push_and_a_wrong_configuration_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &right(0));
    let mut receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
    let load = Load::start(&Plan::of_sender(receiver.public, 100));
    let rounds = count(12, 52) / 2;
    let mut in_force = 0;
    let mut reloads = Reloads::default();
    for round in 1..=rounds {
        let wrong = round % 2 == 1;
        let text = if wrong { wrong_in(round) } else { right(round) };
        if !wrong {
            in_force = round;
        }
        // What the file's change did, the signal does again.
        for by_signal in [false, true] {
            if by_signal {
                receiver.signal("HUP");
            } else {
                put(folder.path(), &text);
            }
            reloads.wait_for_one_more(&receiver, wrong);
            let status = |host: usize| push_from(&receiver, &listed(host), (round, by_signal));
            assert_eq!(status(in_force), 200, "round {round}");
            assert!(!wrong || status(round) == 403, "round {round}");
        }
    }
    let tally = load.stop();
    assert_eq!(tally.failed, [""; 0]);
    let refusals = receiver.lines.wait_until("every refusal's line", |lines| {
        let messages = lines.iter().filter_map(|line| line["message"].as_str());
        let refusals = messages.filter(|message| message.contains("refused"));
        let refusals: Vec<_> = refusals.map(str::to_owned).collect();
        (refusals.len() == reloads.refused).then_some(refusals)
    });
    for refusal in refusals {
        assert!(names_what_is_wrong(&refusal), "{refusal}");
    }
    assert_eq!(receiver.stop().code(), Some(0));
    soak_line(
        7,
        "reloads under load",
        &format!(
            "{} applied and {} refused, by signal and by file; {} pushes, none failed",
            reloads.applied,
            reloads.refused,
            tally.acknowledged.len(),
        ),
    );
}

#[test]
fn a_secret_that_comes_after_the_configuration_that_names_it_is_taken_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    put(folder.path(), &right(0));
    let receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
    let mut reloads = Reloads::default();
    let named = "[source]\ntoken = [\"file:secrets/push-token\"]\n";
    put(folder.path(), &right(1).replace("[source]\n", named));
    reloads.wait_for_one_more(&receiver, true);
    assert_eq!(push_from(&receiver, &listed(0), (0, false)), 200);
    std::fs::write(folder.path().join("secrets/push-token"), "0123456789abcdef").unwrap();
    reloads.wait_for_one_more(&receiver, false);
    // In force, and so the secret is asked for.
    assert_eq!(push_from(&receiver, &listed(1), (1, false)), 401);
}

#[test]
fn what_needs_a_restart_keeps_its_value_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &right(1));
    let mut receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
    let moved = right(2)
        .replacen("127.0.0.1:0", "127.0.0.1:1", 1)
        .replace("[server]\n", "[server]\npath = \"/elsewhere\"\n")
        .replace("[store]\n", "[store]\nretention = \"8d\"\n");
    put(folder.path(), &moved);
    let line = receiver.lines.wait("what is kept", |line| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.contains("until a restart"))
    });
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        line["message"],
        "the configuration was read again; server.listen, server.path, store.retention keep their \
         old values until a restart"
    );
    assert_eq!(push_from(&receiver, &listed(2), (0, false)), 200);
    put(
        folder.path(),
        &right(3).replacen("127.0.0.1:0", "127.0.0.1:1", 1),
    );
    let one = receiver.lines.wait("the one that is kept", |line| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.contains("server.listen keeps"))
    });
    assert_eq!(
        one["message"],
        "the configuration was read again; server.listen keeps its old value until a restart"
    );
    let astray = receiver.client().push("/elsewhere", &body("astray"));
    assert_eq!(astray.unwrap().status, 404);
    assert_eq!(receiver.stop().code(), Some(0));
}

/// Reloads so far.
#[derive(Default)]
struct Reloads {
    applied: usize,
    refused: usize,
}

impl Reloads {
    fn wait_for_one_more(&mut self, receiver: &Receiver, wrong: bool) {
        let expected = if wrong {
            &mut self.refused
        } else {
            &mut self.applied
        };
        *expected += 1;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = ["applied", "refused"].map(|outcome| {
                let name = format!("flashduty_config_reloads_total{{outcome=\"{outcome}\"}}");
                receiver.metric(&name)
            });
            if counted == [self.applied as f64, self.refused as f64] {
                return;
            }
            assert!(Instant::now() < deadline, "{counted:?} reloads");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An address that the configuration of this number lists besides the sender's.
fn listed(number: usize) -> String {
    format!("198.51.100.{number}")
}

fn right(number: usize) -> String {
    let allow = format!("[source]\nallow = [\"{SENDER}\", \"{}\"]\n", listed(number));
    BASE.replace("[source]\n", &allow)
}

/// Lists its address, and is wrong in one of several ways.
fn wrong_in(number: usize) -> String {
    let right = right(number);
    match number / 2 % 4 {
        0 => right.replace("[server]\n", "[server]\ncolour = \"red\"\n"),
        1 => right.replace("[server]\n", "[server]\nmax_connections = \"many\"\n"),
        2 => right.replace("[source]", "is not TOML"),
        _ => right.replace("127.0.0.0/8", "198.51.100.0/24"),
    }
}

fn names_what_is_wrong(message: &str) -> bool {
    let about = [
        "colour",
        "max_connections",
        "is not TOML",
        "trusted_proxies",
    ];
    message.starts_with("the new configuration was refused, the old one stays")
        && message.contains("config.toml")
        && about.iter().any(|what| message.contains(what))
}

fn push_from(receiver: &Receiver, address: &str, (round, again): (usize, bool)) -> u16 {
    let from = format!("X-Forwarded-For: {address}\r\n");
    let id = format!("{address}-{round}-{again}");
    let answer = receiver
        .client()
        .push_with("/webhook", &from, &body(&id))
        .unwrap();
    answer.status
}

/// As editors and Kubernetes do it: the file is there as a whole or not at all.
fn put(folder: &Path, text: &str) {
    let new = folder.join("config.toml.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("config.toml")).unwrap();
}
