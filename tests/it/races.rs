//! Many connections at once: admission stays right, and nobody suffers for another's odd push.

use std::collections::{BTreeMap, HashMap};
use std::sync::Barrier;

use serde_json::Value;

use crate::admission::{HOUR, event};
use crate::dice::Dice;
use crate::receiver::{Receiver, count, now, soak_line};

/// As many push at once.
const CONNECTIONS: usize = 8;

/// An id, as JSON, that no index or header could hold, and what the answer shows for it.
fn odd_id(number: usize) -> (String, &'static str) {
    match number % 4 {
        0 => ("\"\"".to_owned(), ""),
        1 => ("\"{{event_id}}\"".to_owned(), ""),
        2 => (format!("\"\\u0000{number}\""), "sha256:"),
        _ => (format!("\"{}{number}\"", "x".repeat(1 << 20)), "sha256:"),
    }
}

#[test]
fn one_odd_id_in_a_thousand_pushes_harms_no_other() {
    let receiver = Receiver::start("");
    let (threads, each) = (4, count(1000, 10_000));
    let odd_every = 1000;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let receiver = &receiver;
            scope.spawn(move || {
                let mut client = receiver.client();
                for number in 0..each {
                    let number = thread * each + number;
                    let odd = number % odd_every == 500;
                    let (id, shown) = if odd {
                        odd_id(number / odd_every)
                    } else {
                        (format!("\"id-{number}\""), "id-")
                    };
                    let time = now();
                    let body = format!(
                        r#"{{"event_id":{id},"event_type":"i_new","event_time":{time},"incident":{{"incident_id":"{number}"}}}}"#
                    );
                    let answer = client.push("/webhook", body.as_bytes()).unwrap();
                    assert_eq!(answer.outcome(), "accepted", "{number}: {answer:?}");
                    let event_id = answer.json()["event_id"].clone();
                    assert!(event_id.as_str().unwrap_or_default().starts_with(shown));
                    assert_eq!(event_id.is_null(), shown.is_empty(), "{event_id}");
                    if odd {
                        let again = client.push("/webhook", body.as_bytes()).unwrap();
                        assert_eq!(again.outcome(), "duplicate", "{number}");
                        let seq = answer.json()["seq"].clone();
                        let stored = receiver.api(&format!("/api/v1/events/{seq}/body"));
                        assert!(stored.body == body.as_bytes(), "{number}: other bytes");
                    }
                }
            });
        }
    });
    let all = threads * each;
    receiver
        .lines
        .wait_until("every event's line", |lines| events(lines, all).map(drop));
    assert_eq!(receiver.pushes("accepted"), all as f64);
    assert_eq!(receiver.pushes("duplicate"), (all / odd_every) as f64);
    soak_line(
        2,
        "one odd id in a thousand pushes",
        &format!(
            "{all} accepted and delivered, {} of them odd",
            all / odd_every
        ),
    );
}

/// The events of a few subjects: many of equal time, some from the future, some commands.
fn pool(size: usize, subjects: u64) -> Vec<String> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let base = now() - HOUR;
    (0..size)
        .map(|number| {
            let event_type = match dice.below(10) {
                0 => "i_custom",
                _ => "i_comm",
            };
            let step = i64::try_from(dice.below(size as u64)).unwrap();
            let ahead = if dice.below(20) == 0 { 3 * HOUR } else { 0 };
            let incident = dice.below(subjects).to_string();
            event(
                &format!("e{number}"),
                event_type,
                base + step + ahead,
                &incident,
            )
        })
        .collect()
}

/// What each stored event should have been judged, all in the order of their positions.
fn expected(rows: &[Value], latest: i64) -> Vec<&'static str> {
    let mut marks: HashMap<&str, i64> = HashMap::new();
    rows.iter()
        .map(|row| {
            let time = row["event_time"].as_i64().unwrap();
            let mark = marks.entry(row["subject"].as_str().unwrap()).or_insert(0);
            if row["command"] == true {
                return "accepted";
            }
            if time < *mark {
                return "stale";
            }
            if time <= latest {
                *mark = time;
            }
            "accepted"
        })
        .collect()
}

