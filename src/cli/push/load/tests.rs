//! The load against servers in the same process, under paused time.

use std::io;
use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::cli::push::template::Body;
use crate::cli::target::Target;
use crate::cli::tls::Known;

/// A server that answers each request after `answer_time`, but nobody during the stall.
#[derive(Clone)]
struct Server {
    lifecycle: Lifecycle,
    seen: Arc<Mutex<Vec<serde_json::Value>>>,
    dials: Arc<AtomicUsize>,
    answer_time: Duration,
    stall: (Duration, Duration),
    close_each: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            lifecycle: Lifecycle::default(),
            seen: Arc::default(),
            dials: Arc::default(),
            answer_time: Duration::from_millis(1),
            stall: (Duration::ZERO, Duration::ZERO),
            close_each: false,
        }
    }
}

impl Dial for Server {
    type Stream = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(65_536);
        let _serving = self
            .lifecycle
            .spawn(self.clone().serve(far, Instant::now()));
        Ok(near)
    }
}

impl Server {
    async fn serve(self, mut stream: DuplexStream, dialled: Instant) {
        let stalled_at = dialled + self.stall.0;
        while let Some(body) = read_request(&mut stream).await {
            // The clock of every test with this server is paused: nobody waits.
            tokio::time::sleep(self.answer_time).await;
            if Instant::now() >= stalled_at {
                tokio::time::sleep_until(stalled_at + self.stall.1).await;
            }
            self.seen.lock().unwrap().push(body);
            let body = br#"{"outcome":"accepted"}"#;
            let close = if self.close_each {
                "connection: close\r\n"
            } else {
                ""
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\n{close}content-length: {}\r\n\r\n",
                body.len()
            );
            let _gone = stream.write_all(head.as_bytes()).await;
            let _gone = stream.write_all(body).await;
            if self.close_each {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut DuplexStream) -> Option<serde_json::Value> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() == length {
            return Some(serde_json::from_str(body).unwrap());
        }
    }
}

fn plan(server: &Server, pace: Pace) -> Plan<Server> {
    let target = Target::parse("http://receiver/webhook", "/", &Known::default()).unwrap();
    let body: Body = Template::sample("i_ack", None).unwrap();
    Plan {
        dial: server.clone(),
        templates: vec![Template::new(&target, &[], &body)],
        incidents: None,
        pace,
        connections: 4,
        timeout: Duration::from_secs(1),
        epoch_millis: 1_760_000_000_000,
    }
}

const CLOSED: Pace = Pace {
    count: Some(100),
    duration: None,
    per_second: None,
    spin: Duration::ZERO,
};

const OPEN: Pace = Pace {
    per_second: Some(100.0),
    ..CLOSED
};

#[tokio::test(start_paused = true)]
async fn a_closed_loop_pushes_each_event_once_over_kept_connections() {
    let server = Server::default();
    let tally = run(plan(&server, CLOSED), &Lifecycle::default())
        .await
        .unwrap();
    assert_eq!((tally.accepted, tally.pushes()), (100, 100));
    assert_eq!(server.dials.load(Ordering::Relaxed), 4);
    assert_eq!(tally.elapsed, Duration::from_millis(25), "four at a time");
    let seen = server.seen.lock().unwrap();
    let ids: std::collections::HashSet<_> = seen.iter().map(|b| &b["event_id"]).collect();
    assert_eq!(ids.len(), 100, "event ids are unique");
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_keeps_its_rate_whatever_the_answers_take() {
    let server = Server::default();
    let tally = run(plan(&server, OPEN), &Lifecycle::default())
        .await
        .unwrap();
    assert_eq!(tally.accepted, 100);
    assert_eq!(
        tally.elapsed,
        Duration::from_millis(991),
        "99 intervals and an answer"
    );
    assert_eq!(tally.latencies.max(), Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_in_every_push_that_was_due_during_it() {
    let server = Server {
        stall: (Duration::from_millis(300), Duration::from_millis(400)),
        ..Server::default()
    };
    let tally = run(plan(&server, OPEN), &Lifecycle::default())
        .await
        .unwrap();
    assert_eq!(tally.accepted, 100);
    // Forty of the hundred were due while nothing was answered, though only four were on their way.
    let p60 = tally.latencies.percentile(600);
    assert!(p60 <= Duration::from_millis(30), "{p60:?}");
    let p80 = tally.latencies.percentile(800);
    assert!(p80 >= Duration::from_millis(180), "{p80:?}");
    let p99 = tally.latencies.percentile(990);
    assert!(p99 >= Duration::from_millis(380), "{p99:?}");
}

#[tokio::test(start_paused = true)]
async fn a_push_without_answer_in_time_is_counted_and_its_connection_left() {
    let server = Server {
        answer_time: Duration::from_secs(5),
        ..Server::default()
    };
    let pace = Pace {
        count: Some(4),
        ..CLOSED
    };
    let tally = run(plan(&server, pace), &Lifecycle::default())
        .await
        .unwrap();
    assert_eq!((tally.timed_out, tally.failed(), tally.pushes()), (4, 4, 4));
    assert_eq!(tally.latencies.max(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_each_answer_loses_nothing() {
    let server = Server {
        close_each: true,
        ..Server::default()
    };
    let tally = run(plan(&server, CLOSED), &Lifecycle::default())
        .await
        .unwrap();
    assert_eq!((tally.accepted, tally.pushes()), (100, 100));
    assert_eq!(server.dials.load(Ordering::Relaxed), 100);
}

#[tokio::test(start_paused = true)]
async fn events_of_one_incident_have_times_that_never_fall() {
    let server = Server::default();
    let plan = Plan {
        incidents: NonZeroU64::new(3),
        connections: 1,
        ..plan(&server, OPEN)
    };
    run(plan, &Lifecycle::default()).await.unwrap();
    let seen = server.seen.lock().unwrap();
    let times: Vec<_> = seen
        .iter()
        .map(|b| b["event_time"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[99] - times[0] >= 980);
    let incidents: std::collections::HashSet<_> = seen
        .iter()
        .map(|body| body["incident"]["incident_id"].as_str().unwrap())
        .collect();
    assert_eq!(incidents.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_duration_ends_either_loop() {
    let half = Some(Duration::from_millis(500));
    for (pace, wanted) in [(OPEN, 50), (CLOSED, 2000)] {
        let server = Server::default();
        let pace = Pace {
            count: None,
            duration: half,
            ..pace
        };
        let tally = run(plan(&server, pace), &Lifecycle::default())
            .await
            .unwrap();
        assert_eq!(tally.accepted, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_load_and_keeps_what_was_counted() {
    let server = Server::default();
    let lifecycle = Lifecycle::default();
    let pace = Pace {
        count: None,
        ..OPEN
    };
    let stop = async {
        tokio::time::sleep(Duration::from_millis(205)).await;
        lifecycle.drain();
    };
    let (tally, ()) = tokio::join!(run(plan(&server, pace), &lifecycle), stop);
    assert_eq!(tally.unwrap().accepted, 21);
}

#[tokio::test]
async fn an_unreachable_receiver_breaks_every_push_and_says_why() {
    struct Nobody;
    impl Dial for Nobody {
        type Stream = DuplexStream;
        async fn dial(&self) -> io::Result<DuplexStream> {
            Err(io::Error::other("nobody there"))
        }
    }
    let Plan {
        templates,
        pace,
        timeout,
        ..
    } = plan(&Server::default(), CLOSED);
    let plan = Plan {
        dial: Nobody,
        templates,
        incidents: None,
        pace: Pace {
            count: Some(3),
            ..pace
        },
        connections: 2,
        timeout,
        epoch_millis: 0,
    };
    let tally = run(plan, &Lifecycle::default()).await.unwrap();
    assert_eq!((tally.broken, tally.pushes()), (3, 3));
    assert_eq!(tally.first_error.as_deref(), Some("nobody there"));
    assert!(tally.latencies.is_empty());
}
