//! A ticket system: one ticket for each incident, created once and updated until it is closed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::{Receiver, count, soak_line};

/// The stages of an incident's life, with their types.
const LIFE: [(&str, &str); 4] = [
    ("i_new", "Triggered"),
    ("i_ack", "Processing"),
    ("i_r_title", "Processing"),
    ("i_rslv", "Closed"),
];

#[derive(Default)]
struct System {
    /// The state of each ticket, by number.
    tickets: BTreeMap<usize, Value>,
    /// Answers already given, by idempotency key.
    given: HashMap<String, Value>,
    requests: usize,
}

impl System {
    /// Honours the idempotency key; some requests fail, some take effect and their answer is lost.
    fn answer(&mut self, seen: &Received) -> Reply {
        self.requests += 1;
        if self.requests.is_multiple_of(7) {
            return Reply::new(503, "");
        }
        let key = seen.header("idempotency-key").unwrap().to_owned();
        let answer = match self.given.get(&key) {
            Some(given) => given.clone(),
            None => self.take(seen),
        };
        self.given.insert(key, answer.clone());
        match self.requests % 11 {
            0 => Reply::ResetMidway,
            _ => Reply::new(200, answer.to_string()).with("Content-Type", "application/json"),
        }
    }

    fn take(&mut self, seen: &Received) -> Value {
        let number = match seen.method.as_str() {
            "POST" => self.tickets.len() + 1,
            _ => seen.target.rsplit('-').next().unwrap().parse().unwrap(),
        };
        self.tickets.insert(number, seen.json());
        json!({ "key": format!("OPS-{number}") })
    }
}

fn start(folder: &Path, fake: &FakeServer) -> Receiver {
    let keys =
        "preset = \"ticket\"\nconcurrency = 16\nretry = { initial = \"10ms\", max = \"200ms\" }";
    Receiver::start_in(folder, &fake.sink("tickets", keys))
}

/// One stage of an incident, pushed as the sender does: sometimes twice, sometimes late.
fn push_stage(receiver: &Receiver, incident: usize, stage: usize) {
    let body = |stage: usize| {
        let (kind, progress) = LIFE[stage];
        let time = 1_700_000_000_000_usize + stage * 1_000;
        format!(
            r#"{{"event_id":"i{incident}-{stage}","event_type":"{kind}","event_time":{time},
               "incident":{{"incident_id":"i{incident}","title":"disk {incident}","progress":"{progress}"}}}}"#
        )
    };
    assert_eq!(receiver.push(&body(stage)).status, 200);
    if (incident + stage).is_multiple_of(3) {
        assert_eq!(receiver.push(&body(stage)).outcome(), "duplicate");
    }
    if stage > 0 && incident.is_multiple_of(5) {
        let late =
            body(stage - 1).replace(&format!("\"i{incident}-"), &format!("\"late{incident}-"));
        assert_eq!(receiver.push(&late).outcome(), "stale");
    }
}

#[test]
fn each_incident_becomes_one_ticket_that_ends_in_its_last_state() {
    let incidents = count(40, 200);
    let system: Arc<Mutex<System>> = Arc::default();
    let asked = Arc::clone(&system);
    let fake = FakeServer::new(move |seen, _| asked.lock().unwrap().answer(seen));
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for stage in 0..LIFE.len() {
        let mut receiver = start(folder.path(), &fake);
        for incident in 0..incidents {
            push_stage(&receiver, incident, stage);
            if incident % 20 == 10 {
                receiver.kill();
                kills += 1;
                receiver = start(folder.path(), &fake);
            }
        }
        receiver.kill();
        kills += 1;
    }
    let receiver = start(folder.path(), &fake);
    wait_until_settled(&receiver);
    let system = system.lock().unwrap();
    assert_eq!(system.tickets.len(), incidents);
    let mut subjects: Vec<&Value> = Vec::new();
    for ticket in system.tickets.values() {
        assert_eq!(ticket["progress"], "Closed", "{ticket}");
        assert!(!subjects.contains(&&ticket["external_id"]), "{ticket}");
        subjects.push(&ticket["external_id"]);
    }
    soak_line(
        4,
        "tickets with lost answers, failures and kill -9",
        &format!(
            "{incidents} incidents, {kills} kills, {} requests, {} tickets, all closed",
            system.requests,
            system.tickets.len()
        ),
    );
}