/// Pushes at random from `pool` over several connections, `each` times on each; the answers of each
/// event.
fn race(receiver: &Receiver, pool: &[String], each: usize) -> BTreeMap<usize, Vec<Value>> {
    let start = &Barrier::new(CONNECTIONS);
    let push = |thread: usize| {
        let mut client = receiver.client();
        let mut dice = Dice(thread as u64 + 1);
        let mut answers = Vec::new();
        start.wait();
        for step in 0..each {
            // At first all push the same: the closest of races.
            let which = if step < 20 {
                step
            } else {
                usize::try_from(dice.below(pool.len() as u64)).unwrap()
            };
            let answer = client.push("/webhook", pool[which].as_bytes()).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            answers.push((which, answer.json()));
        }
        answers
    };
    let mut answers: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    std::thread::scope(|scope| {
        let racing: Vec<_> = (0..CONNECTIONS)
            .map(|thread| scope.spawn(move || push(thread)))
            .collect();
        for thread in racing {
            for (which, answer) in thread.join().unwrap() {
                answers.entry(which).or_default().push(answer);
            }
        }
    });
    answers
}

/// Each event was taken once, and every repetition told the position of that.
fn check_answers(answers: &BTreeMap<usize, Vec<Value>>) {
    for (which, answers) in answers {
        let mut taken = answers.iter().filter(|a| a["outcome"] != "duplicate");
        let first = taken.next().expect("one push was no duplicate");
        assert_eq!(taken.next(), None, "event {which} was taken twice");
        assert!(
            answers.iter().all(|answer| answer["seq"] == first["seq"]),
            "event {which}: a duplicate gives the position of the first: {answers:?}"
        );
    }
}

/// Every accepted event has one line, and the lines of a subject are in the order of positions.
fn check_lines(receiver: &Receiver, accepted: &[&Value]) {
    let what = "every accepted event's line";
    let lines = receiver.lines.wait_until(what, |lines| {
        let lines = events(lines, accepted.len())?;
        Some(lines.into_iter().cloned().collect::<Vec<Value>>())
    });
    let mut written: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for line in &lines {
        assert_eq!(line["redelivered"], false, "{line}");
        let subject = line["subject"].as_str().unwrap();
        let seqs = written.entry(subject).or_default();
        seqs.push(line["seq"].as_i64().unwrap());
    }
    for (subject, seqs) in &written {
        let wanted = accepted.iter().filter(|row| row["subject"] == **subject);
        let wanted: Vec<_> = wanted.filter_map(|row| row["seq"].as_i64()).collect();
        assert_eq!(*seqs, wanted, "{subject}");
    }
}

/// The lines of delivered events, once there are as many as `wanted`.
pub(crate) fn events(lines: &[Value], wanted: usize) -> Option<Vec<&Value>> {
    // Cheap while there are few: it is asked at every new line.
    if lines.len() < wanted {
        return None;
    }
    let events = lines
        .iter()
        .filter(|line| line["target"] == "flashduty::event");
    let events: Vec<_> = events.collect();
    (events.len() >= wanted).then_some(events)
}

#[test]
fn under_concurrency_accepted_events_are_in_order_and_none_is_accepted_twice() {
    let receiver = Receiver::start("[admission]\ncommand_max_age = \"7d\"\n");
    let each = count(400, 5000);
    let pool = pool(CONNECTIONS * each / 3, 5);
    let answers = race(&receiver, &pool, each);
    check_answers(&answers);

    let mut rows = receiver.rows("events");
    rows.sort_by_key(|row| row["seq"].as_i64());
    assert_eq!(rows.len(), answers.len(), "each event is stored once");
    let judged: Vec<_> = rows
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert!(judged.contains(&"stale") && judged.contains(&"accepted"));
    assert_eq!(judged, expected(&rows, now() + HOUR));
    let repeats = CONNECTIONS * each - rows.len();
    assert_eq!(receiver.pushes("duplicate"), repeats as f64);

    let accepted: Vec<_> = rows
        .iter()
        .filter(|row| row["outcome"] == "accepted")
        .collect();
    check_lines(&receiver, &accepted);
    soak_line(
        2,
        "8 connections, 5 subjects, repeated and interleaved",
        &format!(
            "{} pushes: {} accepted in order, {} stale, {repeats} duplicates, none accepted twice",
            CONNECTIONS * each,
            accepted.len(),
            rows.len() - accepted.len()
        ),
    );
}
