//! What both benches need: stores filled through the inbox itself, and servers asked over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Subject, hex};
use flashduty_receiver::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use flashduty_receiver::inbox::{Inbox as _, Offer, Order, SinkId, Wanted};

/// A folder on the disk the build is on: a temporary folder is often memory.
pub(crate) fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// How many stored events to measure with.
pub(crate) fn many() -> usize {
    let given = std::env::var("BENCH_EVENTS").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

/// Opens the store at `path` for `work`, and closes it.
pub(crate) fn with_inbox(path: &Path, work: impl AsyncFnOnce(&SqliteInbox)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let inbox = SqliteInbox::open(SqliteOptions {
            location: Location::File(path.to_owned()),
            lock_wait: Duration::ZERO,
            max_size: 0,
        })
        .unwrap();
        work(&inbox).await;
        inbox.close().await.unwrap();
    });
}

/// A sink that wants everything in order.
pub(crate) fn wanted_by(sink: SinkId) -> Arc<[Wanted]> {
    Arc::new([Wanted {
        sink,
        order: Order::Subject,
        fresh: true,
        stale: false,
    }])
}

/// An event that no other is like, about `subject` or about an incident of its own.
pub(crate) fn offer(subject: Option<String>, body: &Bytes, wanted: &Arc<[Wanted]>) -> Offer {
    let key = uuid::Uuid::new_v4().into_bytes();
    let id = hex(&key);
    let subject = subject.unwrap_or_else(|| id.chars().take(24).collect());
    Offer {
        event: Arc::new(Event {
            event_id: Some(Id::new(&id)),
            event_type: Id::new("i_new"),
            event_time: Some(1_700_000_000_000),
            subject: Some(Subject::Incident(Id::new(&subject))),
            route: Route::default(),
            command: false,
            source_ip: Some([127, 0, 0, 1].into()),
            peer_ip: Some([127, 0, 0, 1].into()),
            received_at: SystemClock.now(),
            origin: Origin::Push,
            trace_parent: None,
            body: body.clone(),
        }),
        key: Some(Key(key)),
        moves_mark: true,
        wanted: Arc::clone(wanted),
    }
}

/// The whole answer to a GET; empty while nobody listens.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let _sent = stream.write_all(request.as_bytes());
        let _read = stream.read_to_string(&mut answer);
    }
    answer
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
