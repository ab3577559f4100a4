//! Heads that cannot be read, and the whole answers they get all the same.

use super::client::GET;
use super::*;

/// What `bytes` get, up to the end of the connection.
async fn answer(server: &Server, bytes: impl AsRef<[u8]>) -> String {
    let mut client = server.client().await;
    client.send(bytes).await;
    client.rest().await
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_told_what_is_wrong_with_it() {
    let server = Server::start(options());
    let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(101));
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n";
    let cases: [(&[u8], u16, &str); 8] = [
        (b"no HTTP at all\r\n\r\n", 400, "HTTP/1.1 and HTTP/1.0"),
        (b"\0\0\0\0\r\n\r\n", 400, "invalid HTTP method"),
        (b"GET / HTTP/3.0\r\n\r\n", 400, "invalid HTTP version"),
        (
            b"GET / HTTP/1.1\r\nX y: z\r\n\r\n",
            400,
            "invalid HTTP header",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            400,
            "content-length",
        ),
        (hello, 400, "plain HTTP"),
        (large.as_bytes(), 431, "larger than 65536 bytes"),
        (many.as_bytes(), 431, "100 header lines"),
    ];
    for (bytes, status, told) in cases {
        let answer = answer(&server, bytes).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(body.contains(told), "{answer}");
        for line in [
            &format!("content-length: {}", body.len()),
            "connection: close",
            "x-client: 127.0.0.1",
        ] {
            assert_eq!(
                head.lines().filter(|one| one == &line).count(),
                1,
                "{line} in {head}"
            );
        }
        assert_eq!(head.matches("connection").count(), 1, "{head}");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_broken_head_behind_a_good_request_is_answered_after_it() {
    let server = Server::start(options());
    let answers = answer(&server, format!("{GET}what?\r\n\r\n")).await;
    let second = answers.split("HTTP/1.1 ").nth(2).expect("two answers");
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    assert!(
        second.starts_with("400 ") && second.contains("x-client"),
        "{answers}"
    );
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_answer_to_a_broken_head_request_has_no_body() {
    let server = Server::start(options());
    let answer = answer(&server, "HEAD / HTTP/3.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(!answer.contains("content-length: 0"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn half_a_head_is_no_reason_for_an_answer() {
    let server = Server::start(short_heads());
    let mut half = server.client().await;
    half.send("GET / HTTP/1.1\r\nHo").await;
    half.closed_silently().await;
    let mut gone = server.client().await;
    gone.send("GET / HTTP/1.1\r\nHo").await;
    tokio::io::AsyncWriteExt::shutdown(&mut gone.stream)
        .await
        .unwrap();
    gone.closed_silently().await;
}
