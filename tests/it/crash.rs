//! `kill -9` in the middle of load, again and again on one store.
//!
//! Every acknowledged event is written at least once over all runs, repetitions say so, a command
//! is written at most once, and the store is whole at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::delivery::wait_until_settled;
use crate::http::Client;
use crate::onslaught::push_until;
use crate::receiver::{PATIENCE, Receiver, count, soak_line};

/// Connections that push at the same time.
const CONNECTIONS: usize = 6;
/// Events of one connection go to so many subjects.
const SUBJECTS: usize = 7;
/// Every so many pushes one is a command.
const COMMAND_EVERY: usize = 9;
/// The first runs end after this many acknowledged pushes, the others after some more.
const FIRST_KILL: usize = 20;

/// The store's file, below the receiver's folder.
const STORE: &str = "data/inbox.db";

/// What all runs together acknowledged and wrote.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeSet<String>,
    /// For each event the `redelivered` of its lines, in their order.
    written: BTreeMap<String, Vec<bool>>,
    /// Events in the order of their first lines.
    order: Vec<String>,
}

impl Ledger {
    fn read(&mut self, lines: &[Value]) {
        for line in lines {
            if line["target"] == "flashduty::event" {
                let id = line["event_id"].as_str().unwrap().to_owned();
                let redelivered = line["redelivered"] == true;
                let lines = self.written.entry(id.clone()).or_default();
                lines.push(redelivered);
                if lines.len() == 1 {
                    self.order.push(id);
                }
            }
        }
    }

    fn commands(&self) -> impl Iterator<Item = &String> {
        self.acknowledged.iter().filter(|id| is_command(id))
    }
}

#[test]
fn every_acknowledged_event_is_written_however_often_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = count(10, 100);
    let mut ledger = Ledger::default();
    let mut started = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        let mut receiver = Receiver::start_in(folder.path(), "");
        started.push(begun.elapsed());
        // Not the same place in each round: within the first batches, and well into the load.
        let enough = FIRST_KILL + (round * 37) % 400;
        let address = receiver.public;
        let push = |connection: usize, answered: &AtomicUsize| {
            push_while_it_lives(address, &format!("r{round}c{connection}"), answered)
        };
        let acknowledged = push_until((CONNECTIONS, enough), push, || receiver.kill());
        ledger.acknowledged.extend(acknowledged);
        receiver.lines.wait_for_end();
        ledger.read(&receiver.lines.all());
    }
    let mut last = Receiver::start_in(folder.path(), "");
    wait_until_settled(&last);
    assert_eq!(last.stop().code(), Some(0));
    last.lines.wait_for_end();
    ledger.read(&last.lines.all());

    let repeated = nothing_is_lost(&ledger);
    subjects_are_in_order(&ledger);
    let interrupted = commands_are_written_at_most_once(&ledger, folder.path());
    assert_eq!(integrity(folder.path()), "ok");
    let slowest = started.into_iter().max().unwrap_or_default();
    soak_line(
        4,
        "kill -9 under load",
        &format!(
            "{rounds} kills, {} acknowledged of which {} commands, none lost, {repeated} repeated \
             and marked, {interrupted} commands interrupted and not repeated, integrity ok, \
             slowest start {slowest:?}",
            ledger.acknowledged.len(),
            ledger.commands().count(),
        ),
    );
}

/// One connection's unique events, until the connection breaks.
fn push_while_it_lives(address: SocketAddr, name: &str, answered: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut client = Client::connect(address, PATIENCE).unwrap();
    for number in 1.. {
        let kind = if number % COMMAND_EVERY == 0 {
            "i_custom"
        } else {
            "i_r_title"
        };
        let id = format!("{name}-{kind}-{number}");
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"{kind}","incident":{{"incident_id":"{name}s{}","title":"{id}"}}}}"#,
            number % SUBJECTS,
        );
        // An answer cut by the kill is none.
        let Ok(answer) = client.push("/webhook", body.as_bytes()) else {
            break;
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.outcome(), "accepted", "{id}");
        answered.fetch_add(1, Ordering::Relaxed);
        acknowledged.push(id);
    }
    acknowledged
}

fn is_command(id: &str) -> bool {
    id.contains("i_custom")
}

/// Returns how many lines were repetitions.
fn nothing_is_lost(ledger: &Ledger) -> usize {
    let lost: Vec<_> = ledger
        .acknowledged
        .iter()
        .filter(|id| !is_command(id) && !ledger.written.contains_key(*id))
        .collect();
    assert_eq!(lost, [""; 0], "acknowledged, and in no log");
    let mut repeated = 0;
    for (id, lines) in &ledger.written {
        let again = lines.get(1..).unwrap_or_default();
        assert!(
            again.iter().all(|redelivered| *redelivered),
            "{id} was written again without saying so: {lines:?}"
        );
        repeated += again.len();
    }
    repeated
}

/// The first lines of one subject's events come in the order in which it was pushed.
fn subjects_are_in_order(ledger: &Ledger) {
    let mut last = BTreeMap::new();
    for id in &ledger.order {
        let (connection, number) = (id.split('-').next(), id.rsplit('-').next());
        let number: usize = number.unwrap().parse().unwrap();
        let before = last.insert((connection, number % SUBJECTS), number);
        assert!(before < Some(number), "{id} was written after {before:?}");
    }
}

/// Returns how many were interrupted.
fn commands_are_written_at_most_once(ledger: &Ledger, folder: &Path) -> usize {
    let store = rusqlite::Connection::open(folder.join(STORE)).unwrap();
    let dead: BTreeSet<String> = store
        .prepare(
            "SELECT event_id FROM deliveries JOIN events USING (seq) \
             WHERE state = 3 AND last_error = 'interrupted'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        dead.iter().all(|id| is_command(id)),
        "only commands: {dead:?}"
    );
    for id in ledger.commands() {
        let lines = ledger.written.get(id).map_or(0, Vec::len);
        assert!(lines <= 1, "the command {id} was written {lines} times");
        assert!(
            lines == 1 || dead.contains(id),
            "the command {id} was neither written nor given up as interrupted"
        );
    }
    dead.len()
}

fn integrity(folder: &Path) -> String {
    rusqlite::Connection::open(folder.join(STORE))
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap()
}
