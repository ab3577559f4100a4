//! The stream of events, over real connections and a store in memory.

use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::admin::stream::Streams;
use crate::event::{Event, Id, Key, Route, Seq};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Batch, Inbox, Lookout, Offer, Prune, PruneWhat, Wanted};
use crate::lifecycle::Lifecycle;
use crate::listener::{Gate, Listener, ListenerMetrics, ListenerOptions, Serving};

/// Nothing in these tests takes this long unless it is broken.
const BROKEN: Duration = Duration::from_secs(30);
/// For a client that takes nothing, and between two requests.
const SHORT: Duration = Duration::from_millis(300);

/// Streams of a receiver that ends, and begins none.
pub(super) fn none(inbox: &Arc<dyn Inbox>) -> Streams {
    let (_never, stored) = watch::channel(Seq(0));
    let lifecycle = Lifecycle::default();
    lifecycle.drain();
    Streams::new(Lookout::new(Arc::clone(inbox), stored), lifecycle, 1)
}

/// A receiver's admin listener.
struct Server {
    inbox: Arc<SqliteInbox>,
    storing: watch::Sender<Seq>,
    lifecycle: Lifecycle,
    address: SocketAddr,
}

impl Server {
    /// With so many streams at most.
    fn start(most: usize) -> Self {
        let inbox = Arc::new(SqliteInbox::in_memory());
        let shared: Arc<dyn Inbox> = Arc::<SqliteInbox>::clone(&inbox);
        let (storing, stored) = watch::channel(Seq(0));
        let lifecycle = Lifecycle::default();
        let lookout = Lookout::new(Arc::clone(&shared), stored);
        let (looking, closing) = (Arc::clone(&lookout), lifecycle.closing_token());
        let _looking = lifecycle.spawn(async move {
            closing.run_until_cancelled(looking.run()).await;
        });
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let router = router(Admin {
            streams: Streams::new(lookout, lifecycle.clone(), most),
            inbox: shared,
            metrics: Metrics::new(),
            health: Arc::new(Nearly),
            hooks: Arc::new(Hooks),
            token: Arc::new(ArcSwapOption::from(None)),
            listen: address,
            clock: Arc::new(FixedClock),
        });
        let options = ListenerOptions {
            write_timeout: SHORT,
            idle_timeout: SHORT,
            drain_timeout: Duration::from_secs(1),
            ..ListenerOptions::default()
        };
        let serving = Serving {
            router,
            options: Arc::new(ArcSwap::from_pointee(options)),
            refuse: refuse_heads(),
            gate: Gate::open(),
            metrics: ListenerMetrics::default(),
        };
        let _serving = lifecycle.spawn(listener.run(serving, lifecycle.clone()));
        Self {
            inbox,
            storing,
            lifecycle,
            address,
        }
    }

    /// Stores an event, as a push to the route with this query, and tells of it.
    async fn store(&self, id: &str, event_type: &str, query: Option<&str>) -> Seq {
        let mut key = [0; 16];
        for (place, byte) in key.iter_mut().zip(id.bytes()) {
            *place = byte;
        }
        let event = Event {
            event_id: Some(Id::new(id)),
            event_type: Id::new(event_type),
            event_time: None,
            route: Route {
                tag: None,
                query: query.map(Into::into),
            },
            ..Event::sample("{}")
        };
        let offer = Offer {
            event: Arc::new(event),
            key: Some(Key(key)),
            moves_mark: true,
            wanted: Vec::<Wanted>::new().into(),
        };
        let batch = Batch {
            offers: vec![offer],
            ..Batch::default()
        };
        let committed = self.inbox.commit(Arc::new(batch), at(0)).await.unwrap();
        let seq = committed.offered[0].seq;
        self.storing.send_replace(seq);
        seq
    }

    async fn store_all(&self, ids: &[&str]) {
        for id in ids {
            self.store(id, "i_new", None).await;
        }
    }

    /// Asks for a stream; `last` is what a client says that has been here.
    async fn follow(&self, query: &str, last: Option<i64>) -> Follower {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let last = last.map(|seq| format!("Last-Event-ID: {seq}\r\n"));
        let head = format!(
            "GET /api/v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            last.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut follower = Follower {
            stream: BufReader::new(stream),
            head: String::new(),
        };
        while !follower.head.ends_with("\r\n\r\n") {
            let head = &mut follower.head;
            let read = timeout(BROKEN, follower.stream.read_line(head)).await;
            assert_ne!(read.unwrap().unwrap(), 0, "it ended");
        }
        follower
    }

