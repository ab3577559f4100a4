//! What an attacker who may push, or may not, can make of the receiver: never more than a refusal.

use std::net::IpAddr;
use std::time::Instant;

use crate::http::{Client, SENDER};
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, count};

/// A request whose client will not wait for its answer.
fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {SENDER}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// From eight sides at once, each connection used once and closed when its body is sent.
fn flood(receiver: &Receiver, pushes: usize, body: &[u8]) {
    let request = request("/webhook", body);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..pushes / 8 {
                    let sent = Client::connect(receiver.public, PATIENCE)
                        .and_then(|mut client| client.send(&request));
                    drop(sent);
                }
            });
        }
    });
}

#[test]
fn pushes_whose_clients_hang_up_take_bounded_memory_and_hold_up_nobody_afterwards() {
    let receiver = Receiver::configured(&base_with(
        "server",
        "max_connections = 256\nmax_inflight = \"16MiB\"",
    ));
    let idle = receiver.memory();
    for filler in [&b"no JSON "[..], br#"{"event_type":"i_new"} "#] {
        let mut body = filler.to_vec();
        body.resize(60_000, b' ');
        flood(&receiver, count(8_000, 80_000), &body);
        let taken = receiver.memory().saturating_sub(idle) >> 20;
        assert!(taken < 120, "{taken} MiB");
    }
    // What was left behind is stored within moments, and then everybody is served again.
    let deadline = Instant::now() + PATIENCE;
    let accepted = || {
        let mut client = Client::connect(receiver.public, PATIENCE).ok()?;
        let answer = client.push("/webhook", br#"{"event_type":"i_new"}"#).ok()?;
        (answer.outcome() == "accepted").then_some(())
    };
    while accepted().is_none() {
        assert!(Instant::now() < deadline, "still refused");
    }
}

#[test]
fn slow_clients_that_announce_large_bodies_shut_out_nobody_who_sends_one() {
    let receiver = Receiver::start("");
    // Ten times 8 MiB are more than server.max_inflight.
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let mut bytes = request("/webhook", &vec![b' '; 8 << 20]);
            bytes.truncate(100_000);
            let mut client = receiver.client();
            client.send(&bytes).unwrap();
            client
        })
        .collect();
    let filler = " ".repeat((8 << 20) - 100);
    let body = format!(r#"{{"event_id":"large","event_type":"i_new"{filler}}}"#);
    assert_eq!(receiver.push(&body).outcome(), "accepted");
    assert_eq!(receiver.pushes("timeout"), 0.0, "the slow ones are there");
    drop(slow);
}

#[test]
fn odd_names_and_parameters_of_the_api_get_a_problem_and_break_nothing() {
    let receiver = Receiver::start("");
    assert_eq!(
        receiver.push(r#"{"event_type":"i_new"}"#).outcome(),
        "accepted"
    );
    for path in [
        "events/%ff",
        "events/%ff/body",
        "events/..",
        "events/99999999999999999999",
        "subjects/%ff",
        "subjects/person:1",
        "unreadable/%ff",
        "unreadable/-1",
        "/events",
        "%2fevents",
        "events?cursor=zz",
        "events?cursor=%ff",
        "events?cursor=-9223372036854775808",
        "events?subject=incident:1&cursor=1.5",
        "deliveries?cursor=zz",
        "subjects?cursor=%00",
        "unreadable?cursor=zz",
        "events?limit=0",
        "events?%ff=1",
        "events?since=-99999999999d",
    ] {
        let answer = receiver.api(&format!("/api/v1/{path}"));
        assert!((400..=404).contains(&answer.status), "{path}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
    }
    // The ends of what a number can be.
    for path in [
        "deliveries?seq=-9223372036854775808",
        "deliveries?seq=9223372036854775807",
        "events?cursor=9223372036854775807",
        "events?event_id=%00%ff",
        "events?subject=incident:%27%00",
    ] {
        assert_eq!(
            receiver.api(&format!("/api/v1/{path}")).status,
            200,
            "{path}"
        );
    }
    assert_eq!(receiver.api("/api/v1/status").status, 200);
}

#[test]
fn a_request_id_is_repeated_only_when_it_is_plain() {
    let receiver = Receiver::start("");
    let long = "x".repeat(129);
    for (lines, repeated) in [
        ("X-Request-Id: 4bf92f35-77b3/4da6\r\n", true),
        ("", false),
        ("X-Request-Id: <b>\u{e9}\r\n", false),
        ("X-Request-Id: a b\r\n", false),
        ("X-Request-Id: a\r\nX-Request-Id: b\r\n", false),
        (&*format!("X-Request-Id: {long}\r\n"), false),
    ] {
        let answer = receiver
            .client()
            .push_with("/webhook", lines, b"{}")
            .unwrap();
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == "4bf92f35-77b3/4da6", repeated, "{lines:?}");
        assert!((1..=128).contains(&id.len()), "{id}");
    }
}

#[test]
fn a_crowd_of_strangers_fills_neither_the_log_nor_the_lines_of_others() {
    let receiver = Receiver::configured(&BASE.replace("127.0.0.0/8", "127.0.0.1"));
    for number in 0..200_u8 {
        let stranger = IpAddr::from([127, 0, 1, number]);
        for _ in 0..5 {
            let mut client = Client::connect_from(stranger, receiver.public, PATIENCE).unwrap();
            let answer = client.push_with("/webhook", "", b"{}").unwrap();
            assert_eq!(answer.status, 403);
        }
    }
    assert_eq!(receiver.push("[]").status, 422);
    receiver.lines.wait("the sender's own line", |line| {
        line["outcome"] == "invalid" && line["source_ip"] == SENDER
    });
    let lines = receiver.lines.all();
    let denied = lines.iter().filter(|line| line["outcome"] == "denied");
    // A hundred in each ten seconds.
    assert!(denied.count() <= 300, "of a thousand");
    assert_eq!(receiver.pushes("denied"), 1000.0);
}

#[test]
fn made_up_urls_are_refused_once_there_are_too_many_and_the_known_ones_go_on() {
    const MOST: usize = 4096;
    let receiver = Receiver::start("");
    let body = br#"{"event_type":"i_new"}"#;
    let push = |path: &str| receiver.client().push(path, body).unwrap();
    assert_eq!(push("/webhook?team=a").outcome(), "accepted");
    std::thread::scope(|scope| {
        for side in 0..8 {
            let receiver = &receiver;
            scope.spawn(move || {
                let mut client = receiver.client();
                for number in 0..MOST / 8 {
                    client
                        .push(&format!("/webhook?{side}-{number}"), body)
                        .unwrap();
                }
            });
        }
    });
    let refused = push("/webhook?one=more");
    assert_eq!(refused.status, 404);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("4096 different URLs"), "{detail}");
    assert_eq!(push("/webhook/one-more").status, 404);
    assert_eq!(push("/webhook?team=a").outcome(), "accepted");
}
