//! What a person changes by hand, with the real binary: listed, shown, replayed, dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Reply};
use crate::receiver::{BASE, Receiver, command};

#[test]
fn what_was_delivered_or_expired_is_listed_shown_replayed_and_marked() {
    let receiver = Receiver::start("[sink.log]\nmax_age = \"1h\"\n");
    let push = |id: &str, time: i64| {
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"i_ack","event_time":{time},"incident":{{"incident_id":"{id}"}}}}"#
        );
        receiver.push(&body).json()["seq"].clone()
    };
    let delivered = push("fresh", crate::receiver::now());
    let expired = push("old", crate::receiver::now() - 7_200_000);
    receiver.wait_for_delivery(&delivered, "delivered");
    receiver.wait_for_delivery(&expired, "expired");

    let listed = receiver.told(&["deliveries", "--state", "expired", "--json"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let shown = receiver.told(&["deliveries", &expired.to_string()]);
    assert!(shown.contains("log: expired"), "{shown}");

    let would = receiver.told(&["replay", "--state", "expired", "--dry-run"]);
    assert!(would.contains("1 would be changed"), "{would}");
    receiver.wait_for_delivery(&expired, "expired");
    let done = receiver.told(&["replay", "--sink", "log", "--since", "1h"]);
    assert!(done.contains("2 replayed"), "{done}");
    for seq in [&delivered, &expired] {
        let line = receiver.lines.wait("the replay", |line| {
            line["seq"] == *seq && line["origin"] == "replay"
        });
        assert_eq!(line["target"], "flashduty::event");
        receiver.wait_for_delivery(seq, "delivered");
    }
    assert_eq!(
        receiver.metric(r#"flashduty_deliveries_total{sink="log",outcome="replayed"}"#),
        2.0
    );
    let audit = receiver.rows("audit");
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["count"], 2);
}

#[test]
fn an_interrupted_replay_ends_with_one_and_says_how_far_it_came() {
    let receiver = Receiver::start("");
    for id in ["a", "b", "c"] {
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"i_ack","incident":{{"incident_id":"{id}"}}}}"#
        );
        let seq = receiver.push(&body).json()["seq"].clone();
        receiver.wait_for_delivery(&seq, "delivered");
    }
    let api = format!("http://{}", receiver.admin);
    let slowly = [
        "replay", "--since", "1h", "--rate", "1/1h", "--yes", "--json",
    ];
    let arguments = [&slowly[..], &["--sink", "log", "--api", &api]].concat();
    let mut replay = command(&receiver.folder, &arguments);
    replay.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut replay = replay.spawn().unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(replay.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert!(first.contains(r#""replayed""#), "{first}");
    let process = replay.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &process]).status();
    assert!(sent.unwrap().success());
    let ended = replay.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.starts_with("1 replayed; interrupted"), "{told}");
}

