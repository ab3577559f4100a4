//! Duplicate, stale, late, odd: each push is judged as documented.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::http::Client;
use crate::receiver::{Receiver, now, soak_line};

pub(crate) const HOUR: i64 = 3_600_000;

/// An incident's event.
pub(crate) fn event(id: &str, event_type: &str, time: i64, incident: &str) -> String {
    json!({
        "event_id": id,
        "event_type": event_type,
        "event_time": time,
        "incident": {"incident_id": incident, "title": "a title"},
    })
    .to_string()
}

/// One connection, one route, and what comes back.
struct Judge {
    client: Client,
    path: String,
}

impl Judge {
    fn new(receiver: &Receiver, tag: &str) -> Self {
        Self {
            client: receiver.client(),
            path: format!("/webhook/{tag}"),
        }
    }

    fn push(&mut self, body: &str) -> Value {
        let answer = self.client.push(&self.path, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        answer.json()
    }

    fn outcome(&mut self, body: &str) -> String {
        self.push(body)["outcome"].as_str().unwrap().to_owned()
    }
}

#[test]
fn one_body_pushed_to_several_routes_at_once_arrives_on_each() {
    let receiver = Receiver::start("");
    let routes = [
        "/webhook",
        "/webhook/ops",
        "/webhook/dev",
        "/webhook?team=ops",
        "/webhook?team=dev",
        "/webhook/ops?team=ops",
    ];
    let body = event("one", "i_new", now(), "1");
    let (start, pushed_to, same) = (&Barrier::new(routes.len()), &receiver, &body);
    let seqs: Vec<Value> = std::thread::scope(|scope| {
        let pushes: Vec<_> = routes
            .iter()
            .map(|route| {
                scope.spawn(move || {
                    let mut client = pushed_to.client();
                    start.wait();
                    let answer = client.push(route, same.as_bytes()).unwrap();
                    assert_eq!(answer.outcome(), "accepted", "{route}: {answer:?}");
                    answer.json()["seq"].clone()
                })
            })
            .collect();
        pushes
            .into_iter()
            .map(|push| push.join().unwrap())
            .collect()
    });
    for (route, seq) in routes.iter().zip(&seqs) {
        let line = receiver.lines.wait(route, |line| line["seq"] == *seq);
        let (path, query) = route.split_once('?').unwrap_or((route, ""));
        let tag = path.strip_prefix("/webhook/").unwrap_or_default();
        assert_eq!(line["tag"].as_str().unwrap_or_default(), tag, "{line}");
        let row = receiver.api(&format!("/api/v1/events/{seq}")).json();
        assert_eq!(row["query"].as_str().unwrap_or_default(), query, "{row}");
        receiver.wait_for_delivery(seq, "delivered");
        let again = receiver.client().push(route, body.as_bytes()).unwrap();
        assert_eq!(again.outcome(), "duplicate");
        assert_eq!(again.json()["seq"], *seq, "that of the first on this route");
    }
    assert_eq!(receiver.lines.delivered().len(), routes.len());
    let several = receiver.cli(&["events", "show", "one", "--body"]);
    assert!(
        !several.status.success(),
        "an id alone names several events"
    );
    soak_line(
        2,
        "one body to several routes at once",
        &format!("accepted and delivered on all {}", routes.len()),
    );
}

#[test]
fn an_event_is_stale_only_behind_a_strictly_later_one_of_its_subject_and_route() {
    let receiver = Receiver::start("");
    let mut judge = Judge::new(&receiver, "life");
    let t = now() - HOUR;
    let cases = [
        (event("new", "i_new", t, "1"), "accepted"),
        (event("new", "i_new", t, "1"), "duplicate"),
        (event("before", "i_assign", t - 1, "1"), "stale"),
        (event("before", "i_assign", t - 1, "1"), "duplicate"),
        (event("equal", "i_assign", t, "1"), "accepted"),
        (event("ack", "i_ack", t + 10, "1"), "accepted"),
        (event("between", "i_comm", t + 5, "1"), "stale"),
        (event("other incident", "i_new", t - HOUR, "2"), "accepted"),
        // The unit is told by the magnitude; these are seconds and microseconds.
        (event("seconds", "i_comm", t / 1000 - 1, "1"), "stale"),
        (event("micros", "i_comm", (t + 20) * 1000, "1"), "accepted"),
        (event("last", "i_rslv", t + 19, "1"), "stale"),
        // Nothing to compare: never stale, and nothing moves.
        (event("zero", "i_comm", 0, "1"), "accepted"),
        (event("negative", "i_comm", -t, "1"), "accepted"),
        (event("beyond", "i_comm", i64::MAX, "1"), "accepted"),
        (event("at the mark", "i_comm", t + 20, "1"), "accepted"),
        (event("alert", "a_new", t - HOUR, "1"), "stale"),
    ];
    for (number, (body, outcome)) in cases.iter().enumerate() {
        assert_eq!(judge.outcome(body), *outcome, "case {number}: {body}");
    }
    let alert = json!({"event_id": "a", "event_type": "a_new", "event_time": t - HOUR,
        "alert": {"alert_id": "1"}, "incident": {"incident_id": "1"}});
    assert_eq!(
        judge.outcome(&alert.to_string()),
        "accepted",
        "an alert's event is about the alert"
    );
    let text = json!({"event_id": "text", "event_type": "i_comm",
        "event_time": (t + 18).to_string(), "incident": {"incident_id": "1"}});
    assert_eq!(
        judge.outcome(&text.to_string()),
        "stale",
        "a time may be a string"
    );
    let subjectless = json!({"event_id": "free", "event_type": "i_comm", "event_time": 1});
    assert_eq!(judge.outcome(&subjectless.to_string()), "accepted");
    let mut elsewhere = Judge::new(&receiver, "elsewhere");
    assert_eq!(
        elsewhere.outcome(&event("before", "i_assign", t - 1, "1")),
        "accepted"
    );
    for (outcome, times) in [("accepted", 12.0), ("stale", 6.0), ("duplicate", 2.0)] {
        assert_eq!(receiver.pushes(outcome), times, "{outcome}");
    }
}

#[test]
fn what_is_stale_or_repeated_leaves_a_line_and_is_not_delivered() {
    let receiver = Receiver::start("");
    let mut judge = Judge::new(&receiver, "life");
    let t = now();
    judge.push(&event("ack", "i_ack", t, "1"));
    judge.push(&event("ack", "i_ack", t, "1"));
    let stale = judge.push(&event("new", "i_new", t - 1, "1"));
    let stored = receiver
        .api(&format!("/api/v1/events/{}", stale["seq"]))
        .json();
    assert_eq!(stored["outcome"], "stale");
    assert_eq!(stored["deliveries"], json!([]));
    for (outcome, id) in [("stale", "new"), ("duplicate", "ack")] {
        let line = receiver.lines.wait(outcome, |line| {
            line["target"] == "flashduty::push" && line["outcome"] == outcome
        });
        assert_eq!(line["event_id"], id);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["subject"], "incident:1");
        assert_eq!(line["source_ip"], crate::http::SENDER);
        assert_eq!(line["peer_ip"], "127.0.0.1");
        assert_eq!(line["tag"], "life");
    }
    // A later event's line is behind what there would be of theirs.
    judge.push(&event("last", "i_rslv", t + 1, "1"));
    receiver
        .lines
        .wait("the last", |line| line["event_id"] == "last");
    assert_eq!(receiver.lines.delivered(), ["ack", "last"]);
}

