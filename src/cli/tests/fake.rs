//! A receiver that answers one request after the other, each with what it is told to.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::cli::api::Api;
use crate::cli::reader::Reader;
use crate::cli::tls::Known;

pub(crate) struct Fake {
    listener: TcpListener,
}

impl Fake {
    /// One that listens, and the way to it.
    pub(crate) async fn start() -> (Self, Reader) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let reader = Reader::Api(Api::new(&base, None, &Known::default()).unwrap());
        (Self { listener }, reader)
    }

    /// Answers 200 to each in turn; gives the bodies of the requests, which all must be for `wanted`,
    /// such as `POST /api/v1/drop`. Then nobody listens any more.
    pub(crate) async fn answer(self, wanted: &str, answers: &[&str]) -> Vec<Value> {
        let mut bodies = Vec::new();
        for answer in answers {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut seen = String::new();
            let body = loop {
                if let Some((head, body)) = seen.split_once("\r\n\r\n")
                    && body.len() == length(head)
                {
                    assert!(head.starts_with(&format!("{wanted} HTTP")), "{head}");
                    break match body {
                        "" => Value::Null,
                        body => serde_json::from_str(body).unwrap(),
                    };
                }
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "the request is cut: {seen}");
                seen.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            };
            bodies.push(body);
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + answer).as_bytes()).await.unwrap();
        }
        bodies
    }
}

fn length(head: &str) -> usize {
    let length = |line: &str| line.strip_prefix("content-length: ")?.parse().ok();
    head.lines().find_map(length).unwrap_or(0)
}
