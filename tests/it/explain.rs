//! What a person asks afterwards: why was it judged so, what could not be read, offer it again.

use serde_json::{Value, json};

use crate::http::SENDER;
use crate::receiver::{BASE, Receiver, base_with, command, now, soak_line};

/// The commands' sentences, in one text.
fn explained(receiver: &Receiver, arguments: &[&str]) -> String {
    receiver.told(&[&["explain"], arguments].concat())
}

#[test]
fn what_became_of_an_event_is_told_from_its_peer_to_its_deliveries() {
    let receiver = Receiver::start("");
    let time = now() - 60_000;
    let push = |id: &str, event_type: &str, time: i64| {
        let body = json!({"event_id": id, "event_type": event_type, "event_time": time,
            "incident": {"incident_id": "7"}});
        let mut client = receiver.client();
        let answer = client.push("/webhook/ops?team=a", body.to_string().as_bytes());
        answer.unwrap().json()["seq"].clone()
    };
    let seq = push("in-time", "i_ack", time);
    receiver.wait_for_delivery(&seq, "delivered");
    let told = explained(&receiver, &["in-time"]);
    for part in [
        &format!("{SENDER} through 127.0.0.1"),
        "route /ops?team=a",
        "i_ack (a change of state)",
        "incident:7",
        "judged accepted",
        "log: delivered after 1 attempt",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    push("overtaken", "i_comm", time - 1);
    let told = explained(&receiver, &["overtaken"]);
    assert!(
        told.contains("judged stale") && told.contains("no sink wanted it"),
        "{told}"
    );
    let old = push("pressed", "i_custom", time - 24 * 3_600_000);
    receiver.wait_for_delivery(&old, "expired");
    let told = explained(&receiver, &[&old.to_string()]);
    assert!(
        told.contains("a command") && told.contains("log: expired, not attempted"),
        "{told}"
    );

    let elsewhere = format!("http://{}", receiver.public);
    for arguments in [
        &["events"][..],
        &["deliveries", "1"],
        &["explain", "in-time"],
    ] {
        let arguments = [arguments, &["--api", &elsewhere]].concat();
        let wrong = command(&receiver.folder, &arguments).output().unwrap();
        assert_eq!(wrong.status.code(), Some(1), "{arguments:?}");
        let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(
            error.contains("not the admin listener"),
            "{arguments:?}: {error}"
        );
    }

    let unknown = receiver.cli(&["explain", "never-came"]);
    assert_eq!(unknown.status.code(), Some(1));
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        error.contains("never-came") && error.contains("never arrived"),
        "{error}"
    );
}

#[test]
fn what_would_become_of_a_push_is_told_and_nothing_is_stored() {
    let receiver = Receiver::configured(&base_with("source", "token = [\"s3cret\"]"));
    let file = receiver.folder.join("body.json");
    let body = json!({"event_id": "e", "event_type": "i_ack", "event_time": now(),
        "incident": {"incident_id": "7"}});
    std::fs::write(&file, body.to_string()).unwrap();
    std::fs::write(receiver.folder.join("broken.json"), "{\n\"event_type\" 1}").unwrap();
    let peer = ["--file", "body.json", "--peer", "127.0.0.1"];
    let sender = ["-H", "X-Forwarded-For: 47.94.95.118"];
    let token = ["-H", "X-Flashduty-Token: s3cret"];
    let told = |parts: &[&[&str]]| {
        let told = explained(&receiver, &parts.concat());
        assert!(!told.contains("s3cret"), "{told}");
        told
    };
    let good = told(&[
        &peer,
        &sender,
        &token,
        &["--tag", "ops", "--query", "team=a"],
    ]);
    assert!(
        good.contains("route /ops?team=a") && good.contains("answered 200"),
        "{good}"
    );
    let stranger = told(&[&peer, &["-H", "X-Forwarded-For: 192.0.2.1"], &token]);
    assert!(
        stranger.contains("not_allowed") && stranger.contains("answered 403"),
        "{stranger}"
    );
    let nameless = told(&[&peer, &sender]);
    assert!(nameless.contains("answered 401"), "{nameless}");
    let direct = told(&[&["--file", "body.json", "--peer", SENDER], &token]);
    assert!(direct.contains("answered 200"), "{direct}");
    let broken = told(&[
        &["--file", "broken.json", "--peer", "127.0.0.1"],
        &sender,
        &token,
    ]);
    assert!(
        broken.contains("line 2, column 14") && broken.contains("answered 400"),
        "{broken}"
    );
    assert_eq!(receiver.rows("events").len(), 0);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    assert_eq!(
        receiver.metric("flashduty_events_total{outcome=\"accepted\"}"),
        0.0
    );
}

