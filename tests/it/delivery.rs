//! http sinks whose other side does whatever servers do.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::{PATIENCE, Receiver, count, soak_line};

/// Connections that push at the same time.
const PUSHERS: usize = 8;

/// How the other side treats an event, decided by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Fine,
    FailsOnce,
    NotFound,
    Redirected,
    ResetOnce,
    GarbageOnce,
    Slow,
    HangsOnce,
}

impl Fate {
    fn of(number: usize) -> Self {
        match number % 100 {
            0..=69 => Self::Fine,
            70..=79 => Self::FailsOnce,
            80..=84 => Self::NotFound,
            85..=87 => Self::Redirected,
            88..=91 => Self::ResetOnce,
            92..=95 => Self::GarbageOnce,
            96..=98 => Self::Slow,
            _ => Self::HangsOnce,
        }
    }

    fn reply(self, first: bool) -> Reply {
        let fine = Reply::new(200, "");
        match (self, first) {
            (Self::FailsOnce, true) => Reply::new(500, ""),
            (Self::NotFound, _) => Reply::new(404, "no such page"),
            (Self::Redirected, _) => Reply::new(302, "").with("Location", "http://127.0.0.1:9/"),
            (Self::ResetOnce, true) => Reply::ResetMidway,
            (Self::GarbageOnce, true) => Reply::Garbage,
            (Self::Slow, _) => Reply::Slow(Duration::from_millis(20), Box::new(fine)),
            (Self::HangsOnce, true) => Reply::Hang,
            _ => fine,
        }
    }

    /// State in the end, and attempts.
    fn end(self) -> (&'static str, u32) {
        match self {
            Self::Fine | Self::Slow => ("delivered", 1),
            Self::NotFound | Self::Redirected => ("dead", 1),
            _ => ("delivered", 2),
        }
    }
}

fn number_of(id: &str) -> usize {
    id.rsplit('-').next().unwrap().parse().unwrap()
}

fn body(id: &str, subject: usize) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"i_r_title","incident":{{"incident_id":"s{subject}","title":"disk {id}"}}}}"#
    )
}

/// Pushes `events` events over `subjects` subjects, each subject's by one connection and in order.
fn push_all(receiver: &Receiver, events: usize, subjects: usize) {
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            scope.spawn(move || {
                let mut client = receiver.client();
                for number in (0..events).filter(|number| number % subjects % PUSHERS == pusher) {
                    let body = body(&format!("e-{number}"), number % subjects);
                    let answer = client.push("/webhook", body.as_bytes()).unwrap();
                    assert_eq!(answer.outcome(), "accepted");
                }
            });
        }
    });
}

