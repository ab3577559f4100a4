//! Heads that are no HTTP, and what they get: the same as every other refusal.

use crate::http::Answer;
use crate::receiver::{BASE, Receiver, base_with};
use crate::refusals::problem;

/// The answer to `bytes`, behind which the connection is closed.
fn answer(receiver: &Receiver, bytes: &[u8]) -> Answer {
    let mut client = receiver.client();
    client.send(bytes).unwrap();
    let answer = client.answer(false).unwrap();
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert!(answer.header("date").is_some(), "{answer:?}");
    assert!(client.is_closed());
    answer
}

#[test]
fn a_head_that_is_no_http_gets_a_problem_a_line_and_a_count() {
    // Connected directly, so that the line can name the sender.
    let receiver = Receiver::configured(&BASE.replace(
        "trusted_proxies = [\"127.0.0.0/8\"]",
        "allow = [\"127.0.0.1\"]",
    ));
    let large = format!("POST /webhook HTTP/1.1\r\nX: {}", "x".repeat(70_000));
    let cases: [(&[u8], u16, &str); 6] = [
        (
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            400,
            "this port speaks plain HTTP",
        ),
        (b"what?\r\n\r\n", 400, "HTTP/1.1 and HTTP/1.0"),
        (b"POST /webhook HTTP/3.0\r\n\r\n", 400, "HTTP version"),
        (
            b"POST /webhook HTTP/1.1\r\nX y: z\r\n\r\n",
            400,
            "HTTP header",
        ),
        (
            b"POST /webhook HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
            400,
            "content-length",
        ),
        (large.as_bytes(), 431, "larger than 65536 bytes"),
    ];
    let mut ids = Vec::new();
    for (bytes, status, told) in cases {
        let answer = answer(&receiver, bytes);
        let detail = problem(&answer, status, "invalid");
        assert!(detail.contains(told), "{detail}");
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), cases.len(), "each has its own");
    let line = receiver.lines.wait("the TLS client's line", |line| {
        line["message"].to_string().contains("plain HTTP")
    });
    assert_eq!(line["target"], "flashduty::push");
    assert_eq!(line["outcome"], "invalid");
    assert_eq!(line["source_ip"], "127.0.0.1");
    assert_eq!(line["peer_ip"], "127.0.0.1");
    assert_eq!(receiver.pushes("invalid"), cases.len() as f64);
    assert_eq!(receiver.rows("unreadable").len(), 0);
}

#[test]
fn a_look_that_is_no_http_is_no_push() {
    let receiver = Receiver::start("");
    let looked = answer(&receiver, b"GET /readyz HTTP/3.0\r\n\r\n");
    assert_eq!(looked.status, 400);
    let document = looked.json();
    assert_eq!(document["status"], 400, "{document}");
    assert!(document.get("outcome").is_none(), "{document}");
    assert!(looked.header("x-request-id").is_some(), "{looked:?}");
    assert_eq!(receiver.pushes("invalid"), 0.0);
}

#[test]
fn a_flood_of_heads_that_are_no_http_is_a_few_lines_and_an_exact_count() {
    let receiver = Receiver::configured(&base_with("server", "max_connections = 100"));
    for _ in 0..100 {
        problem(&answer(&receiver, b"what?\r\n\r\n"), 400, "invalid");
    }
    assert_eq!(receiver.pushes("invalid"), 100.0);
    // Anybody can send them: of the budget they use up nothing, and hide nothing that is used up.
    let budget = ["kept", "missed"].map(|outcome| {
        receiver.metric(&format!(
            "flashduty_ack_budget_total{{outcome=\"{outcome}\"}}"
        ))
    });
    assert_eq!(budget, [0.0, 0.0]);
    let lines = receiver.lines.all();
    let refused = lines.iter().filter(|line| line["outcome"] == "invalid");
    // Five in ten seconds; the loop may last longer on a busy machine.
    assert!((1..=10).contains(&refused.count()), "{lines:?}");
}

#[test]
fn the_admin_port_answers_a_head_that_is_no_http_with_a_problem() {
    let receiver = Receiver::start("");
    let mut client =
        crate::http::Client::connect(receiver.admin, crate::receiver::PATIENCE).unwrap();
    client.send(b"what?\r\n\r\n").unwrap();
    let answer = client.answer(false).unwrap();
    assert_eq!(answer.status, 400);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"));
    assert_eq!(receiver.pushes("invalid"), 0.0);
}
