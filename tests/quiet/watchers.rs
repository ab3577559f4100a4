//! Who watches the events come costs those who push them next to nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::pairs::{by_turns, steady, times_as_late};
use crate::receiver::{PATIENCE, Receiver, count, soak_line};

const WATCHERS: usize = 20;
/// What of a stream is kept, to find the last position in: longer than any message of these events.
const TAIL: usize = 4 << 10;

/// One that follows the stream, and takes whatever comes as soon as it comes.
struct Watcher {
    stream: TcpStream,
    seen: Arc<Seen>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// The last position that was read, and one more; zero before there was any.
    behind: AtomicI64,
    bytes: AtomicU64,
}

impl Watcher {
    fn follow(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        let request = b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).unwrap();
        let seen = Arc::new(Seen::default());
        let reading = {
            let (stream, seen) = (stream.try_clone().unwrap(), Arc::clone(&seen));
            std::thread::spawn(move || seen.read(stream))
        };
        Self {
            stream,
            seen,
            reading,
        }
    }

    /// Waits until it has read the event at `seq`, or of that as its position.
    fn wait_for(&self, seq: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.behind.load(Ordering::Relaxed) <= seq {
            let read = self.seen.bytes.load(Ordering::Relaxed);
            assert!(
                Instant::now() < deadline,
                "{read} bytes were read, and {seq} is not among them"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Goes away, and tells how many bytes came.
    fn leave(self) -> u64 {
        self.stream.shutdown(Shutdown::Both).unwrap();
        self.reading.join().unwrap();
        self.seen.bytes.load(Ordering::Relaxed)
    }
}

impl Seen {
    fn read(&self, mut stream: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        let mut text = Vec::new();
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            text.extend_from_slice(&buffer[..count]);
            if let Some(seq) = last_position(&text) {
                self.behind.store(seq + 1, Ordering::Relaxed);
            }
            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            text.drain(..text.len().saturating_sub(TAIL));
        }
    }
}

/// The last whole line of `text` that says a position.
fn last_position(text: &[u8]) -> Option<i64> {
    let mut upto = text.len();
    loop {
        let found = text[..upto]
            .windows(5)
            .rposition(|part| part == b"\nid: ")?;
        let line = &text[found + 5..];
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            return std::str::from_utf8(&line[..end]).ok()?.parse().ok();
        }
        // It is cut off here; the one before is whole.
        upto = found + 1;
    }
}

/// What was reached with so many that watch.
struct Reached {
    p99: Duration,
    pushes: usize,
    /// What all of them read.
    bytes: u64,
}

/// Pushes at a steady rate before the eyes of so many.
fn reach(watchers: usize, rate: u32) -> Reached {
    let receiver = Receiver::start("");
    let watchers: Vec<_> = (0..watchers)
        .map(|_| Watcher::follow(receiver.admin))
        .collect();
    // Each is told first where it is.
    watchers.iter().for_each(|watcher| watcher.wait_for(0));
    let (tally, p99) = steady(&receiver, rate, count(2, 10));
    let status = receiver.api("/api/v1/status").json();
    let last = status["inbox"]["last_seq"].as_i64().unwrap();
    watchers.iter().for_each(|watcher| watcher.wait_for(last));
    Reached {
        p99,
        pushes: tally.acknowledged.len(),
        bytes: watchers.into_iter().map(Watcher::leave).sum(),
    }
}

#[test]
fn twenty_who_watch_make_no_push_wait() {
    let _alone = crate::alone();
    let pairs = count(3, 5);
    let rate = u32::try_from(count(200, 500)).unwrap();
    let reached = by_turns(pairs, |watched| {
        reach(if watched { WATCHERS } else { 0 }, rate)
    });
    let tell = |with: &Reached, without: &Reached| {
        let (read, pushes) = (with.bytes >> 10, with.pushes);
        format!(
            "p99 {:.1?} and {:.1?}, {read} KiB read of {pushes} events",
            with.p99, without.p99
        )
    };
    let (later, shown) = times_as_late(&reached, |one| one.p99, tell);
    soak_line(
        83,
        "with and without 20 who follow the stream",
        &format!(
            "median of {pairs} pairs at {rate} pushes/s: p99 {later:.2} times; {}",
            shown.join("; ")
        ),
    );
}
