//! Who may push: every refusal says why, none leaves more than a line, no secret is ever shown.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::http::{Answer, Client, SENDER};
use crate::receiver::{PATIENCE, Receiver, base_with, command};
use crate::refusals::problem;

/// An event whose id is `id`, and a body that nobody could use.
fn event(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","event_type":"i_new"}}"#)
}
const UNUSABLE: &str = "{";

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

fn push(receiver: &Receiver, headers: &str, body: &str) -> Answer {
    let mut client = receiver.client();
    client
        .push_with("/webhook", headers, body.as_bytes())
        .unwrap()
}

/// The lines about pushes that satisfy `wanted`.
fn lines(receiver: &Receiver, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut lines = receiver.lines.all();
    lines.retain(|line| line["target"] == "flashduty::push" && wanted(line));
    lines
}

#[test]
fn a_denied_source_is_told_its_address_and_the_log_says_what_to_change() {
    let receiver = Receiver::start("");
    let long = from(&format!("{}, 192.0.2.1", "x".repeat(4000)));
    let cases = [
        (
            from("192.0.2.7"),
            "not_allowed",
            "192.0.2.7",
            "source.allow",
        ),
        (
            from("47.94.95.118, 192.0.2.8"),
            "not_allowed",
            "192.0.2.8",
            "source.allow",
        ),
        (long, "not_allowed", "192.0.2.1", "source.allow"),
        (
            String::new(),
            "header_missing",
            "127.0.0.1",
            "source.client_ip_header",
        ),
        (
            from("unknown"),
            "header_unreadable",
            "127.0.0.1",
            "element 1 from the right",
        ),
        (
            from("127.0.0.3, 127.0.0.9"),
            "only_proxies",
            "127.0.0.1",
            "trusted by mistake",
        ),
    ];
    for (headers, reason, judged, hint) in &cases {
        for body in [&event("e"), UNUSABLE] {
            let detail = problem(&push(&receiver, headers, body), 403, "denied");
            assert_eq!(detail, format!("the source {judged} may not push here"));
        }
        let line = receiver.lines.wait(reason, |line| {
            line["reason"] == *reason
                && line["source_ip"].as_str().unwrap_or("127.0.0.1") == *judged
        });
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["outcome"], "denied");
        assert_eq!(line["peer_ip"], "127.0.0.1");
        assert!(line["hint"].to_string().contains(hint), "{line}");
        let forwarded = line["forwarded"].as_str().unwrap_or_default();
        assert_eq!(forwarded.is_empty(), headers.is_empty(), "{line}");
        assert!(forwarded.len() <= 256, "{line}");
    }
    assert_eq!(receiver.pushes("denied"), 2.0 * cases.len() as f64);
    assert_eq!(receiver.rows("events").len(), 0);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    let garbage = from("\"; \u{fffd},,unknown, 47.94.95.118");
    assert_eq!(push(&receiver, &garbage, &event("e")).outcome(), "accepted");
}

#[test]
fn a_proxy_nobody_told_of_is_named_with_the_place_to_put_it() {
    let configuration = base_with("source", "").replace("127.0.0.0/8", "127.0.0.9");
    let receiver = Receiver::configured(&configuration);
    let refused = push(&receiver, &from(SENDER), &event("e"));
    let detail = problem(&refused, 403, "denied");
    assert_eq!(detail, "the source 127.0.0.1 may not push here");
    let line = receiver
        .lines
        .wait("the denial", |line| line["reason"] == "peer_not_trusted");
    let hint = "peer 127.0.0.1 sent X-Forwarded-For but is not in source.trusted_proxies";
    assert!(line["hint"].to_string().contains(hint), "{line}");
    assert_eq!(line["forwarded"], SENDER);
}

#[test]
fn the_source_is_judged_before_the_body_comes() {
    let receiver = Receiver::start("");
    let mut client = receiver.client();
    client
        .send(b"POST /webhook HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 8000000\r\n\r\n")
        .unwrap();
    problem(&client.answer(false).unwrap(), 403, "denied");
    let endless = "POST /webhook HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\
                   Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = receiver.client();
    client.send(endless.as_bytes()).unwrap();
    problem(&client.answer(false).unwrap(), 403, "denied");
}

#[test]
fn a_hundred_refusals_of_one_source_are_a_few_lines_and_an_exact_count() {
    let receiver = Receiver::start("");
    let mut client = receiver.client();
    for _ in 0..100 {
        let answer = client
            .push_with("/webhook", &from("192.0.2.1"), b"{}")
            .unwrap();
        assert_eq!(answer.status, 403);
    }
    // A person looking for another source still finds it.
    assert_eq!(push(&receiver, &from("192.0.2.2"), "{}").status, 403);
    receiver
        .lines
        .wait("the other", |line| line["source_ip"] == "192.0.2.2");
    let written = lines(&receiver, |line| line["source_ip"] == "192.0.2.1").len();
    // Five in ten seconds; the loop may last longer on a busy machine.
    assert!((1..=10).contains(&written), "{written} lines");
    assert_eq!(receiver.pushes("denied"), 101.0);
}

