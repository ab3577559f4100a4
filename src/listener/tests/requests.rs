//! What clients and balancers really send, and what they get.

use tokio::io::AsyncWriteExt;

use super::client::GET;
use super::*;

#[tokio::test]
async fn old_and_new_http_is_served_with_and_without_a_host() {
    let server = Server::start(options());
    for (request, begins) in [
        (
            "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "HTTP/1.1 200",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200"),
        (
            "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n",
            "HTTP/1.0 200",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        (
            "GET http://10.0.0.1/ HTTP/1.1\r\nHost: b\r\n\r\n",
            "HTTP/1.1 200",
        ),
    ] {
        let answer = server.client().await.ask(request).await;
        assert!(answer.starts_with(begins), "{request:?}: {answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_request_gets_a_head_and_keeps_its_connection() {
    let server = Server::start(options());
    let mut client = server.client().await;
    client
        .send("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let server = Server::start(options());
    let mut client = server.client().await;
    for length in [0, 1, 300_000] {
        let body = "x".repeat(length);
        let head = format!("POST /length HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        assert!(
            client
                .ask(&head)
                .await
                .ends_with(&format!("\r\n\r\n{length}"))
        );
    }
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        assert!(client.ask(old).await.contains("connection: keep-alive"));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let server = Server::start(options());
    let mut client = server.client().await;
    client.send(GET.repeat(3)).await;
    for _ in 0..3 {
        assert!(client.answer().await.ends_with("ok"));
    }
}

#[tokio::test]
async fn a_client_that_shuts_its_side_after_its_last_byte_is_answered() {
    let server = Server::start(options());
    let mut client = server.client().await;
    client.send("GET /hold HTTP/1.1\r\n\r\n").await;
    client.stream.shutdown().await.unwrap();
    server.held().await;
    server.release();
    assert!(client.rest().await.ends_with("held"));
}

#[tokio::test]
async fn close_without_answer_is_an_end_of_file_and_no_byte() {
    let server = Server::start(options());
    let mut client = server.client().await;
    client.send("POST /vanish HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_answer_given_before_the_body_was_read_arrives_while_the_body_keeps_coming() {
    let server = Server::start(options());
    let mut client = server.client().await;
    let body = vec![b'x'; 8 << 20];
    let head = format!(
        "POST /refuse HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).await;
    client.send(body).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn the_router_sees_the_peer_and_when_each_request_began() {
    let server = Server::start(options());
    let mut client = server.stranger().await;
    let answer = client.ask("GET /peer HTTP/1.1\r\n\r\n").await;
    assert!(answer.ends_with("127.0.0.2"), "{answer}");

    client.send("G").await;
    assert!(client.stays_open(SHORT).await);
    assert!(age_of(&client.ask("ET /age HTTP/1.1\r\n\r\n").await) >= SHORT);
    assert!(client.stays_open(SHORT).await);
    assert!(age_of(&client.ask("GET /age HTTP/1.1\r\n\r\n").await) < SHORT);
}

fn age_of(answer: &str) -> Duration {
    let (_, millis) = answer.rsplit_once('\n').unwrap();
    Duration::from_millis(millis.parse().unwrap())
}

#[tokio::test]
async fn a_probe_that_only_connects_leaves_no_line_and_no_request() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(options());
    drop(server.client().await);
    // Accepted after the probe, and so are its requests.
    let mut client = server.client().await;
    let _answer = client.ask(GET).await;
    assert_eq!(server.requests(), 1);
    assert_eq!(String::from_utf8_lossy(&lines.0.lock().unwrap()), "");
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