    /// As soon as there is a seat: a client that is gone keeps its own until that is noticed, by what
    /// is written to it.
    async fn follow_when_there_is_room(&self) -> Follower {
        let following = async {
            for turn in 0.. {
                self.store(&format!("room{turn}"), "i_new", None).await;
                let follower = self.follow("", None).await;
                if follower.status() == "200" {
                    return Some(follower);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            None
        };
        timeout(BROKEN, following).await.unwrap().unwrap()
    }
}

/// One who follows.
struct Follower {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Follower {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The next line of the body, between the marks of its chunks; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(BROKEN, self.stream.read_line(&mut line)).await;
        (read.expect("nothing comes").unwrap() > 0).then_some(line)
    }

    /// The next message that is one: its name, its id and its data.
    async fn message(&mut self) -> Option<(String, Option<i64>, Value)> {
        let (mut name, mut id) = (String::new(), None);
        loop {
            let line = self.line().await?;
            let line = line.trim_end();
            if line == "0" {
                return None;
            }
            match line.split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("id", text)) => id = Some(text.parse().unwrap()),
                Some(("data", text)) => return Some((name, id, text.parse().unwrap())),
                _ => {}
            }
        }
    }

    /// The event ids of the next so many events, which have rising positions.
    async fn events(&mut self, count: usize) -> Vec<String> {
        let (mut ids, mut last) = (Vec::new(), None);
        while ids.len() < count {
            let (name, id, data) = self.message().await.unwrap();
            if name == "event" {
                assert_eq!(data["seq"].as_i64(), id);
                assert!(id > last, "{id:?} behind {last:?}");
                last = id;
                ids.push(data["event_id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }

    async fn position(&mut self) -> i64 {
        let (name, id, data) = self.message().await.unwrap();
        assert_eq!(name, "position");
        assert_eq!(data["seq"].as_i64(), id);
        id.unwrap()
    }
}

#[tokio::test]
async fn each_event_comes_once_and_in_order_also_to_who_comes_back() {
    let server = Server::start(4);
    server.store_all(&["a", "b"]).await;
    let mut follower = server.follow("", None).await;
    assert!(follower.head.contains("content-type: text/event-stream"));
    assert!(follower.head.contains("cache-control: no-store"));
    let position = follower.position().await;
    server.store_all(&["c", "d"]).await;
    assert_eq!(follower.events(2).await, ["c", "d"]);
    drop(follower);
    server.store_all(&["e"]).await;
    // The address stays what it was at first; the header counts.
    let mut again = server.follow("?after=0", Some(position + 2)).await;
    assert_eq!(again.position().await, position + 2);
    server.store_all(&["f"]).await;
    assert_eq!(again.events(2).await, ["e", "f"]);
    let mut from_the_first = server.follow("?after=0", None).await;
    let all = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(from_the_first.events(6).await, all);
    // One that went before the first event came.
    let mut back = server.follow("", Some(position)).await;
    assert_eq!(back.events(4).await, ["c", "d", "e", "f"]);
}

#[tokio::test]
async fn an_event_has_the_shape_of_the_list_and_the_filters_are_its_own() {
    let server = Server::start(8);
    server.store("a", "i_new", None).await;
    server.store("b", "i_ack", Some("team=a")).await;
    server.store("c", "i_ack", None).await;
    for (query, wanted) in [
        ("event_type=i_ack", vec!["b", "c"]),
        ("route=%3Fteam%3Da", vec!["b"]),
        ("event_id=c", vec!["c"]),
        ("subject=incident:664af", vec!["a", "b", "c"]),
        ("outcome=accepted&event_type=i_new", vec!["a"]),
        ("since=1970-01-01T00:00:00Z", vec!["a", "b", "c"]),
    ] {
        let query = match query.contains("since") {
            true => format!("?{query}"),
            false => format!("?after=0&{query}"),
        };
        let mut follower = server.follow(&query, None).await;
        assert_eq!(follower.events(wanted.len()).await, wanted, "{query}");
    }
    let mut follower = server.follow("?after=1&event_type=i_ack", None).await;
    assert_eq!(follower.position().await, 1);
    let (_, _, row) = follower.message().await.unwrap();
    let page = server.inbox.events(crate::inbox::query::EventFilter {
        limit: 9,
        event_type: Some("i_ack".to_owned()),
        ..Default::default()
    });
    let listed = serde_json::to_value(&page.await.unwrap().items[1]).unwrap();
    assert_eq!(row, listed);
}

#[tokio::test]
async fn a_wrong_question_is_refused_with_what_is_allowed() {
    for (query, last, wanted) in [
        ("?after=-1", None, "a position, 0 or more"),
        ("?outcome=late", None, "accepted, duplicate, stale"),
        ("?until=1h", None, "there is no parameter"),
        ("?cursor=5", None, "there is no parameter"),
        ("", Some(-1), "Last-Event-ID is no position"),
    ] {
        let server = Server::start(1);
        let mut refused = server.follow(query, last).await;
        assert_eq!(refused.status(), "400", "{query}");
        let mut body = vec![0; 400];
        let length = refused.stream.read(&mut body).await.unwrap();
        let body = String::from_utf8_lossy(&body[..length]).into_owned();
        assert!(body.contains(wanted), "{query}: {body}");
    }
}

#[tokio::test]
async fn beyond_the_bound_a_stream_is_refused_until_another_one_has_ended() {
    let server = Server::start(1);
    let mut first = server.follow("", None).await;
    first.position().await;
    let second = server.follow("", None).await;
    assert_eq!(second.status(), "503");
    assert!(second.head.contains("retry-after: 5"), "{}", second.head);
    drop(first);
    server.follow_when_there_is_room().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_holds_up_nobody() {
    let server = Server::start(2);
    let stuck = server.follow("", None).await;
    let mut other = server.follow("", None).await;
    other.position().await;
    // More than the sockets on the way hold.
    let long = "x".repeat(40_000);
    let storing = async {
        for turn in 0..400 {
            let id = format!("e{turn}");
            server.store(&id, "i_new", Some(&long)).await;
        }
    };
    let (events, ()) = tokio::join!(other.events(400), storing);
    assert_eq!(events.len(), 400);
    // The seat of the first is free again, and the other one goes on.
    server.follow_when_there_is_room().await;
    assert_eq!(other.events(1).await, ["room0"]);
    drop(stuck);
}

#[tokio::test]
async fn a_stream_rests_for_longer_than_a_connection_may() {
    let server = Server::start(1);
    let mut follower = server.follow("", None).await;
    follower.position().await;
    tokio::time::sleep(SHORT * 3).await;
    server.store_all(&["a"]).await;
    assert_eq!(follower.events(1).await, ["a"]);
}

#[tokio::test]
async fn all_streams_end_when_the_receiver_drains() {
    let server = Server::start(4);
    let mut followers = [
        server.follow("", None).await,
        server.follow("?after=0&event_id=none", None).await,
    ];
    for follower in &mut followers {
        follower.position().await;
    }
    server.lifecycle.drain();
    for follower in &mut followers {
        assert_eq!(follower.message().await, None, "in good order");
    }
    let late = server.follow("", None).await;
    assert_eq!(late.status(), "503");
    server.lifecycle.close();
    let ended = server.lifecycle.wait(Duration::from_secs(5)).await;
    assert!(ended, "a connection goes on");
}

#[tokio::test]
async fn what_can_no_longer_be_had_is_told_to_who_comes_back_for_it() {
    let server = Server::start(4);
    server.store_all(&["a", "b", "c"]).await;
    let prune = Prune {
        what: PruneWhat::Aged,
        now: at(0),
        retention: Duration::from_secs(1000),
        after: Seq(0),
        wanted_bytes: 0,
    };
    assert_eq!(server.inbox.prune(prune).await.unwrap().events, 3);
    server.store_all(&["d"]).await;
    let mut late = server.follow("", Some(1)).await;
    assert_eq!(late.position().await, 1);
    let (name, id, gap) = late.message().await.unwrap();
    assert_eq!((name.as_str(), id), ("gap", None));
    assert_eq!((&gap["after"], &gap["from"]), (&json!(1), &json!(4)));
    assert_eq!(late.events(1).await, ["d"]);
    // Who got all that went, and who asks for what there is, misses nothing.
    for (query, last) in [("", Some(3)), ("?since=1970-01-01T00:00:00Z", None)] {
        let mut follower = server.follow(query, last).await;
        follower.position().await;
        assert_eq!(follower.message().await.unwrap().0, "event", "{query}");
    }
    // One of another store, which had more.
    let mut stranger = server.follow("", Some(99)).await;
    let (name, _, gap) = stranger.message().await.unwrap();
    assert_eq!((name.as_str(), &gap["from"]), ("gap", &json!(5)));
    assert_eq!(stranger.position().await, 4);
}