/// A folder whose configuration asks for two secrets, one of them in a file.
fn with_secrets(folder: &Path) -> Receiver {
    std::fs::write(folder.join("token"), "file-hunter2\n").unwrap();
    let configuration = base_with(
        "source",
        "token = [\"file:token\", \"old-hunter2\"]\nheaders = { X-Team = [\"team-hunter2\"] }",
    );
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    Receiver::run(folder, command(folder, &[]))
}

fn headers(token: &str, team: &str) -> String {
    format!(
        "{}X-Flashduty-Token: {token}\r\nX-Team: {team}\r\n",
        from(SENDER)
    )
}

#[test]
fn a_missing_or_wrong_secret_is_refused_by_name_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = with_secrets(folder.path());
    let team = "X-Team: team-hunter2\r\n";
    for (headers, told) in [
        (from(SENDER) + team, "x-flashduty-token is missing"),
        (
            headers("wrong", "team-hunter2"),
            "x-flashduty-token is wrong",
        ),
        (
            headers("file-hunter", "team-hunter2"),
            "x-flashduty-token is wrong",
        ),
        (headers("file-hunter2\t", "wrong"), "x-team is wrong"),
        (
            headers("file-hunter2", "team-hunter2") + "X-Flashduty-Token: old-hunter2\r\n",
            "x-flashduty-token is wrong",
        ),
    ] {
        for body in [&event("e"), UNUSABLE] {
            let detail = problem(&push(&receiver, &headers, body), 401, "unauthorized");
            assert!(detail.contains(told), "{headers}: {detail}");
        }
    }
    assert_eq!(receiver.pushes("unauthorized"), 10.0);
    assert_eq!(receiver.rows("events").len(), 0);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    let written = lines(&receiver, |line| line["outcome"] == "unauthorized");
    assert_eq!(written[0]["source_ip"], SENDER);
    for token in ["file-hunter2", "old-hunter2"] {
        let right = push(&receiver, &headers(token, "team-hunter2"), &event(token));
        assert_eq!(right.outcome(), "accepted", "either, while rotating");
    }
}

#[test]
fn a_secret_is_changed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = with_secrets(folder.path());
    let status =
        |token: &str| push(&receiver, &headers(token, "team-hunter2"), &event(token)).status;
    assert_eq!(status("old-hunter2"), 200);
    assert_eq!(status("new-hunter2"), 401);
    // The file alone: it is watched.
    let next = folder.path().join("next");
    std::fs::write(&next, "new-hunter2").unwrap();
    std::fs::rename(next, folder.path().join("token")).unwrap();
    receiver.lines.wait("the reload", |line| {
        line["message"].to_string().contains("read again")
    });
    assert_eq!(status("new-hunter2"), 200);
    assert_eq!(status("file-hunter2"), 401);
    assert_eq!(status("old-hunter2"), 200);
    let narrower = base_with(
        "source",
        "token = [\"file:token\"]\nheaders = { X-Team = [\"team-hunter2\"] }",
    );
    assert_eq!(receiver.reconfigure(&narrower).status, 200);
    assert_eq!(status("old-hunter2"), 401);
    assert_eq!(status("new-hunter2"), 200);
}