#[test]
fn a_change_that_selects_nothing_or_repeats_commands_unasked_is_refused() {
    let receiver = Receiver::start("");
    let body = r#"{"event_id":"c","event_type":"i_custom","incident":{"incident_id":"1"}}"#;
    let seq = receiver.push(body).json()["seq"].clone();
    receiver.wait_for_delivery(&seq, "delivered");
    let vague = receiver.cli(&["replay", "--sink", "log"]);
    assert_eq!(vague.status.code(), Some(1), "{vague:?}");
    let unasked = receiver.cli(&["replay", "--state", "delivered"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    let told = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert!(told.contains("--yes"), "{told}");
    let done = receiver.told(&["replay", "--state", "delivered", "--yes"]);
    assert!(done.contains("1 replayed, a command"), "{done}");
}

#[test]
fn the_api_refuses_what_cannot_be_meant_and_says_what_can() {
    let receiver = Receiver::start("");
    let refusals = [
        ("replay", r#"{"sink":"log"}"#, "would replay all"),
        (
            "replay",
            r#"{"sink":"nowhere","state":"dead"}"#,
            "no sink \"nowhere\" is configured",
        ),
        (
            "replay",
            r#"{"since":"yesterday"}"#,
            "since cannot be \"yesterday\"; allowed: ",
        ),
        (
            "replay",
            r#"{"subject":"42","state":"dead"}"#,
            "incident:<id> or alert:<id>",
        ),
        (
            "replay",
            r#"{"state":"dead","limit":0}"#,
            "a number from 1 to 500",
        ),
        (
            "replay",
            r#"{"state":"dead","limit":501}"#,
            "a number from 1 to 500",
        ),
        ("replay", r#"{"state":"dead","cursor":"x"}"#, "cursor"),
        ("replay", r#"{"state":"dead","cursor":"9:x"}"#, "cursor"),
        (
            "replay",
            r#"{"since":"1h","create":true}"#,
            "name it with sink",
        ),
        (
            "replay",
            r#"{"sink":"log","state":"dead","create":true}"#,
            "leave out state or create",
        ),
        ("drop", r#"{"reason":"x"}"#, "would drop all"),
        ("drop", r#"{"sink":"log"}"#, "needs a reason"),
        ("drop", r#"{"sink":"log","reason":" "}"#, "needs a reason"),
        (
            "drop",
            r#"{"sink":"log","reason":"x","create":true}"#,
            "creates nothing",
        ),
    ];
    for (action, body, told) in refusals {
        let answer = receiver.post(&format!("/api/v1/{action}"), body);
        assert_eq!(answer.status, 422, "{action} {body}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(told), "{action} {body}: {detail}");
    }
    for body in [
        "",
        "[]",
        r#"{"sink":7}"#,
        r#"{"sinks":"log"}"#,
        r#"{"state":"lost"}"#,
    ] {
        let answer = receiver.post("/api/v1/replay", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    assert_eq!(receiver.rows("audit"), [Value::Null; 0]);
}

#[test]
fn a_new_sink_can_be_given_what_is_stored_with_or_without_its_filter() {
    let receiver = Receiver::start("");
    for (id, kind) in [("a", "i_new"), ("b", "i_ack"), ("c", "i_new")] {
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"{kind}","incident":{{"incident_id":"{id}"}}}}"#
        );
        assert_eq!(receiver.push(&body).outcome(), "accepted");
    }
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    let sink = fake.sink(
        "hook",
        "filter = 'event_type == \"i_new\"'\ninclude_stale = true",
    );
    assert_eq!(receiver.reconfigure(&format!("{BASE}{sink}")).status, 200);
    let replay = |body: &str| {
        let answer = receiver.post("/api/v1/replay", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let wanted = r#"{"sink":"hook","since":"1h","create":true}"#;
    let ahead = replay(&wanted.replace("}", r#","dry_run":true}"#));
    assert_eq!(ahead["changed"], 2, "{ahead}");
    assert_eq!(fake.requests(), 0, "a dry run");
    // Step by step, and no further than what was there at the first step.
    let first = replay(&wanted.replace("}", r#","limit":1}"#));
    assert_eq!(first["items"][0]["result"], "created");
    receiver.push(r#"{"event_id":"d","event_type":"i_rslv","incident":{"incident_id":"d"}}"#);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = replay(&wanted.replace("}", &format!(r#","cursor":"{cursor}"}}"#)));
    assert_eq!(rest["changed"], 1, "{rest}");
    assert_eq!(rest["skipped"]["unwanted"], 1, "{rest}");
    wait_until_settled(&receiver);
    let ids = || -> Vec<String> {
        let requests = fake.received();
        requests.iter().map(|request| request.event_id()).collect()
    };
    let mut first = ids();
    first.sort();
    assert_eq!(first, ["a", "c"]);
    let all = r#"{"sink":"hook","event_type":"i_ack","create":true,"no_filter":true}"#;
    assert_eq!(replay(all)["changed"], 1);
    wait_until_settled(&receiver);
    assert_eq!(ids()[2..], ["b"]);
    for request in fake.received() {
        assert_eq!(request.header("flashduty-replay"), Some("true"));
    }
}