#[test]
fn without_a_peer_it_is_told_which_sinks_would_take_a_push_and_no_more() {
    let filters = "[sink.ops]\ntype = \"file\"\npath = \"ops.jsonl\"\nfilter = 'tag == \"ops\"'\n\
                   [sink.a]\ntype = \"file\"\npath = \"a.jsonl\"\nfilter = 'query == \"team=a\"'\n";
    let receiver = Receiver::start(filters);
    let body = json!({"event_id": "e", "event_type": "i_custom", "event_time": now()});
    std::fs::write(receiver.folder.join("body.json"), body.to_string()).unwrap();
    std::fs::write(receiver.folder.join("broken.json"), "{").unwrap();
    // As a person types it, who names neither a peer nor a receiver.
    let told = |parts: &[&str]| {
        let arguments = [&["explain", "--file"], parts].concat();
        let output = command(&receiver.folder, &arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = told(&["body.json"]);
    assert!(plain.contains("i_custom (a command)"), "{plain}");
    assert!(plain.contains("sink log takes every command"), "{plain}");
    assert!(plain.contains("sink ops does not take it"), "{plain}");
    assert!(
        !plain.contains("source.") && !plain.contains("answered"),
        "{plain}"
    );
    let routed = told(&["body.json", "--tag", "ops", "--query", "team=a"]);
    assert!(routed.contains("sink ops takes it: "), "{routed}");
    assert!(routed.contains("sink a takes it: "), "{routed}");
    let broken = told(&["broken.json"]);
    assert!(broken.contains("no sink gets it"), "{broken}");
}

#[test]
fn what_could_not_be_read_comes_in_once_the_configuration_is_mended() {
    let receiver = Receiver::start("");
    let body = r#"{"event": "i_ack", "content": {"id": "42"}}"#;
    let path = "/webhook/ops?team=a";
    let refused = receiver.client().push(path, body.as_bytes()).unwrap();
    assert_eq!(refused.status, 422, "{refused:?}");
    let listed: Value =
        serde_json::from_str(&receiver.told(&["--json", "unreadable"])).expect("one line");
    assert!(
        listed["reason"].to_string().contains("envelope.event_type"),
        "{listed}"
    );
    assert_eq!(listed["tag"], "ops");
    let id = listed["id"].to_string();
    let table = receiver.told(&["unreadable"]);
    assert!(
        table.contains("/ops?team=a") && table.contains(SENDER),
        "{table}"
    );
    assert_eq!(receiver.told(&["unreadable", "show", &id, "--body"]), body);

    let too_early = receiver.cli(&["unreadable", "offer", &id]);
    assert_eq!(too_early.status.code(), Some(1));
    let error = String::from_utf8(too_early.stderr).unwrap();
    assert!(error.contains("still cannot be used"), "{error}");
    let mended = "[envelope]\nevent_type = [\"/event\"]\nincident_id = [\"/content/id\"]\n";
    assert_eq!(receiver.reconfigure(&format!("{BASE}{mended}")).status, 200);
    let taken = receiver.told(&["unreadable", "offer", &id]);
    assert_eq!(taken, "accepted at position 1\n");
    let line = receiver
        .lines
        .wait("the event", |line| line["target"] == "flashduty::event");
    assert_eq!(line["origin"], "replay");
    assert_eq!(line["subject"], "incident:42");
    assert_eq!(line["tag"], "ops");
    assert_eq!(line["source_ip"], SENDER);
    assert_eq!(receiver.told(&["events", "show", "1", "--body"]), body);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    let again = receiver.cli(&["unreadable", "offer", &id]);
    assert_eq!(again.status.code(), Some(1), "it is in already");
    soak_line(
        1,
        "an unreadable push offered again",
        "accepted byte for byte after a reload",
    );
}

#[test]
fn all_that_could_not_be_read_is_offered_in_its_order_once_it_was_looked_at() {
    let receiver = Receiver::start("");
    for id in ["41", "42"] {
        let body = format!(r#"{{"event": "i_ack", "content": {{"id": "{id}"}}}}"#);
        assert_eq!(receiver.push(&body).status, 422);
    }
    assert_eq!(receiver.push("{").status, 400);
    let mended = "[envelope]\nevent_type = [\"/event\"]\nincident_id = [\"/content/id\"]\n";
    assert_eq!(receiver.reconfigure(&format!("{BASE}{mended}")).status, 200);

    let ahead = receiver.told(&["unreadable", "offer", "--all", "--dry-run"]);
    let lines: Vec<_> = ahead.lines().collect();
    assert_eq!(lines[..2], ["1 readable", "2 readable"], "{ahead}");
    assert!(lines[2].starts_with("3 unusable: it still cannot be used"));
    assert_eq!(lines[3], "2 would be taken; left alone: 1 unusable");
    let unasked = receiver.cli(&["unreadable", "offer", "--all"]);
    assert_eq!(unasked.status.code(), Some(2), "nobody was asked");
    assert_eq!(receiver.rows("unreadable").len(), 3);

    let taken = receiver.told(&[
        "unreadable",
        "offer",
        "--all",
        "--yes",
        "--reason",
        "mended",
    ]);
    assert!(
        taken.ends_with("2 taken; left alone: 1 unusable\n"),
        "{taken}"
    );
    let subjects = receiver.rows("events");
    let subjects: Vec<_> = subjects.iter().map(|row| &row["subject"]).collect();
    assert_eq!(subjects, ["incident:42", "incident:41"], "newest first");
    let left = receiver.rows("unreadable");
    assert_eq!((left.len(), &left[0]["id"]), (1, &Value::from(3)));
    let dropped = receiver.told(&["unreadable", "drop", "3", "--reason", "a test"]);
    assert_eq!(dropped, "dropped\n");
    let audit = receiver.rows("audit");
    let audit: Vec<_> = audit
        .iter()
        .map(|line| {
            (
                &line["action"],
                &line["selector"],
                &line["count"],
                &line["reason"],
            )
        })
        .map(|(action, selector, count, reason)| format!("{action} {selector} {count} {reason}"))
        .collect();
    let wanted = [
        r#""drop_unreadable" "id=3" 1 "a test""#,
        r#""offer_unreadable" "all" 2 "mended""#,
    ];
    assert_eq!(audit, wanted);
}
