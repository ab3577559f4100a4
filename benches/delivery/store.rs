//! Stores with much that waits, made through the inbox itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::inbox::sqlite::SqliteInbox;
use flashduty_receiver::inbox::{Batch, Claim, Inbox as _, Lease, Settlement, SinkId};

use crate::setup::{offer, scratch, wanted_by, with_inbox};

/// Offers in one transaction.
const TOGETHER: usize = 2_000;
/// Lanes whose heads are blocked.
const LANES: usize = 1_000;
/// Claims that find nothing.
const CLAIMS: usize = 1_000;

/// Stores `events` events that wait for the sink `hook`, spread over `subjects` subjects.
pub(crate) fn fill(path: &Path, events: usize, subjects: usize) {
    with_inbox(path, async |inbox| {
        store(inbox, events, subjects).await;
    });
}

/// What a claim costs when every head is blocked and `events` deliveries wait behind them.
pub(crate) fn claims(events: usize) {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    with_inbox(&folder.path().join("inbox.db"), async |inbox| {
        let sink = store(inbox, events, LANES).await;
        let now = SystemClock.now();
        let heads = claim(inbox, sink, LANES).await;
        assert_eq!(heads.len(), LANES);
        let leased = claims_in_vain(inbox, sink).await;
        let later = now + Duration::from_secs(600);
        let put_back = |lease: Lease| lease.settle(Settlement::RetryAt(later, "busy".to_owned()));
        let batch = Batch {
            settled: heads.into_iter().map(put_back).collect(),
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), now).await.unwrap();
        let later = claims_in_vain(inbox, sink).await;
        println!(
            "\na claim with all {LANES} heads blocked and {events} deliveries behind them, median and \
             worst of {CLAIMS}: with heads leased {leased:?}, with heads due later {later:?}"
        );
    });
}

async fn store(inbox: &SqliteInbox, events: usize, subjects: usize) -> SinkId {
    let sink = inbox.sink("hook").await.unwrap();
    let wanted = wanted_by(sink);
    let body = Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(1_380)));
    let now = SystemClock.now();
    let numbers: Vec<usize> = (0..events).collect();
    for numbers in numbers.chunks(TOGETHER) {
        let offers = numbers
            .iter()
            .map(|number| offer(Some(format!("s{}", number % subjects)), &body, &wanted))
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

/// How long claims take that find nothing: the median, and the slowest.
async fn claims_in_vain(inbox: &SqliteInbox, sink: SinkId) -> [Duration; 2] {
    come_to_rest(inbox).await;
    let mut took = Vec::with_capacity(CLAIMS);
    for _ in 0..CLAIMS {
        let begun = Instant::now();
        assert!(claim(inbox, sink, 64).await.is_empty());
        took.push(begun.elapsed());
    }
    took.sort();
    [took[CLAIMS / 2], took[CLAIMS - 1]]
}

/// Waits until what was written before is in the file: else a claim waits for the log, too.
async fn come_to_rest(inbox: &SqliteInbox) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while inbox.space().await.unwrap().log > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
