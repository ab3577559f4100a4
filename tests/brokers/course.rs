//! Events on their way through the real inbox and dispatcher to a sink that is watched.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::dispatch::{Ages, Dispatcher, Plan, Retry};
use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Subject};
use flashduty_receiver::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use flashduty_receiver::inbox::{
    Batch, Claim, Committer, CommitterOptions, Inbox, Lease, Offer, Order, SinkId, Wanted,
};
use flashduty_receiver::metrics::Metrics;
use flashduty_receiver::sink::{Sink, SinkError, Taken};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How a course is going.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Deliveries that ended well.
    pub(crate) delivered: usize,
    /// Attempts that failed.
    pub(crate) failed: usize,
    /// Why, without repeats in a row.
    pub(crate) reasons: Vec<String>,
}

/// Hands leases on and counts how they ended.
struct Watched {
    sink: Arc<dyn Sink>,
    progress: watch::Sender<Progress>,
}

#[async_trait]
impl Sink for Watched {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let results = self.sink.deliver(leases).await;
        assert_eq!(results.len(), leases.len());
        self.progress.send_modify(|progress| {
            for result in &results {
                match result {
                    Ok(_) => progress.delivered += 1,
                    Err(error) => {
                        progress.failed += 1;
                        let reason = error.to_string();
                        if progress.reasons.last() != Some(&reason) {
                            progress.reasons.push(reason);
                        }
                    }
                }
            }
        });
        results
    }
}

/// A course of events that is under way.
pub(crate) struct Course {
    progress: watch::Receiver<Progress>,
    stop: CancellationToken,
    dispatching: tokio::task::JoinHandle<anyhow::Result<()>>,
    committer: Committer,
    committing: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Course {
    /// Sends `events` events over `subjects` subjects to `sink`.
    pub(crate) async fn run(sink: Arc<dyn Sink>, events: usize, subjects: usize) -> Self {
        let inbox = inbox();
        let metrics = Metrics::new();
        let (committer, task) = Committer::new(CommitterOptions {
            inbox: Arc::<SqliteInbox>::clone(&inbox) as Arc<dyn Inbox>,
            clock: Arc::new(SystemClock),
            metrics: Arc::clone(&metrics),
            spill: None,
        });
        let committing = tokio::spawn(task);
        let number = inbox.sink("broker").await.unwrap();
        let (progress, watching) = watch::channel(Progress::default());
        let name: Arc<str> = Arc::from("broker");
        let dispatcher = Dispatcher::new(
            (Arc::clone(&name), number),
            watch::Sender::new(Arc::new(plan(Arc::new(Watched { sink, progress })))).subscribe(),
            Arc::new(SystemClock),
            metrics.sink(&name),
        );
        let stop = CancellationToken::new();
        let dispatching = tokio::spawn(dispatcher.run(committer.clone(), stop.clone()));
        let offered: Vec<_> = (0..events)
            .map(|event| committer.offer(offer(event, subjects, number)))
            .collect();
        for offered in offered {
            offered.await.unwrap().unwrap();
        }
        Self {
            progress: watching,
            stop,
            dispatching,
            committer,
            committing,
        }
    }

    /// Waits until it has come so far.
    pub(crate) async fn until(&mut self, reached: impl Fn(&Progress) -> bool) -> Progress {
        let waiting = self.progress.wait_for(|progress| reached(progress));
        let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        match waited.map(|progress| progress.unwrap().clone()) {
            Ok(progress) => progress,
            Err(_) => panic!("it goes no further: {:?}", self.progress.borrow()),
        }
    }

    /// Ends it.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.dispatching.await.unwrap().unwrap();
        self.committer.finish();
        self.committing.await.unwrap().unwrap();
    }
}

fn plan(sink: Arc<dyn Sink>) -> Plan {
    Plan {
        sink,
        batch: 256,
        concurrency: 1,
        slots: 256,
        lease: Duration::from_secs(60),
        timeout: Some(Duration::from_secs(30)),
        stalls_after: None,
        rates: Arc::default(),
        remembers: false,
        ages: Ages {
            command: Duration::from_secs(600),
            event: None,
        },
        retry: Retry {
            initial: Duration::from_millis(20),
            max: Duration::from_millis(500),
            ..Retry::default()
        },
        once: false,
    }
}

fn inbox() -> Arc<SqliteInbox> {
    let options = SqliteOptions {
        location: Location::Memory,
        lock_wait: Duration::ZERO,
        max_size: 0,
    };
    Arc::new(SqliteInbox::open(options).unwrap())
}

/// Incident number `subject`, as its id.
pub(crate) fn name(subject: usize) -> String {
    format!("incident-{subject}")
}

/// What was pushed as event number `event`: no UTF-8, and line ends that must stay.
pub(crate) fn body(event: usize) -> Vec<u8> {
    [
        format!("{{\"n\":{event},\r\n\"x\":\"").as_bytes(),
        b"\xFF\x00\"}\n",
    ]
    .concat()
}

pub(crate) fn event(number: usize, subjects: usize) -> Event {
    let now = SystemClock.now();
    Event {
        event_id: Some(Id::new(&format!("e-{number}"))),
        event_type: Id::new("i_new"),
        event_time: Some(now.as_millisecond()),
        subject: Some(Subject::Incident(Id::new(&name(number % subjects)))),
        route: Route {
            tag: Some("eu.1".into()),
            query: None,
        },
        command: false,
        source_ip: None,
        peer_ip: None,
        received_at: now,
        origin: Origin::Push,
        trace_parent: None,
        body: Bytes::from(body(number)),
    }
}

fn offer(number: usize, subjects: usize, sink: SinkId) -> Offer {
    offer_of(
        event(number, subjects),
        u64::try_from(number).unwrap(),
        sink,
    )
}

fn offer_of(event: Event, key: u64, sink: SinkId) -> Offer {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&key.to_be_bytes());
    Offer {
        event: Arc::new(event),
        key: Some(Key(bytes)),
        moves_mark: false,
        wanted: Arc::from([Wanted {
            sink,
            order: Order::Subject,
            fresh: true,
            stale: true,
        }]),
    }
}

/// Leases on `events`, to hand to a sink directly. Each event needs a subject of its own.
pub(crate) async fn leases(events: Vec<Event>) -> Vec<Lease> {
    let inbox = inbox();
    let sink = inbox.sink("broker").await.unwrap();
    let count = events.len();
    let offers = (0..).zip(events);
    let offers = offers
        .map(|(key, event)| offer_of(event, key, sink))
        .collect();
    let batch = Batch {
        offers,
        claims: vec![Claim::new(sink, count, Duration::from_secs(60))],
        ..Batch::default()
    };
    let now = SystemClock.now();
    let leases = inbox.commit(Arc::new(batch), now).await.unwrap().leases;
    assert_eq!(leases.len(), count);
    leases
}
