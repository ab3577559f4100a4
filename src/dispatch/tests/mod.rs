//! What the dispatcher does with each way an attempt can end.

#![expect(clippy::disallowed_methods, reason = "tests run the dispatcher's task")]

mod ages;
mod failing;
mod several;
mod stopping;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::*;
use crate::clock::SystemClock;
use crate::event::{Event, Id, Key, Origin, Route, Seq, Subject};
use crate::inbox::faulty::FaultyInbox;
use crate::inbox::query::{DeliveryFilter, DeliveryState};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{CommitterOptions, Inbox, Offer, Order, Wanted};
use crate::metrics::Metrics;
use crate::sink::{Failure, Sink, SinkError, Taken};

/// Ends attempts as it is told, and says which ones began.
struct Scripted {
    ends: Mutex<std::collections::VecDeque<Result<Taken, SinkError>>>,
    begun: mpsc::UnboundedSender<(i64, u32)>,
    /// While set, an attempt that began does not end.
    hold: Option<Arc<Notify>>,
}

#[async_trait]
impl Sink for Scripted {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        for lease in leases {
            let _heard = self.begun.send((lease.seq.0, lease.attempt));
        }
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        let mut ends = self.ends.lock().unwrap();
        leases
            .iter()
            .map(|_| ends.pop_front().unwrap_or_else(|| Ok(Taken::default())))
            .collect()
    }
}

struct Set {
    inbox: Arc<SqliteInbox>,
    committer: Committer,
    committing: tokio::task::JoinHandle<anyhow::Result<()>>,
    sink: SinkId,
    begun: mpsc::UnboundedReceiver<(i64, u32)>,
    metrics: Arc<Metrics>,
    plan: watch::Sender<Arc<Plan>>,
    stop: CancellationToken,
    dispatching: tokio::task::JoinHandle<anyhow::Result<()>>,
}

const AGES: Ages = Ages {
    command: Duration::from_secs(600),
    event: Some(Duration::from_secs(3600)),
};

fn plan(sink: Arc<dyn Sink>) -> Plan {
    Plan {
        sink,
        batch: 4,
        concurrency: 1,
        slots: 8,
        lease: Duration::from_secs(60),
        timeout: None,
        stalls_after: Some(Duration::from_secs(1)),
        rates: Arc::default(),
        remembers: false,
        ages: AGES,
        retry: Retry {
            initial: Duration::from_millis(1),
            ..Retry::default()
        },
        once: false,
    }
}

async fn set(ends: Vec<Result<Taken, SinkError>>, hold: Option<Arc<Notify>>) -> Set {
    set_with(ends, hold, |plan| plan).await
}

async fn set_with(
    ends: Vec<Result<Taken, SinkError>>,
    hold: Option<Arc<Notify>>,
    change: impl FnOnce(Plan) -> Plan,
) -> Set {
    let inbox = Arc::new(SqliteInbox::in_memory());
    let metrics = Metrics::new();
    let (committer, task) = Committer::new(CommitterOptions {
        inbox: Arc::<SqliteInbox>::clone(&inbox) as Arc<dyn Inbox>,
        clock: Arc::new(SystemClock),
        metrics: Arc::clone(&metrics),
        spill: None,
    });
    let committing = tokio::spawn(task);
    let sink = inbox.sink("s").await.unwrap();
    let (begin, begun) = mpsc::unbounded_channel();
    let name: Arc<str> = Arc::from("s");
    let plan = watch::Sender::new(Arc::new(change(plan(Arc::new(Scripted {
        ends: Mutex::new(ends.into()),
        begun: begin,
        hold,
    })))));
    let dispatcher = Dispatcher::new(
        (Arc::clone(&name), sink),
        plan.subscribe(),
        Arc::new(SystemClock),
        metrics.sink(&name),
    );
    let stop = CancellationToken::new();
    let dispatching = tokio::spawn(dispatcher.run(committer.clone(), stop.clone()));
    Set {
        inbox,
        committer,
        committing,
        sink,
        begun,
        metrics,
        plan,
        stop,
        dispatching,
    }
}

impl Set {
    /// Offers an event that is `age` old.
    async fn offer(&self, id: &str, command: bool, age: Duration) -> Seq {
        let offer = self.build(id, command, age);
        // The store works in a thread of its own: a paused clock, which leaps to the next timer as
        // soon as no task has work, stands still while a blocking one waits.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv());
        let seq = self.committer.offer(offer).await.unwrap().unwrap().seq();
        drop(end);
        seq.unwrap()
    }

    fn build(&self, id: &str, command: bool, age: Duration) -> Offer {
        let now = crate::clock::Clock::now(&SystemClock);
        let born = now.checked_sub(age).unwrap();
        let mut key = [0; 16];
        key[..id.len()].copy_from_slice(id.as_bytes());
        Offer {
            event: Arc::new(Event {
                event_id: Some(Id::new(id)),
                event_type: Id::new("i_new"),
                event_time: Some(born.as_millisecond()),
                subject: Some(Subject::Incident(Id::new(id))),
                route: Route::default(),
                command,
                source_ip: None,
                peer_ip: None,
                received_at: now,
                origin: Origin::Push,
                trace_parent: None,
                body: bytes::Bytes::from_static(b"{}"),
            }),
            key: Some(Key(key)),
            moves_mark: !command,
            wanted: Arc::from([Wanted {
                sink: self.sink,
                order: Order::Subject,
                fresh: true,
                stale: false,
            }]),
        }
    }

