//! Stores with much that waits, made through the inbox itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Subject};
use flashduty_receiver::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use flashduty_receiver::inbox::{
    Batch, Claim, Inbox as _, Lease, Offer, Order, Settlement, SinkId, Wanted,
};

/// Offers in one transaction.
const TOGETHER: usize = 2_000;
/// Lanes whose heads are blocked.
const LANES: usize = 1_000;

/// Stores `events` events that wait for the sink `hook`, spread over `subjects` subjects.
pub(crate) fn fill(path: &Path, events: usize, subjects: usize) {
    run(path, async |inbox| {
        store(inbox, events, subjects).await;
    });
}

/// What a claim costs when every head is blocked and `events` deliveries wait behind them.
pub(crate) fn claims(events: usize) {
    let folder = tempfile::tempdir_in(super::scratch()).unwrap();
    run(&folder.path().join("inbox.db"), async |inbox| {
        let sink = store(inbox, events, LANES).await;
        let now = SystemClock.now();
        let heads = claim(inbox, sink, LANES).await;
        assert_eq!(heads.len(), LANES);
        let leased = worst(inbox, sink).await;
        let later = now + Duration::from_secs(600);
        let put_back = |lease: Lease| lease.settle(Settlement::RetryAt(later, "busy".to_owned()));
        let batch = Batch {
            settled: heads.into_iter().map(put_back).collect(),
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), now).await.unwrap();
        let later = worst(inbox, sink).await;
        println!(
            "\na claim with all {LANES} heads blocked and {events} deliveries behind them: worst of \
             100 with heads leased {leased:?}, with heads due later {later:?}"
        );
    });
}

fn run(path: &Path, work: impl AsyncFnOnce(&SqliteInbox)) {
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

async fn store(inbox: &SqliteInbox, events: usize, subjects: usize) -> SinkId {
    let sink = inbox.sink("hook").await.unwrap();
    let wanted: Arc<[Wanted]> = Arc::new([Wanted {
        sink,
        order: Order::Subject,
        fresh: true,
        stale: false,
    }]);
    let body = Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(1_380)));
    let now = SystemClock.now();
    let numbers: Vec<usize> = (0..events).collect();
    for numbers in numbers.chunks(TOGETHER) {
        let offers = numbers
            .iter()
            .map(|number| offer(*number % subjects, &body, &wanted))
            .collect();
        let batch = Batch {
            offers,
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), now).await.unwrap();
    }
    sink
}

async fn claim(inbox: &SqliteInbox, sink: SinkId, slots: usize) -> Vec<Lease> {
    let batch = Batch {
        claims: vec![Claim::new(sink, slots, Duration::from_secs(600))],
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), SystemClock.now()).await;
    committed.unwrap().leases
}

/// The slowest of a hundred claims that find nothing.
async fn worst(inbox: &SqliteInbox, sink: SinkId) -> Duration {
    let mut worst = Duration::ZERO;
    for _ in 0..100 {
        let begun = Instant::now();
        assert!(claim(inbox, sink, 64).await.is_empty());
        worst = worst.max(begun.elapsed());
    }
    worst
}

fn offer(subject: usize, body: &Bytes, wanted: &Arc<[Wanted]>) -> Offer {
    let key = uuid::Uuid::new_v4().into_bytes();
    let id = flashduty_receiver::event::hex(&key);
    Offer {
        event: Arc::new(Event {
            event_id: Some(Id::new(&id)),
            event_type: Id::new("i_r_title"),
            event_time: None,
            subject: Some(Subject::Incident(Id::new(&format!("s{subject}")))),
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
        moves_mark: false,
        wanted: Arc::clone(wanted),
    }
}
