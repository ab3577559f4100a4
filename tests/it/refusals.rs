//! What bad input gets: the right status, a problem document, a line, a metric.

use std::time::Instant;

use serde_json::Value;

use crate::http::{Answer, Client, SENDER};
use crate::receiver::{PATIENCE, Receiver, base_with, now};

/// The detail of a problem document that is as it should be.
pub(crate) fn problem(answer: &Answer, status: u16, outcome: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    let document = answer.json();
    assert_eq!(document["type"], "about:blank", "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert_eq!(document["outcome"], outcome, "{document}");
    assert!(document["title"].is_string(), "{document}");
    document["detail"].as_str().unwrap().to_owned()
}

fn good(id: &str) -> Vec<u8> {
    let time = now();
    format!(r#"{{"event_id":"{id}","event_type":"i_new","event_time":{time}}}"#).into_bytes()
}

/// A body of about `size` bytes that would be taken.
fn large(id: &str, size: usize) -> Vec<u8> {
    let filler = "x".repeat(size);
    format!(r#"{{"event_id":"{id}","event_type":"i_new","filler":"{filler}"}}"#).into_bytes()
}

/// The push's line in the log.
fn line(receiver: &Receiver, outcome: &str, message: &str) -> Value {
    receiver.lines.wait(message, |line| {
        line["target"] == "flashduty::push"
            && line["outcome"] == outcome
            && line["message"].to_string().contains(message)
    })
}

#[test]
fn a_body_that_cannot_be_used_is_refused_with_its_place_and_kept() {
    let receiver = Receiver::start("");
    let cases: [(&[u8], u16, &str); 9] = [
        (b"{\n  \"event_type\": i_new}", 400, "line 2, column 17"),
        (b"", 400, "line 1, column 1"),
        (b"{\"event_type\":\"i_new\"", 400, "line 1, column 21"),
        (b"{\"event_type\":\"i_new\"} x", 400, "line 1, column 24"),
        (b"{\"event_type\":\"\xff\"}", 400, "line 1, column 16"),
        (b"[{\"event_type\":\"i_new\"}]", 422, "an array"),
        (b"\"i_new\"", 422, "a string"),
        (b"{\"event_id\":\"e\"}", 422, "envelope.event_type"),
        (b"{\"event_type\":{\"a\":1}}", 422, "envelope.event_type"),
    ];
    for (number, (body, status, place)) in cases.iter().enumerate() {
        let headers = format!("X-Forwarded-For: {SENDER}\r\n");
        let answer = receiver
            .client()
            .push_with("/webhook/odd?a=1", &headers, body)
            .unwrap();
        let detail = problem(&answer, *status, "invalid");
        assert!(detail.contains(place), "case {number}: {detail}");
    }
    let line = line(&receiver, "invalid", "line 2, column 17");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["source_ip"], SENDER);
    assert_eq!(line["peer_ip"], "127.0.0.1");
    let kept = receiver.rows("unreadable");
    assert_eq!(kept.len(), cases.len());
    for (row, (body, _, place)) in kept.iter().rev().zip(&cases) {
        assert!(row["reason"].to_string().contains(place), "{row}");
        assert_eq!(
            (row["tag"].as_str(), row["query"].as_str()),
            (Some("odd"), Some("a=1"))
        );
        let bytes = receiver.api(&format!("/api/v1/unreadable/{}/body", row["id"]));
        assert_eq!(bytes.body, *body);
    }
    assert_eq!(receiver.pushes("invalid"), cases.len() as f64);
    assert_eq!(
        receiver.metric("flashduty_unreadable_total"),
        cases.len() as f64
    );
    assert_eq!(receiver.rows("events").len(), 0);
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let receiver = Receiver::start("[admission]\nkeep_unreadable = 3\n");
    let mut client = receiver.client();
    for number in 0..8 {
        let answer = client.push("/webhook", format!("{{{number}").as_bytes());
        assert_eq!(answer.unwrap().status, 400);
    }
    let ids: Vec<_> = receiver
        .rows("unreadable")
        .iter()
        .map(|row| {
            receiver
                .api(&format!("/api/v1/unreadable/{}/body", row["id"]))
                .body
        })
        .collect();
    assert_eq!(ids, [b"{7", b"{6", b"{5"]);
}

#[test]
fn an_encoded_body_is_refused_and_kept_while_its_type_is_not_judged() {
    let receiver = Receiver::start("");
    let mut client = receiver.client();
    let from = format!("X-Forwarded-For: {SENDER}\r\n");
    let encoded = format!("{from}Content-Encoding: gzip\r\n");
    let answer = client.push_with("/webhook", &encoded, b"\x1f\x8b").unwrap();
    let detail = problem(&answer, 415, "invalid");
    assert!(detail.contains("content encoding"), "{detail}");
    assert_eq!(receiver.rows("unreadable").len(), 1);
    let plain = format!("{from}Content-Encoding: identity\r\n");
    let answer = client
        .push_with("/webhook", &plain, &good("plain"))
        .unwrap();
    assert_eq!(answer.outcome(), "accepted");

    let body = good("typed");
    let head = format!(
        "POST /webhook HTTP/1.1\r\n{from}Content-Type: text/html\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), &body].concat()).unwrap();
    assert_eq!(client.answer(false).unwrap().outcome(), "accepted");
}

#[test]
fn what_goes_to_the_wrong_place_is_told_where_to_go() {
    let receiver = Receiver::start("");
    let ask = |method: &str, path: &str| {
        let mut client = receiver.client();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {SENDER}\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        client.send(request.as_bytes()).unwrap();
        client.answer(false).unwrap()
    };
    let long_tag = format!("/webhook/{}", "a".repeat(65));
    let long_query = format!("/webhook?{}", "a".repeat(1025));
    let astray = [
        ("/nothing", "server.path"),
        ("/webhook/", "server.path"),
        ("/webhook/a/b", "server.path"),
        ("/webhook/a%2Fb", "a tag is"),
        ("/webhook/a%00", "a tag is"),
        ("/webhook/%ff", "a tag is"),
        ("/webhook/%C3%A9", "a tag is"),
        (&long_tag, "a tag is"),
        (&long_query, "query string"),
    ];
    for (path, told) in astray {
        let detail = problem(&ask("POST", path), 404, "invalid");
        assert!(detail.contains(told), "{path}: {detail}");
    }
    for (method, path, allowed) in [
        ("PUT", "/webhook", "POST"),
        ("DELETE", "/webhook/ops", "POST"),
        ("POST", "/livez", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let answer = ask(method, path);
        let detail = problem(&answer, 405, "invalid");
        assert!(detail.contains("POST"), "{detail}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    assert_eq!(receiver.pushes("invalid"), 13.0);
    assert_eq!(
        line(&receiver, "invalid", "server.path")["source_ip"],
        SENDER
    );
    assert_eq!(ask("GET", "/nothing").status, 404);
    assert_eq!(ask("GET", "/webhook").status, 405);
    assert_eq!(receiver.pushes("invalid"), 13.0, "a look is no push");
    let tag = format!("/webhook/{}", "aZ0._-".repeat(10));
    assert_eq!(ask("POST", &tag).status, 422, "of 60 good characters");
    assert_eq!(receiver.rows("unreadable").len(), 1, "of that one only");
}

#[test]
fn what_strangers_ask_for_beside_the_webhook_is_no_push() {
    let receiver = Receiver::start("");
    let ask = |path: &str| {
        let from = "X-Forwarded-For: 192.0.2.7\r\n";
        receiver.client().push_with(path, from, b"{}").unwrap()
    };
    let answer = ask("/wp-login.php");
    assert_eq!(answer.status, 404);
    assert!(answer.json()["outcome"].is_null(), "{answer:?}");
    assert_eq!(ask("/livez").status, 405);
    let line = line(&receiver, "invalid", "server.path");
    assert_eq!(line["source_ip"], "192.0.2.7");
    assert_eq!(receiver.pushes("invalid"), 0.0);
    // At the webhook it is one, which is denied before its tag is looked at.
    problem(&ask("/webhook/a%2Fb"), 403, "denied");
    assert_eq!(receiver.pushes("denied"), 1.0);
}

#[test]
fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let receiver = Receiver::configured(&base_with("server", "max_body = \"100KiB\""));
    let from = format!("X-Forwarded-For: {SENDER}\r\n");
    // Nothing of it needs to arrive.
    let mut declared = receiver.client();
    let head = format!("POST /webhook HTTP/1.1\r\n{from}Content-Length: 102401\r\n\r\n");
    declared.send(head.as_bytes()).unwrap();
    let detail = problem(&declared.answer(false).unwrap(), 413, "too_large");
    assert!(detail.contains("server.max_body, 102400 bytes"), "{detail}");
    assert!(declared.is_closed(), "its body may be on the way");

    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let head = format!("POST /webhook HTTP/1.1\r\n{from}Transfer-Encoding: chunked\r\n\r\n");
    let mut chunked = receiver.client();
    chunked.send(head.as_bytes()).unwrap();
    chunked.send(&chunk(&[b' '; 60_000])).unwrap();
    chunked.send(&chunk(&[b' '; 42_401])).unwrap();
    problem(&chunked.answer(false).unwrap(), 413, "too_large");
    assert!(chunked.is_closed());
    assert_eq!(receiver.pushes("too_large"), 2.0);
    line(&receiver, "too_large", "server.max_body");

    let mut fits = receiver.client();
    fits.send(head.as_bytes()).unwrap();
    let body = large("fits", 102_400 - 52);
    assert!(body.len() <= 102_400 && body.len() > 102_390);
    for piece in body.chunks(30_000) {
        fits.send(&chunk(piece)).unwrap();
    }
    fits.send(b"0\r\n\r\n").unwrap();
    assert_eq!(fits.answer(false).unwrap().outcome(), "accepted");
    assert_eq!(receiver.api("/api/v1/events/1/body").body, body);
    assert_eq!(receiver.rows("unreadable").len(), 0);
}

#[test]
fn large_bodies_beyond_their_memory_are_refused_and_small_ones_are_not() {
    let receiver = Receiver::configured(&base_with(
        "server",
        "max_body = \"1060KB\"
max_inflight = \"1060KB\"",
    ));
    // Two that do not fit together, both unfinished: the one that is read more slowly has no room.
    let bodies = ["one", "two"].map(|id| large(id, 700_000));
    let mut clients = bodies.each_ref().map(|body| {
        let mut client = receiver.client();
        let head = format!(
            "POST /webhook HTTP/1.1\r\nX-Forwarded-For: {SENDER}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes()).unwrap();
        client.send(&body[..690_000]).unwrap();
        client
    });
    line(&receiver, "overloaded", "server.max_inflight");
    let small = receiver.client().push("/webhook", &large("small", 60_000));
    assert_eq!(small.unwrap().outcome(), "accepted");
    let mut answers: Vec<Answer> = Vec::new();
    for (client, body) in clients.iter_mut().zip(&bodies) {
        // One of them is not read any more.
        let _sent = client.send(&body[690_000..]);
        answers.push(client.answer(false).unwrap());
    }
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].outcome(), "accepted");
    let detail = problem(&answers[1], 503, "overloaded");
    assert!(detail.contains("server.max_inflight"), "{detail}");
    assert_eq!(receiver.pushes("overloaded"), 1.0);
    // The memory is free again, and the largest body that is allowed takes no more than all of it.
    let again = receiver
        .client()
        .push("/webhook", &large("last", 1_059_900));
    assert_eq!(again.unwrap().outcome(), "accepted");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let receiver = Receiver::configured(&base_with("server", "header_timeout = \"300ms\""));
    let mut client = receiver.client();
    let head = format!(
        "POST /webhook HTTP/1.1\r\nX-Forwarded-For: {SENDER}\r\nContent-Length: 100\r\n\r\n{{"
    );
    let began = Instant::now();
    client.send(head.as_bytes()).unwrap();
    let detail = problem(&client.answer(false).unwrap(), 408, "timeout");
    assert!(began.elapsed().as_millis() >= 300);
    assert!(detail.contains("300ms"), "{detail}");
    assert!(client.is_closed());
    line(&receiver, "timeout", "300ms");
    assert_eq!(receiver.pushes("timeout"), 1.0);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    // A head that does not come is no push at all.
    let mut silent = receiver.client();
    silent.send(b"POST /webhook HTTP/1.1\r\nHo").unwrap();
    assert!(silent.is_closed());
    assert_eq!(receiver.pushes("timeout"), 1.0);
}

#[test]
fn probes_of_every_kind_are_answered_and_leave_no_trace() {
    let receiver = Receiver::start("");
    for path in ["/livez", "/readyz", "/"] {
        for method in ["GET", "HEAD"] {
            for version in ["1.0", "1.1"] {
                for host in ["", "Host: 10.0.0.7:8080\r\n", "Host: \r\n"] {
                    let mut client = receiver.client();
                    let probe = format!("{method} {path} HTTP/{version}\r\n{host}\r\n");
                    client.send(probe.as_bytes()).unwrap();
                    let answer = client.answer(method == "HEAD").unwrap();
                    assert_eq!(answer.status, 200, "{probe}");
                    assert!(answer.header("x-request-id").is_some(), "{probe}");
                    assert_eq!(answer.body.is_empty(), method == "HEAD", "{probe}");
                    if version == "1.0" {
                        assert!(client.is_closed(), "{probe}");
                    }
                }
            }
        }
    }
    for _ in 0..20 {
        // A balancer's TCP probe: a connection, and its end.
        drop(receiver.client());
    }
    let before = receiver.lines.all().len();
    let pushed = receiver.client().push("/webhook", &good("one")).unwrap();
    assert_eq!(pushed.outcome(), "accepted");
    receiver
        .lines
        .wait("the push", |line| line["event_id"] == "one");
    let lines = receiver.lines.all();
    assert_eq!(lines.len(), before + 1, "{lines:?}");
    let of_start = lines
        .iter()
        .position(|line| line["message"] == "ready for pushes");
    assert_eq!(of_start, Some(before - 1), "{lines:?}");
    let metrics = String::from_utf8(receiver.api("/metrics").body).unwrap();
    let counted: f64 = metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix("flashduty_pushes_total{")?
                .split_once(' ')
        })
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum();
    assert_eq!(counted, 1.0);
}

#[test]
fn old_http_can_push() {
    let receiver = Receiver::start("");
    let mut client = Client::connect(receiver.public, PATIENCE).unwrap();
    let body = good("old");
    let head = format!(
        "POST /webhook HTTP/1.0\r\nX-Forwarded-For: {SENDER}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), &body].concat()).unwrap();
    assert_eq!(client.answer(false).unwrap().outcome(), "accepted");
    assert!(client.is_closed());
}
