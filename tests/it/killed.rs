//! `kill -9` while sinks deliver.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::{Receiver, count, soak_line};

/// Notes that it was started, works for a while, and notes that it is done.
const COMMAND: &str = "import os, sys, time\n\
    log = open(sys.argv[1], 'a')\n\
    print('began', os.environ['FLASHDUTY_EVENT_ID'], file=log, flush=True)\n\
    time.sleep(0.05)\n\
    print('ended', os.environ['FLASHDUTY_EVENT_ID'], file=log, flush=True)\n";

fn start(folder: &Path, fake: &FakeServer) -> Receiver {
    let script = folder.join("command.py");
    fs::write(&script, COMMAND).unwrap();
    let http = fake.sink(
        "hook",
        "concurrency = 16\nretry = { initial = \"10ms\" }\nfilter = 'event_type != \"i_custom\"'",
    );
    let exec = format!(
        "\n[sink.run]\ntype = \"exec\"\ncommand = [\"/usr/bin/python3\", \"{}\", \"{}\"]\n\
         filter = 'event_type == \"i_custom\"'\nconcurrency = 4\n",
        script.display(),
        folder.join("commands.log").display()
    );
    Receiver::start_in(folder, &format!("{http}{exec}"))
}

fn push(receiver: &Receiver, id: &str, kind: &str, subject: usize) {
    let body = format!(
        r#"{{"event_id":"{id}","event_type":"{kind}","incident":{{"incident_id":"s{subject}","title":"x"}}}}"#
    );
    assert_eq!(receiver.push(&body).outcome(), "accepted");
}

#[test]
fn nothing_is_missing_at_the_sinks_and_no_command_is_started_twice() {
    let rounds = count(5, 50);
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeServer::new(|_, _| {
        Reply::Slow(Duration::from_millis(3), Box::new(Reply::new(200, "")))
    });
    let (mut events, mut commands) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut receiver = start(folder.path(), &fake);
        for number in 0..40 {
            let id = format!("r{round}-{number}");
            if number % 10 == 9 {
                push(&receiver, &id, "i_custom", number);
                commands.push(id);
            } else {
                push(&receiver, &id, "i_r_title", number % 7);
                events.push(id);
            }
        }
        // In the middle of what is being delivered, a command among it.
        receiver.kill();
    }
    let receiver = start(folder.path(), &fake);
    wait_until_settled(&receiver);

    let repeated = nothing_is_missing(&fake.received(), &events);
    let interrupted = no_command_is_started_twice(&receiver, &commands);
    soak_line(
        5,
        "kill -9 while sinks deliver",
        &format!(
            "{rounds} kills, {} events, none missing, {repeated} repeated and marked; {} commands, \
             {interrupted} interrupted, none started twice",
            events.len(),
            commands.len()
        ),
    );
}

/// Returns how many requests were repetitions.
fn nothing_is_missing(seen: &[Received], events: &[String]) -> usize {
    let mut of_event: BTreeMap<String, Vec<&Received>> = BTreeMap::new();
    for request in seen {
        of_event
            .entry(request.event_id())
            .or_default()
            .push(request);
    }
    for id in events {
        assert!(of_event.contains_key(id), "{id} is missing");
    }
    let mut repeated = 0;
    for (id, requests) in &of_event {
        for again in &requests[1..] {
            assert_eq!(again.header("flashduty-redelivered"), Some("true"), "{id}");
            repeated += 1;
        }
    }
    repeated
}

/// Returns how many were given up because their attempt was interrupted.
fn no_command_is_started_twice(receiver: &Receiver, commands: &[String]) -> usize {
    let log = fs::read_to_string(receiver.folder.join("commands.log")).unwrap();
    let times = |id: &str| {
        let began = format!("began {id}");
        log.lines().filter(|line| *line == began).count()
    };
    let dead = receiver.rows_of("deliveries?sink=run&state=dead");
    let is_dead = |id: &str| dead.iter().any(|row| row["event_id"] == *id);
    let mut interrupted = 0;
    for id in commands {
        assert!(
            times(id) <= 1,
            "the command {id} was started {} times",
            times(id)
        );
        assert!(
            times(id) == 1 || is_dead(id),
            "{id} was neither started nor given up"
        );
        interrupted += usize::from(is_dead(id));
    }
    interrupted
}
