//! Stopping without losing a request.

use tokio::time::Instant;

use super::super::progress::LAST_CALL;
use super::client::GET;
use super::*;
use crate::lifecycle::Farewell;

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

/// Options of a listener whose socket stays open elsewhere.
fn brief() -> ListenerOptions {
    ListenerOptions {
        farewell: Farewell::Brief,
        ..options()
    }
}

const HALF: &str = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";

#[tokio::test]
async fn a_brief_farewell_gives_half_a_body_a_moment_and_then_no_answer() {
    let server = Server::start(brief());
    let (mut quick, mut slow) = (server.client().await, server.client().await);
    let mut busy = server.client().await;
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.held().await;
    for client in [&mut quick, &mut slow] {
        client.send(HALF).await;
    }
    // Only once both have been accepted, or they would be left in the queue.
    while server.metrics.open.get() < 3 {
        tokio::task::yield_now().await;
    }
    server.lifecycle.close();
    quick.send("cd").await;
    assert!(quick.rest().await.ends_with('4'));
    slow.closed_silently().await;
    // What is complete is waited for.
    server.release();
    assert!(busy.rest().await.ends_with("held"));
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_brief_farewell_leaves_the_queue_to_whoever_has_the_socket() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inherit = || Listener::from_std(socket.try_clone().unwrap()).unwrap();
    let first = Server::serve(inherit(), brief(), Lifecycle::default());
    let mut served = first.client().await;
    assert!(served.ask(GET).await.ends_with("ok"));
    first.lifecycle.close();
    let address = first.address;
    first.ended().await.unwrap();
    let mut waiting = Client::connect(SENDER, address).await;
    waiting.send(GET).await;
    let next = Server::serve(inherit(), brief(), Lifecycle::default());
    assert!(waiting.answer().await.ends_with("ok"));
    drop(next);
}
