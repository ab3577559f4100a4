//! Stopping without losing a request.

use tokio::time::Instant;

use super::super::progress::LAST_CALL;
use super::client::GET;
use super::*;

#[tokio::test]
async fn while_draining_every_answer_ends_its_connection_and_new_ones_are_taken() {
    let server = Server::start(options());
    let mut old = server.client().await;
    assert!(!old.ask(GET).await.contains("connection: close"));
    server.lifecycle.drain();
    for mut client in [old, server.client().await] {
        client.send(GET).await;
        let answer = client.rest().await;
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_made_before_closing_may_still_send_its_request() {
    let server = Server::start(options());
    let mut fresh = server.client().await;
    let mut used = server.client().await;
    assert!(used.ask(GET).await.ends_with("ok"));
    server.lifecycle.close();
    assert!(fresh.stays_open(LAST_CALL / 10).await);
    for client in [&mut fresh, &mut used] {
        client.send(GET).await;
        assert!(client.rest().await.contains("\r\nconnection: close\r\n"));
    }
    server.ended().await.unwrap();
}

#[tokio::test]
async fn connections_queued_in_the_kernel_when_closing_begins_are_served() {
    let listener = Listener::bind(SocketAddr::new(SENDER, 0)).unwrap();
    let address = listener.local_addr();
    let mut queued = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(SENDER, address).await;
        client.send(GET).await;
        queued.push(client);
    }
    let lifecycle = Lifecycle::default();
    lifecycle.close();
    let server = Server::serve(listener, options(), lifecycle);
    for mut client in queued {
        assert!(client.rest().await.ends_with("ok"));
    }
    server.ended().await.unwrap();
}

#[tokio::test]
async fn requests_in_flight_finish_and_no_new_connection_is_taken() {
    let server = Server::start(options());
    let mut busy = server.client().await;
    busy.send("GET /hold HTTP/1.1\r\n\r\n").await;
    server.held().await;
    let mut idle = server.client().await;
    server.lifecycle.close();
    idle.closed_silently().await;
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
    server.release();
    assert!(busy.rest().await.ends_with("held"));
    server.ended().await.unwrap();
}

#[tokio::test]
async fn what_is_not_done_by_the_drain_timeout_is_cut_off() {
    let server = Server::start(ListenerOptions {
        drain_timeout: SHORT,
        ..options()
    });
    let mut stuck = server.client().await;
    stuck.send("GET /hold HTTP/1.1\r\n\r\n").await;
    server.held().await;
    server.lifecycle.close();
    stuck.closed_silently().await;
    server.ended().await.unwrap();
}

#[tokio::test]
async fn idle_connections_delay_the_end_by_no_more_than_the_last_call() {
    let server = Server::start(options());
    let mut idle = server.client().await;
    assert!(idle.ask(GET).await.ends_with("ok"));
    let closing = Instant::now();
    server.lifecycle.close();
    idle.closed_silently().await;
    server.ended().await.unwrap();
    assert!(closing.elapsed() >= LAST_CALL);
    assert!(closing.elapsed() < options().drain_timeout);
}
