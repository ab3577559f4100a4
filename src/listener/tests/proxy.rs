//! The PROXY protocol in front of the first request.

use super::client::GET;
use super::*;

const V1: &str = "PROXY TCP4 203.0.113.7 127.0.0.1 56324 8080\r\n";
const PEER: &str = "GET /peer HTTP/1.1\r\n\r\n";

/// Version 2, TCP over IPv4, from 203.0.113.7 port 56324 to 127.0.0.1 port 8080.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([203, 0, 113, 7, 127, 0, 0, 1, 220, 4, 31, 144]);
    header
}

fn required() -> ListenerOptions {
    ListenerOptions {
        proxy_protocol: true,
        ..short_heads()
    }
}

#[tokio::test]
async fn a_trusted_peer_names_the_source_of_its_connection() {
    let server = Server::start(required());
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for (header, peer) in [
        (V1.as_bytes().to_vec(), "203.0.113.7 by 127.0.0.1"),
        (v2(), "203.0.113.7 by 127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "\r\n127.0.0.1"),
        (local, "\r\n127.0.0.1"),
    ] {
        let mut client = server.client().await;
        client.send([&header, PEER.as_bytes()].concat()).await;
        for _ in 0..2 {
            let answer = client.answer().await;
            assert!(answer.ends_with(peer), "{header:?}: {answer}");
            client.send(PEER).await;
        }
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces_and_apart_from_the_request() {
    let server = Server::start(ListenerOptions {
        proxy_protocol: true,
        ..options()
    });
    for header in [V1.as_bytes().to_vec(), v2()] {
        let mut client = server.client().await;
        for byte in header {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert!(client.stays_open(SHORT / 10).await);
        let answer = client.ask(PEER).await;
        assert!(answer.ends_with("203.0.113.7 by 127.0.0.1"), "{answer}");
    }
}

#[tokio::test]
async fn an_untrusted_peer_is_closed_at_once_whatever_it_sends() {
    let server = Server::start(ListenerOptions {
        proxy_protocol: true,
        ..options()
    });
    let mut client = server.stranger().await;
    client.closed_silently().await;
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_request_without_a_header_is_closed_without_an_answer() {
    let server = Server::start(ListenerOptions {
        proxy_protocol: true,
        ..options()
    });
    for garbage in [
        GET,
        "PROXY TCP9 ",
        "\r\n\r\n\0\r\nQUIX\n",
        "PROXY TCP4 1.2.3\r\n",
    ] {
        let mut client = server.client().await;
        client.send(garbage).await;
        client.closed_silently().await;
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_header_has_a_deadline_and_so_has_the_silence_behind_it() {
    let server = Server::start(required());
    for sent in ["", "PROXY TCP4 203.0", V1] {
        let mut client = server.client().await;
        client.send(sent).await;
        client.closed_silently().await;
    }
}

#[tokio::test]
async fn without_the_option_a_header_is_no_request() {
    let server = Server::start(short_heads());
    let mut client = server.client().await;
    client.send(V1).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_broken_head_behind_a_header_is_answered_to_the_client() {
    let server = Server::start(required());
    let mut client = server.client().await;
    client.send(format!("{V1}what?\r\n\r\n")).await;
    let answer = client.rest().await;
    assert!(answer.contains("x-client: 203.0.113.7"), "{answer}");
}

/// One whose header is read: the answer says so.
async fn named(server: &Server, client: &str) -> Client {
    let mut connection = server.client().await;
    connection.send(header(client)).await;
    assert!(connection.ask(GET).await.ends_with("ok"));
    connection
}

fn header(client: &str) -> String {
    format!("PROXY TCP4 {client} 127.0.0.1 56324 8080\r\n")
}

fn twenty() -> ListenerOptions {
    ListenerOptions {
        proxy_protocol: true,
        max_connections: 20,
        ..options()
    }
}

#[tokio::test]
async fn who_the_header_names_a_stranger_is_counted_as_one() {
    let server = Server::start(twenty());
    let mut first = named(&server, "203.0.113.7").await;
    let mut second = named(&server, "203.0.113.8").await;
    assert_eq!(server.metrics.evicted.get(), 0);
    let mut third = named(&server, "203.0.113.9").await;
    first.closed_silently().await;
    assert_eq!(server.metrics.evicted.get(), 1);
    assert!(second.ask(GET).await.ends_with("ok"));
    assert!(third.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn a_flood_of_strangers_behind_a_balancer_displaces_nobody_who_may_push() {
    let server = Server::start(twenty());
    let mut senders = Vec::new();
    for _ in 0..17 {
        senders.push(named(&server, "127.0.0.1").await);
    }
    // The balancer's own probe, which names nobody, is no stranger.
    let mut probe = server.client().await;
    assert!(
        probe
            .ask(&format!("PROXY UNKNOWN\r\n{GET}"))
            .await
            .ends_with("ok")
    );
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = server.client().await;
        stranger.send(header("203.0.113.7")).await;
        strangers.push(stranger);
    }
    for mut kept in senders.into_iter().chain([probe]) {
        assert!(kept.ask(GET).await.ends_with("ok"));
    }
    let mut last = named(&server, "203.0.113.7").await;
    assert!(last.ask(GET).await.ends_with("ok"));
    assert!(server.metrics.open.get() <= 20);
}

#[tokio::test]
async fn a_stranger_behind_a_balancer_is_closed_where_all_strangers_are_busy() {
    let server = Server::start(twenty());
    let mut busy = [
        named(&server, "203.0.113.7").await,
        named(&server, "203.0.113.8").await,
    ];
    for client in &mut busy {
        client.send("GET /hold HTTP/1.1\r\n\r\n").await;
        server.held().await;
    }
    let mut third = server.client().await;
    third.send(header("203.0.113.9")).await;
    third.closed_silently().await;
    let mut sender = named(&server, "127.0.0.1").await;
    assert!(sender.ask(GET).await.ends_with("ok"));
    for client in &mut busy {
        server.release();
        assert!(client.answer().await.ends_with("held"));
    }
    assert_eq!(server.metrics.evicted.get(), 0);
}
