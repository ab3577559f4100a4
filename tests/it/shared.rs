//! Receivers that share a PostgreSQL database.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::database::Server;
use crate::receiver::{BASE, PATIENCE, Receiver, command};

/// [`BASE`] with a new database as the store, and more `keys` in its section.
fn on(server: &Server, database: &str, keys: &str) -> String {
    let url = server.url(database);
    BASE.replace("[store]\n", &format!("[store]\nurl = \"{url}\"\n{keys}\n"))
}

fn push(n: usize) -> String {
    format!(
        r#"{{"event_id":"e{n}","event_type":"i_ack","event_time":{},"incident":{{"incident_id":"{}"}}}}"#,
        1_700_000_000_000_i64 + i64::try_from(n).unwrap(),
        n % 5
    )
}

#[test]
fn two_receivers_on_a_database_store_and_deliver_each_event_once() {
    let server = Server::shared();
    let database = server.database();
    let mut both = [
        Receiver::configured(&on(server, &database, "")),
        Receiver::configured(&on(server, &database, "pgbouncer = true")),
    ];
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..60 {
        for receiver in &both {
            let answer = receiver.push(&push(n));
            assert_eq!(answer.status, 200, "{answer:?}");
            *outcomes.entry(answer.outcome()).or_default() += 1;
        }
    }
    assert_eq!(outcomes["accepted"], 60, "{outcomes:?}");
    assert_eq!(outcomes["duplicate"], 60);
    let waiting = "SELECT count(*) FROM deliveries WHERE state <> 2";
    let all = |receivers: &[Receiver]| {
        let lines = receivers.iter().flat_map(|one| one.lines.delivered());
        let mut ids: Vec<String> = lines.collect();
        ids.sort();
        ids
    };
    wait_for_none(server, &database, waiting);
    let ids = all(&both);
    let mut once = ids.clone();
    once.dedup();
    assert_eq!((ids.len(), once.len()), (60, 60));
    for receiver in &mut both {
        assert_eq!(receiver.stop().code(), Some(0));
    }
}

#[test]
fn what_a_killed_receiver_left_is_delivered_by_another_one() {
    let server = Server::shared();
    let database = server.database();
    // Nothing of the first one's reaches its log before it dies.
    let mut first = Receiver::configured(&on(server, &database, ""));
    first.lines.hold();
    for n in 0..20 {
        assert_eq!(first.push(&push(n)).status, 200);
    }
    first.kill();
    let second = Receiver::configured(&on(server, &database, ""));
    for n in 0..20 {
        assert_eq!(second.push(&push(n)).outcome(), "duplicate");
    }
    // What it held leases on comes once they have run out: as if ten minutes had passed.
    server.sql(
        &database,
        "UPDATE leases SET ends = 0; UPDATE lanes SET available = 0 WHERE leased",
    );
    let waiting = "SELECT count(*) FROM deliveries WHERE state = 0";
    wait_for_none(server, &database, waiting);
    let again = second.lines.all();
    let marked = again.iter().filter(|line| line["redelivered"] == true);
    assert!(
        marked.count() > 0,
        "what may have been written before says so"
    );
}

fn wait_for_none(server: &Server, database: &str, query: &str) {
    let end = Instant::now() + 4 * PATIENCE;
    while server.sql(database, query) != "0" {
        assert!(Instant::now() < end, "deliveries wait for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_start_without_its_database_and_a_spill_says_so_and_shows_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let store = "[store]\nurl = \"postgres://me:hunter2@127.0.0.1:1/inbox\"\nlock_wait = \"0s\"\n\
                 spill = \"off\"\n";
    let configuration = BASE.replace("[store]\n", store);
    let text = refused(folder.path(), &configuration);
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_start_on_a_database_that_does_not_exist_is_refused_although_there_is_a_spill() {
    let server = Server::shared();
    let folder = tempfile::tempdir().unwrap();
    let configuration = on(server, "nowhere", "lock_wait = \"0s\"");
    let text = refused(folder.path(), &configuration);
    assert!(text.contains("does not take this receiver"), "{text}");
    assert!(text.contains("\"nowhere\" does not exist"), "{text}");
}

/// All that a start says which ends by itself.
fn refused(folder: &Path, configuration: &str) -> String {
    let output = run(folder, configuration);
    assert_eq!(output.status.code(), Some(1));
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

fn run(folder: &Path, configuration: &str) -> std::process::Output {
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    command(folder, &[]).output().unwrap()
}
