//! A client that says exactly what the test tells it to, byte for byte.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::BROKEN;

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) struct Client {
    pub(super) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(from: IpAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = socket.connect(to).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends `head` and gives its answer.
    pub(super) async fn ask(&mut self, head: &str) -> String {
        self.send(head).await;
        self.answer().await
    }

    /// The next answer: head, and as much body as it announces.
    pub(super) async fn answer(&mut self) -> String {
        let head = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await;
        };
        let text = String::from_utf8_lossy(&self.unread[..head]).to_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < head + length {
            self.fill().await;
        }
        let answer = self.unread.drain(..head + length).collect();
        String::from_utf8(answer).unwrap()
    }

    /// Everything up to the server's end of the connection.
    pub(super) async fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.unread);
        let read = tokio::time::timeout(BROKEN, self.stream.read_to_end(&mut rest)).await;
        read.expect("the server closes").unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// Waits until the server has closed, and checks that it said nothing.
    pub(super) async fn closed_silently(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(BROKEN, self.stream.read(&mut byte)).await;
        // A reset is what a close looks like when bytes of ours were not read.
        let read = read.expect("the server closes").unwrap_or(0);
        assert_eq!(read, 0, "got a byte of an answer");
    }

    /// Whether the server leaves the connection open, silently, for `time`.
    pub(super) async fn stays_open(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        tokio::time::timeout(time, self.stream.read(&mut byte))
            .await
            .is_err()
    }

    async fn fill(&mut self) {
        let read = self.stream.read_buf(&mut self.unread);
        let read = tokio::time::timeout(BROKEN, read).await;
        let read = read.expect("an answer").unwrap();
        assert_ne!(read, 0, "closed after {:?}", self.unread);
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
