//! Stopping under load fails no push.

use std::collections::HashSet;
use std::path::Path;

use crate::balancer::Balancer;
use crate::http::{Client, SENDER};
use crate::lines::Lines;
use crate::load::{Load, Plan, body};
use crate::receiver::{PATIENCE, Receiver, base_with, command, count, soak_line, wait_until};

/// Long enough for every balancer to notice.
const DELAY: &str = "drain_delay = \"2s\"";
/// Nobody waits for this one to pass.
const LONG_DELAY: &str = "drain_delay = \"10m\"";
/// What SQLite has not yet moved into the file of the store.
const LOG_OF_STORE: &str = "data/inbox.db-wal";

#[test]
fn restarting_one_instance_after_the_other_behind_a_balancer_fails_no_push() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut instances = folders.each_ref().map(|folder| start(folder.path(), DELAY));
    let mut logs: Vec<Lines> = instances.iter().map(|one| one.lines.clone()).collect();
    let wanted = count(2000, 10_000);
    let balancer = Balancer::start(instances.each_ref().map(|one| one.public), wanted);
    let mut restarts = 0;
    while !balancer.is_done() || restarts < 2 {
        let turn = restarts % 2;
        balancer.wait_until_both_are_used();
        assert_eq!(instances[turn].stop().code(), Some(0));
        assert!(!balancer.uses(turn), "ended while it was still used");
        instances[turn] = start(folders[turn].path(), DELAY);
        logs.push(instances[turn].lines.clone());
        balancer.replace(turn, instances[turn].public);
        restarts += 1;
    }
    let (acknowledged, failed) = balancer.finish();
    assert_eq!(failed, [""; 0]);
    assert_eq!(acknowledged.len(), wanted);
    for one in &instances {
        wait_until_delivered(one);
    }
    let written: HashSet<String> = logs.iter().flat_map(Lines::delivered).collect();
    let lost = acknowledged.iter().filter(|id| !written.contains(*id));
    assert_eq!(lost.count(), 0);
    soak_line(
        7,
        "drains behind a balancer",
        &format!("{wanted} pushes over {restarts} restarts, none failed, all in the logs"),
    );
}

#[test]
fn while_draining_pushes_are_taken_and_every_answer_closes_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = start(folder.path(), DELAY);
    let mut kept: Vec<Client> = (0..5).map(|_| receiver.client()).collect();
    for client in &mut kept {
        let answer = client.get("/readyz").unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    receiver.signal("TERM");
    wait_until_unready(&receiver);
    let mut kept = kept.into_iter();
    let fresh = || receiver.client();
    for mut client in [kept.next().unwrap(), fresh()] {
        let answer = client.get("/readyz").unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["reason"], "the service is draining");
        closes(client, answer.header("connection"));
    }
    for (number, mut client) in [kept.next().unwrap(), fresh()].into_iter().enumerate() {
        let answer = client.push("/webhook", &body(&format!("late-{number}")));
        let answer = answer.unwrap();
        assert_eq!(answer.outcome(), "accepted");
        closes(client, answer.header("connection"));
    }
    let refusals: [(&str, &str, &[u8], u16); 3] = [
        ("/nowhere", SENDER, b"{}", 404),
        ("/webhook", "192.0.2.1", b"{}", 403),
        ("/webhook", SENDER, b"no JSON", 400),
    ];
    for (mut client, (path, from, body, status)) in kept.zip(refusals) {
        let from = format!("X-Forwarded-For: {from}\r\n");
        let answer = client.push_with(path, &from, body).unwrap();
        assert_eq!(answer.status, status);
        closes(client, answer.header("connection"));
    }
    assert_eq!(receiver.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_wait_but_not_before_the_store_is_flushed() {
    for (first, second) in [("TERM", "TERM"), ("TERM", "INT")] {
        let folder = tempfile::tempdir().unwrap();
        let mut receiver = start(folder.path(), LONG_DELAY);
        let load = Load::start(&Plan::of_sender(receiver.public, 200));
        let some = "flashduty_events_total{outcome=\"accepted\"}";
        wait_until("there is load", || receiver.metric(some) > 50.0);
        assert!(receiver.folder.join(LOG_OF_STORE).exists());
        receiver.signal(first);
        wait_until_unready(&receiver);
        receiver.signal(second);
        assert_eq!(receiver.wait().code(), Some(0));
        is_flushed_and_complete(&receiver, &load.stop().acknowledged_ids());
    }
}

#[test]
fn a_signal_more_cuts_off_a_push_that_does_not_come_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let patient = "header_timeout = \"5m\"\ndrain_timeout = \"5m\"";
    let mut receiver = start(folder.path(), patient);
    let answer = receiver.client().push("/webhook", &body("whole"));
    assert_eq!(answer.unwrap().outcome(), "accepted");
    let mut stuck = receiver.client();
    let head = "POST /webhook HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n";
    let from = format!("X-Forwarded-For: {SENDER}\r\n\r\n{{");
    stuck.send(format!("{head}{from}").as_bytes()).unwrap();
    wait_until("its head was read", || {
        receiver.metric("flashduty_connections") >= 1.0
    });
    receiver.signal("TERM");
    wait_until("nothing is accepted", || {
        Client::connect(receiver.public, PATIENCE).is_err()
    });
    assert!(receiver.child.try_wait().unwrap().is_none(), "it waits");
    receiver.signal("TERM");
    assert_eq!(receiver.wait().code(), Some(0));
    is_flushed_and_complete(&receiver, &["whole".to_owned()]);
}

fn start(folder: &Path, server: &str) -> Receiver {
    std::fs::write(folder.join("config.toml"), base_with("server", server)).unwrap();
    Receiver::run(folder, command(folder, &[]))
}

/// The answer said so, and does.
fn closes(mut client: Client, connection: Option<&str>) {
    assert_eq!(connection, Some("close"));
    assert!(client.is_closed());
}

fn wait_until_unready(receiver: &Receiver) {
    wait_until("not ready any more", || {
        receiver.client().get("/readyz").unwrap().status == 503
    });
}

fn wait_until_delivered(receiver: &Receiver) {
    wait_until("all is delivered", || {
        let pending = receiver.api("/api/v1/deliveries?state=pending&limit=1");
        let leased = receiver.api("/api/v1/deliveries?state=leased&limit=1");
        [pending, leased]
            .iter()
            .all(|answer| answer.json()["items"] == serde_json::json!([]))
    });
}

/// No log of the store is left behind, and every event of `acknowledged` appears, now or after a
/// restart.
fn is_flushed_and_complete(receiver: &Receiver, acknowledged: &[String]) {
    assert!(receiver.folder.join("data/inbox.db").exists());
    assert!(!receiver.folder.join(LOG_OF_STORE).exists());
    let mut again = Receiver::run(&receiver.folder, command(&receiver.folder, &[]));
    wait_until_delivered(&again);
    again.signal("INT");
    assert_eq!(again.wait().code(), Some(0));
    let logs = [&receiver.lines, &again.lines];
    let written: HashSet<String> = logs.iter().flat_map(|lines| lines.delivered()).collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !written.contains(*id))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}