#[test]
fn a_time_from_the_future_outdates_nothing() {
    let receiver = Receiver::start("[admission]\nmax_clock_skew = \"10m\"\n");
    let mut judge = Judge::new(&receiver, "future");
    let now = now();
    for (id, time, outcome) in [
        ("far", now + HOUR, "accepted"),
        ("farther", now + 2 * HOUR, "accepted"),
        ("present", now, "accepted"),
        ("past", now - 1, "stale"),
        ("a little ahead", now + HOUR / 12, "accepted"),
        ("present again", now, "stale"),
    ] {
        assert_eq!(
            judge.outcome(&event(id, "i_comm", time, "1")),
            outcome,
            "{id}"
        );
    }
}

#[test]
fn a_command_is_never_stale_outdates_nothing_and_a_second_press_is_a_second_command() {
    let receiver = Receiver::start("");
    let mut judge = Judge::new(&receiver, "buttons");
    let t = now() - 60_000;
    // As the sender writes it: the id stands inside the incident.
    let press = |time: Option<i64>| {
        json!({"event_type": "i_custom", "event_time": time,
            "incident": {"incident_id": "1", "event_id": "inner"}})
        .to_string()
    };
    assert_eq!(judge.outcome(&event("ack", "i_ack", t, "1")), "accepted");
    assert_eq!(judge.outcome(&press(Some(t - 1000))), "accepted", "late");
    assert_eq!(judge.outcome(&press(Some(t - 1000))), "duplicate");
    assert_eq!(judge.outcome(&press(Some(t + 2000))), "accepted", "again");
    assert_eq!(
        judge.outcome(&event("comment", "i_comm", t + 1000, "1")),
        "accepted",
        "a command moves no mark"
    );
    assert_eq!(judge.outcome(&press(None)), "accepted");
    assert_eq!(
        judge.outcome(&press(None)),
        "accepted",
        "nothing tells them apart"
    );
    receiver.lines.wait_until("the commands' lines", |lines| {
        let commands = lines.iter().filter(|line| {
            line["event_type"] == "i_custom" && line["target"] == "flashduty::event"
        });
        (commands.count() == 4).then_some(())
    });
}

