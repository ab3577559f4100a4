//! What an attacker who may push, or may not, can make of the receiver: never more than a refusal.

use std::time::Instant;

use crate::http::{Client, SENDER};
use crate::receiver::{PATIENCE, Receiver, base_with, count};

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