/// Waits until nothing waits for any sink.
pub(crate) fn wait_until_settled(receiver: &Receiver) {
    let deadline = Instant::now() + PATIENCE * 4;
    loop {
        let status = receiver.api("/api/v1/status").json();
        let sinks = status["inbox"]["sinks"].as_array().unwrap().clone();
        if sinks.iter().all(|sink| sink["pending"] == 0) {
            return;
        }
        assert!(Instant::now() < deadline, "still waiting: {sinks:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// States and attempts of all deliveries to `sink`, by event id.
fn ends(receiver: &Receiver, sink: &str) -> BTreeMap<String, (String, u64)> {
    let rows = receiver.rows_of(&format!("deliveries?sink={sink}"));
    let end = |row: &Value| {
        let state = row["state"].as_str().unwrap().to_owned();
        let id = row["event_id"].as_str().unwrap().to_owned();
        (id, (state, row["attempts"].as_u64().unwrap()))
    };
    rows.iter().map(end).collect()
}

#[test]
fn every_event_arrives_in_order_whatever_the_other_side_does() {
    let (events, subjects) = (count(1_000, 10_000), count(50, 500));
    let first: Mutex<HashMap<String, bool>> = Mutex::default();
    let fake = FakeServer::new(move |seen, _| {
        let id = seen.event_id();
        let first = first.lock().unwrap().insert(id.clone(), true).is_none();
        Fate::of(number_of(&id)).reply(first)
    });
    let keys = "timeout = \"1s\"\nconcurrency = 32\nretry = { initial = \"10ms\" }";
    let receiver = Receiver::start(&fake.sink("tickets", keys));
    push_all(&receiver, events, subjects);
    wait_until_settled(&receiver);

    let expected: BTreeMap<String, (String, u64)> = (0..events)
        .map(|number| {
            let (state, attempts) = Fate::of(number).end();
            (
                format!("e-{number}"),
                (state.to_owned(), u64::from(attempts)),
            )
        })
        .collect();
    assert_eq!(ends(&receiver, "tickets"), expected);
    for (outcome, state) in [("delivered", "delivered"), ("dead", "dead")] {
        let counted = receiver.metric(&format!(
            "flashduty_deliveries_total{{sink=\"tickets\",outcome=\"{outcome}\"}}"
        ));
        let expected = expected
            .values()
            .filter(|(known, _)| known == state)
            .count();
        assert!((counted - f64::from(u32::try_from(expected).unwrap())).abs() < 0.5);
    }
    let seen = fake.received();
    subjects_are_served_one_at_a_time_and_in_order(&seen, subjects);
    assert!(at_once(&seen) > 4, "subjects wait for each other");
    soak_line(
        1,
        "http sink, other side by script",
        &format!(
            "{events} events over {subjects} subjects, {} requests, outcomes as expected, up to {} at once",
            seen.len(),
            at_once(&seen)
        ),
    );
}

/// First attempts of a subject begin in the order of its pushes, and none begins while another runs.
fn subjects_are_served_one_at_a_time_and_in_order(seen: &[Received], subjects: usize) {
    let mut of_subject: BTreeMap<usize, Vec<&Received>> = BTreeMap::new();
    for request in seen {
        let subject = number_of(&request.event_id()) % subjects;
        of_subject.entry(subject).or_default().push(request);
    }
    for requests in of_subject.values() {
        let firsts: Vec<usize> = requests
            .iter()
            .filter(|request| request.attempt() == 1)
            .map(|request| number_of(&request.event_id()))
            .collect();
        assert!(firsts.is_sorted(), "{firsts:?}");
        for pair in requests.windows(2) {
            let ended = pair[0].left.unwrap_or(pair[0].came);
            assert!(ended <= pair[1].came, "{pair:?} overlap");
        }
    }
}

/// How many requests were answered at the same time.
fn at_once(seen: &[Received]) -> usize {
    let mut turns: Vec<(Instant, isize)> = Vec::new();
    for request in seen {
        if let Some(left) = request.left {
            turns.extend([(request.came, 1), (left, -1)]);
        }
    }
    turns.sort_unstable();
    let mut now = 0;
    let most = turns.iter().map(|(_, turn)| {
        now += turn;
        now
    });
    most.max().unwrap_or_default().unsigned_abs()
}

/// Ten events of one subject while the first is being answered: what `first` says decides.
fn latest(first: Reply, keys: &str) -> (FakeServer, Receiver) {
    let (go, goes) = mpsc::channel::<()>();
    let script = Arc::new(Mutex::new(Some((goes, first))));
    let fake = FakeServer::new(move |_, _| match script.lock().unwrap().take() {
        Some((goes, reply)) => {
            // The answer waits until all the others are there.
            let _told = goes.recv();
            reply
        }
        None => Reply::new(200, ""),
    });
    let keys = format!("order = \"latest\"\nretry = {{ initial = \"10ms\" }}\n{keys}");
    let receiver = Receiver::start(&fake.sink("chat", &keys));
    for number in 0..10 {
        let answer = receiver.push(&body(&format!("e-{number}"), 0));
        assert_eq!(answer.outcome(), "accepted");
        if number == 0 {
            receiver.wait_for_state(&answer.json()["seq"], "chat", "leased");
        }
    }
    go.send(()).unwrap();
    wait_until_settled(&receiver);
    (fake, receiver)
}

fn states(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for (state, _) in ends(receiver, "chat").into_values() {
        *states.entry(state).or_default() += 1;
    }
    states
}

#[test]
fn of_what_waits_only_the_latest_is_delivered() {
    let (fake, receiver) = latest(Reply::new(200, ""), "");
    let ids: Vec<String> = fake.received().iter().map(Received::event_id).collect();
    assert_eq!(ids, ["e-0", "e-9"]);
    let expected = [("delivered".to_owned(), 2), ("superseded".to_owned(), 8)];
    assert_eq!(states(&receiver), BTreeMap::from(expected));
}

#[test]
fn an_attempt_that_fails_is_superseded_by_what_came_meanwhile() {
    let (fake, receiver) = latest(Reply::new(503, ""), "");
    let ids: Vec<String> = fake.received().iter().map(Received::event_id).collect();
    assert_eq!(ids, ["e-0", "e-9"]);
    let expected = [("delivered".to_owned(), 1), ("superseded".to_owned(), 9)];
    assert_eq!(states(&receiver), BTreeMap::from(expected));
}