#[test]
fn a_command_that_is_too_old_expires_and_one_that_is_not_is_delivered() {
    let receiver = Receiver::start("[admission]\ncommand_max_age = \"2m\"\n");
    let mut judge = Judge::new(&receiver, "old");
    let old = judge.push(&event("old", "i_custom", now() - 121_000, "1"));
    assert_eq!(old["outcome"], "accepted");
    judge.push(&event("young", "i_custom", now() - 60_000, "1"));
    judge.push(&event("timeless", "i_custom", 0, "1"));
    for id in ["young", "timeless"] {
        receiver.lines.wait(id, |line| line["event_id"] == id);
    }
    let expired = "flashduty_deliveries_total{sink=\"log\",outcome=\"expired\"}";
    let expired = receiver.metric(expired);
    assert_eq!(expired, 1.0, "the lane is in order: it was looked at first");
    assert!(!receiver.lines.delivered().contains(&"old".to_owned()));
    receiver.wait_for_delivery(&old["seq"], "expired");
    let listed = receiver.told(&["--json", "deliveries", "--state", "expired"]);
    let row: Value = serde_json::from_str(&listed).expect("one line");
    assert_eq!(row["seq"], old["seq"]);
    assert_eq!(row["state"], "expired");
    assert_eq!(row["event_type"], "i_custom");
}

#[test]
fn a_sink_that_wants_stale_events_gets_them() {
    let receiver = Receiver::start("[sink.log]\ninclude_stale = true\n");
    let mut judge = Judge::new(&receiver, "all");
    let t = now();
    judge.push(&event("second", "i_ack", t, "1"));
    assert_eq!(judge.outcome(&event("first", "i_new", t - 5, "1")), "stale");
    let line = receiver.lines.wait("the stale event", |line| {
        line["target"] == "flashduty::event" && line["event_id"] == "first"
    });
    assert_eq!(line["event_time"], t - 5);
}

#[test]
fn without_an_id_the_body_stands_for_it_if_there_is_a_time() {
    let receiver = Receiver::start("");
    let mut judge = Judge::new(&receiver, "nameless");
    let t = now();
    for absent in ["null", "\"\"", "\"  \"", "\"{{event_id}}\"", "[]", "{}"] {
        let timed = format!(
            r#"{{"event_id":{absent},"event_type":"i_new","event_time":{t},"incident":{{"incident_id":"1"}}}}"#
        );
        let first = judge.push(&timed);
        assert_eq!(first["outcome"], "accepted", "{absent}");
        assert_eq!(first["event_id"], Value::Null, "{absent}");
        let again = judge.push(&timed);
        assert_eq!(again["outcome"], "duplicate", "{absent}");
        assert_eq!(again["seq"], first["seq"]);
        assert_eq!(
            judge.outcome(&format!("{timed} ")),
            "accepted",
            "another body"
        );
        let untimed = format!(r#"{{"event_id":{absent},"event_type":"i_new"}}"#);
        assert_eq!(judge.outcome(&untimed), "accepted", "{absent}");
        assert_eq!(
            judge.outcome(&untimed),
            "accepted",
            "nothing tells them apart"
        );
    }
}

#[test]
fn a_duplicate_with_another_body_is_answered_logged_and_kept_for_a_person() {
    let receiver = Receiver::start("");
    let mut judge = Judge::new(&receiver, "twins");
    let t = now();
    let first = judge.push(&event("twin", "i_new", t, "1"));
    let other = event("twin", "i_rslv", t + 1, "1");
    let second = judge.push(&other);
    assert_eq!(second["outcome"], "duplicate");
    assert_eq!(second["seq"], first["seq"]);
    let line = receiver
        .lines
        .wait("its line", |line| line["outcome"] == "duplicate");
    assert_eq!(line["differs"], true);
    let kept = receiver.rows("unreadable");
    let [row] = kept.as_slice() else {
        panic!("one is kept: {kept:?}")
    };
    let body = receiver.api(&format!("/api/v1/unreadable/{}/body", row["id"]));
    assert_eq!(body.body, other.as_bytes());
    assert_eq!(judge.outcome(&event("twin", "i_new", t, "1")), "duplicate");
    assert_eq!(
        receiver.rows("unreadable").len(),
        1,
        "the same body is no surprise"
    );
    receiver.told(&["unreadable", "offer", &row["id"].to_string()]);
    assert_eq!(
        receiver.rows("unreadable").len(),
        1,
        "offered again it is a duplicate still, and there is no other copy"
    );
}
