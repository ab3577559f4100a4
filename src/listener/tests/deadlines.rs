//! Slow peers are cut off in time, and only they.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::Frame;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::GET;
use super::*;

#[tokio::test]
async fn half_a_head_is_closed_at_its_deadline_while_others_are_served() {
    let server = Server::start(short_heads());
    let mut slow = server.client().await;
    let mut good = server.client().await;
    let began = Instant::now();
    slow.send("GET / HTTP/1.1\r\nHo").await;
    while slow.stays_open(SHORT / 20).await {
        assert!(good.ask(GET).await.ends_with("ok"));
    }
    assert!(began.elapsed() >= SHORT);
    assert!(good.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn a_byte_at_a_time_does_not_extend_the_deadline() {
    let server = Server::start(short_heads());
    let mut slow = server.client().await;
    let began = Instant::now();
    slow.send("GET / HTTP/1.1\r\nX: ").await;
    while slow.stays_open(SHORT / 20).await {
        slow.send("x").await;
        assert!(began.elapsed() < BROKEN);
    }
    assert!(began.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_silent_connection_is_closed_without_an_answer() {
    let server = Server::start(short_heads());
    let began = Instant::now();
    server.client().await.closed_silently().await;
    assert!(began.elapsed() >= SHORT);
}

#[tokio::test]
async fn between_requests_a_connection_may_be_silent_for_longer_than_a_head_may_take() {
    let server = Server::start(short_heads());
    let mut client = server.client().await;
    for _ in 0..2 {
        assert!(client.ask(GET).await.ends_with("ok"));
        assert!(client.stays_open(2 * SHORT).await);
    }
    assert!(client.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn a_stray_line_break_begins_no_head() {
    let server = Server::start(short_heads());
    let mut client = server.client().await;
    assert!(client.ask(GET).await.ends_with("ok"));
    client.send("\r\n").await;
    assert!(client.stays_open(2 * SHORT).await);
    assert!(client.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time() {
    let server = Server::start(ListenerOptions {
        idle_timeout: SHORT,
        ..options()
    });
    let mut client = server.client().await;
    assert!(client.ask(GET).await.ends_with("ok"));
    let answered = Instant::now();
    client.closed_silently().await;
    assert!(answered.elapsed() >= SHORT - Duration::from_millis(50));
}

#[tokio::test]
async fn a_request_in_work_has_no_deadline_of_the_connection() {
    let server = Server::start(ListenerOptions {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        ..options()
    });
    let mut client = server.client().await;
    client.send("GET /hold HTTP/1.1\r\n\r\n").await;
    assert!(client.stays_open(3 * SHORT).await);
    server.release();
    assert!(client.answer().await.ends_with("held"));
}

#[tokio::test]
async fn new_limits_apply_to_the_next_connection() {
    let server = Server::start(options());
    let mut before = server.client().await;
    assert!(before.ask(GET).await.ends_with("ok"));
    server.options.store(Arc::new(short_heads()));
    server.client().await.closed_silently().await;
    before.send("GET / HT").await;
    assert!(before.stays_open(2 * SHORT).await);
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_is_cut_off() {
    let given_up = Arc::new(Notify::new());
    let tell = Arc::clone(&given_up);
    let endless = move || async move { Body::new(Endless(tell)) };
    let listener = Listener::bind(SocketAddr::new(SENDER, 0)).unwrap();
    let address = listener.local_addr();
    let lifecycle = Lifecycle::default();
    let serving = Serving {
        router: Router::new().route("/", get(endless)),
        options: Arc::new(ArcSwap::from_pointee(ListenerOptions {
            write_timeout: SHORT,
            ..options()
        })),
        refuse: Arc::new(|_| http::Response::default()),
        gate: Gate::open(),
        metrics: ListenerMetrics::default(),
    };
    let _run = lifecycle.spawn(listener.run(serving, lifecycle.clone()));
    let mut client = Client::connect(SENDER, address).await;
    client
        .send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    let end = tokio::time::timeout(BROKEN, given_up.notified()).await;
    end.expect("the body is dropped");
}

/// A body without an end, which tells when it is dropped.
struct Endless(Arc<Notify>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65536])))))
    }
}