#[test]
fn no_secret_is_in_the_log_the_metrics_the_api_or_the_output_of_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = with_secrets(folder.path());
    std::fs::write(folder.path().join("body.json"), event("told")).unwrap();
    push(
        &receiver,
        &headers("old-hunter2", "team-hunter2"),
        &event("told"),
    );
    push(
        &receiver,
        &headers("old-hunter2", "wrong-hunter2"),
        &event("e"),
    );
    push(&receiver, &headers("old-hunter2", "team-hunter2"), UNUSABLE);
    let elsewhere =
        from("192.0.2.1") + "X-Flashduty-Token: old-hunter2\r\nX-Team: team-hunter2\r\n";
    push(&receiver, &elsewhere, &event("e"));
    receiver.signal("HUP");
    receiver.lines.wait("the reload", |line| {
        line["message"].to_string().contains("read again")
    });
    let wrong = base_with("source", "token = [\"other-hunter2\", 7]");
    assert_eq!(receiver.reconfigure(&wrong).status / 100, 4);
    let mut shown: Vec<String> = receiver.lines.all().iter().map(Value::to_string).collect();
    let refused = command(folder.path(), &["check"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let right = with_secrets_again(folder.path(), &receiver);
    assert_eq!(right.status, 200);
    let checked = command(folder.path(), &["check"]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    for output in [refused, checked] {
        shown.push(String::from_utf8(output.stdout).unwrap());
        shown.push(String::from_utf8(output.stderr).unwrap());
    }
    for path in [
        "/metrics",
        "/api/v1/status",
        "/api/v1/events/1",
        "/api/v1/unreadable",
    ] {
        shown.push(String::from_utf8(receiver.api(path).body).unwrap());
    }
    shown.push(receiver.told(&["explain", "told"]));
    let hypothetical = ["explain", "--file", "body.json", "--peer", "127.0.0.1"];
    let secret = [
        "-H",
        "X-Forwarded-For:47.94.95.118",
        "-H",
        "X-Flashduty-Token: old-hunter2",
    ];
    let output = command(folder.path(), &[&hypothetical[..], &secret].concat());
    shown.push(format!("{:?}", { output }.output().unwrap()));
    for text in &shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let all = shown.concat();
    assert!(
        all.contains("***") && all.contains("x-team is wrong"),
        "{all}"
    );
}

/// The configuration of [`with_secrets`], read again.
fn with_secrets_again(folder: &Path, receiver: &Receiver) -> Answer {
    std::fs::write(folder.join("token"), "file-hunter2\n").unwrap();
    receiver.reconfigure(&base_with(
        "source",
        "token = [\"file:token\", \"old-hunter2\"]\nheaders = { X-Team = [\"team-hunter2\"] }",
    ))
}

fn unlisted(receiver: &Receiver, address: &str) -> usize {
    let lines = receiver.lines.all();
    let about = |line: &&Value| {
        line["source_ip"] == address
            && line["message"]
                .to_string()
                .contains("this address is not listed")
    };
    lines.iter().filter(about).count()
}

#[test]
fn the_right_secret_from_an_address_that_is_not_listed_warns_once_a_minute() {
    let token = "token = [\"hunter2\"]";
    let receiver = Receiver::configured(&base_with("source", token));
    let moved = |address: &str| from(address) + "X-Flashduty-Token: hunter2\r\n";
    for _ in 0..3 {
        problem(
            &push(&receiver, &moved("192.0.2.1"), &event("e")),
            403,
            "denied",
        );
    }
    problem(
        &push(&receiver, &moved("192.0.2.2"), &event("e")),
        403,
        "denied",
    );
    let wrong = from("192.0.2.3") + "X-Flashduty-Token: wrong\r\n";
    problem(&push(&receiver, &wrong, &event("e")), 403, "denied");
    let last = lines_of(&receiver, "192.0.2.3");
    assert!(!last["hint"].to_string().contains("moved"), "{last}");
    assert_eq!(unlisted(&receiver, "192.0.2.1"), 1);
    assert_eq!(unlisted(&receiver, "192.0.2.2"), 1);
    assert_eq!(unlisted(&receiver, "192.0.2.3"), 0);
    let metric = "flashduty_unlisted_source_total";
    assert_eq!(receiver.metric(metric), 4.0);

    let by_secret = base_with("source", &format!("enforce = \"secret\"\n{token}"));
    assert_eq!(receiver.reconfigure(&by_secret).status, 200);
    let taken = push(&receiver, &moved("192.0.2.4"), &event("e"));
    assert_eq!(taken.outcome(), "accepted");
    problem(&push(&receiver, &wrong, &event("e")), 401, "unauthorized");
    receiver
        .lines
        .wait("the event", |line| line["event_id"] == "e");
    assert_eq!(unlisted(&receiver, "192.0.2.4"), 1);
    assert_eq!(receiver.metric(metric), 5.0);
}

fn lines_of(receiver: &Receiver, source: &str) -> Value {
    receiver.lines.wait(source, |line| {
        line["target"] == "flashduty::push" && line["source_ip"] == source
    })
}

#[test]
fn a_balancer_that_speaks_the_proxy_protocol_names_the_client() {
    let keys = "proxy_protocol = \"required\"\nclient_ip_header = \"none\"";
    let receiver = Receiver::configured(&base_with("source", keys));
    let push_behind = |header: &[u8], id: &str| {
        let mut client = connect(receiver.public);
        client.send(header).unwrap();
        client.push_with("/webhook", "", event(id).as_bytes())
    };
    let v1 = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 1000 80\r\n").into_bytes();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([47, 94, 95, 118, 10, 0, 0, 1, 3, 232, 0, 80]);
    for (header, id) in [(v1(SENDER), "v1"), (v2, "v2")] {
        let answer = push_behind(&header, id).unwrap();
        assert_eq!(answer.outcome(), "accepted", "{id}: {answer:?}");
        let line = receiver.lines.wait(id, |line| line["event_id"] == id);
        assert_eq!(line["source_ip"], SENDER);
    }
    let detail = problem(&push_behind(&v1("192.0.2.1"), "e").unwrap(), 403, "denied");
    assert!(detail.contains("192.0.2.1"), "{detail}");
    assert!(push_behind(b"", "e").is_err(), "no header, no answer");
    assert_eq!(receiver.rows("events").len(), 2);
}

fn connect(address: SocketAddr) -> Client {
    Client::connect(address, PATIENCE).unwrap()
}