    /// An event called `id` of the subject `of`, not yet offered.
    fn another(&self, id: &str, of: &str) -> crate::inbox::Batch {
        let mut offer = self.build(id, false, NEW);
        Arc::make_mut(&mut offer.event).subject = Some(Subject::Incident(Id::new(of)));
        crate::inbox::Batch {
            offers: vec![offer],
            ..crate::inbox::Batch::default()
        }
    }

    /// Stops everything and says in which state the delivery of `seq` is, and its last error.
    async fn end(self, seq: Seq) -> (DeliveryState, Option<String>) {
        self.stop.cancel();
        self.dispatching.await.unwrap().unwrap();
        self.committer.finish();
        self.committing.await.unwrap().unwrap();
        let filter = DeliveryFilter {
            seq: Some(seq),
            limit: 1,
            ..DeliveryFilter::default()
        };
        let row = self.inbox.deliveries(filter).await.unwrap().items.remove(0);
        (row.state, row.last_error)
    }

    fn exposed(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, self.metrics.registry()).unwrap();
        text
    }

    fn counted(&self, outcome: &str) -> bool {
        self.exposed()
            .contains(&format!("{{sink=\"s\",outcome=\"{outcome}\"}} 1"))
    }

    async fn until_counted(&self, outcome: &str) {
        while !self.counted(outcome) {
            tokio::task::yield_now().await;
        }
    }
}

/// What a dispatcher would get at `now`, for `ttl`.
async fn leases(set: &Set, now: Timestamp, ttl: Duration) -> Vec<Lease> {
    let batch = crate::inbox::Batch {
        claims: vec![crate::inbox::Claim::new(set.sink, 8, ttl)],
        ..Default::default()
    };
    let committed = set.inbox.commit(Arc::new(batch), now).await;
    committed.unwrap().leases
}

/// A plan that stays as it is.
fn settled_on(plan: Plan) -> watch::Receiver<Arc<Plan>> {
    watch::Sender::new(Arc::new(plan)).subscribe()
}

/// A dispatcher for the set's sink that does not run.
fn idle(set: &Set) -> Dispatcher {
    let (begin, _begun) = mpsc::unbounded_channel();
    let name: Arc<str> = Arc::from("s");
    Dispatcher::new(
        (Arc::clone(&name), set.sink),
        settled_on(plan(Arc::new(Scripted {
            ends: Mutex::default(),
            begun: begin,
            hold: None,
        }))),
        Arc::new(SystemClock),
        set.metrics.sink(&name),
    )
}

impl Dispatcher {
    fn sorted(&self, leases: Vec<Lease>) -> (Vec<Lease>, Vec<crate::inbox::Settled>) {
        self.sort_out(&self.plan.borrow(), leases)
    }
}

const NEW: Duration = Duration::ZERO;

#[tokio::test]
async fn what_the_sink_takes_is_delivered() {
    let mut set = set(vec![Ok(Taken::default())], None).await;
    let seq = set.offer("a", false, NEW).await;
    assert_eq!(set.begun.recv().await, Some((seq.0, 1)));
    set.until_counted("delivered").await;
    assert_eq!(set.end(seq).await, (DeliveryState::Delivered, None));
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    let mut set = set(
        vec![
            Err(SinkError::Retry(Failure::new("busy"))),
            Ok(Taken::default()),
        ],
        None,
    )
    .await;
    let seq = set.offer("a", false, NEW).await;
    assert_eq!(set.begun.recv().await, Some((seq.0, 1)));
    assert_eq!(set.begun.recv().await, Some((seq.0, 2)));
    set.until_counted("delivered").await;
    assert_eq!(
        set.end(seq).await,
        (DeliveryState::Delivered, Some("busy".to_owned()))
    );
}

#[tokio::test]
async fn a_failure_that_will_not_pass_is_dead_at_once() {
    let mut set = set(
        vec![Err(SinkError::Refused(Failure::new("no such ticket")))],
        None,
    )
    .await;
    let seq = set.offer("a", false, NEW).await;
    set.begun.recv().await;
    set.until_counted("dead").await;
    let end = set.end(seq).await;
    assert_eq!(
        end,
        (DeliveryState::Dead, Some("no such ticket".to_owned()))
    );
}

#[tokio::test]
async fn a_command_past_its_age_is_never_begun() {
    let mut set = set(Vec::new(), None).await;
    let seq = set.offer("a", true, Duration::from_secs(601)).await;
    set.until_counted("expired").await;
    assert!(set.begun.try_recv().is_err());
    assert_eq!(set.end(seq).await.0, DeliveryState::Expired);
}

#[tokio::test]
async fn an_event_past_the_sinks_age_is_never_begun() {
    let mut set = set(Vec::new(), None).await;
    let seq = set.offer("a", false, Duration::from_secs(3601)).await;
    set.until_counted("expired").await;
    assert!(set.begun.try_recv().is_err());
    assert_eq!(set.end(seq).await.0, DeliveryState::Expired);
}

#[tokio::test]
async fn what_a_sink_that_is_gone_had_in_hand_keeps_its_lease() {
    let mut set = set(vec![Err(SinkError::Gone("closed".to_owned()))], None).await;
    let seq = set.offer("a", false, NEW).await;
    set.begun.recv().await;
    while set.metrics.sink(&Arc::from("s")).paused.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(set.end(seq).await.0, DeliveryState::Leased);
}
