//! The box of pushes that could not be used.
//!
//! A sender that was set up wrongly, or a flood, fills it at any rate. So those that wait share
//! one transaction, the box leaves the store to events between two of them, and what waits is
//! bounded, also when whoever sent it has hung up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::spill::Detour;
use super::{Inbox, InboxError, Unreadable, UnreadableBounds};
use crate::metrics::Metrics;

/// Pushes that wait at once, and the bytes of their bodies: what one transaction may take without
/// holding up events for long. A single larger body may wait alone.
const WAITING: usize = 256;
const WAITING_BYTES: usize = 4 << 20;
/// Between two transactions the store belongs to events.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a push was not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotKept {
    /// Too many came at once.
    #[error("too many came at once")]
    Crowded,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] InboxError),
}

#[derive(Debug)]
struct Waiting {
    unreadable: Unreadable,
    bounds: UnreadableBounds,
    answer: oneshot::Sender<Result<(), InboxError>>,
}

/// The handle on the box. Its task ends when the handle is dropped and nothing waits.
#[derive(Debug)]
pub struct Keeper {
    queue: mpsc::Sender<Waiting>,
    bytes: Arc<AtomicUsize>,
}

impl Keeper {
    /// Makes a keeper and the task that runs it. Where the store may be away, there is a `detour`.
    pub fn new(
        inbox: Arc<dyn Inbox>,
        metrics: Arc<Metrics>,
        detour: Option<Arc<Detour>>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let bytes = Arc::<AtomicUsize>::default();
        let keeper = Self {
            queue,
            bytes: Arc::clone(&bytes),
        };
        (keeper, run((inbox, detour), metrics, waiting, bytes))
    }

    /// Keeps `unreadable`; done once it is durable. It is kept even when nobody waits for that.
    ///
    /// # Errors
    /// When too many wait already, or the store does not take it.
    pub async fn keep(
        &self,
        unreadable: Unreadable,
        bounds: UnreadableBounds,
    ) -> Result<(), NotKept> {
        let length = unreadable.body.len();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            unreadable,
            bounds,
            answer,
        };
        let crowded = before > 0 && before + length > WAITING_BYTES;
        if crowded || self.queue.try_send(waiting).is_err() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(NotKept::Crowded);
        }
        Ok(answered.await.unwrap_or(Err(InboxError::Closed))?)
    }
}

async fn run(
    (inbox, detour): (Arc<dyn Inbox>, Option<Arc<Detour>>),
    metrics: Arc<Metrics>,
    mut queue: mpsc::Receiver<Waiting>,
    bytes: Arc<AtomicUsize>,
) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, WAITING).await > 0 {
        let Some(bounds) = waiting.last().map(|last| last.bounds) else {
            continue;
        };
        let (together, answers): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|waiting| (waiting.unreadable, waiting.answer))
            .unzip();
        let length = together.iter().map(|one| one.body.len()).sum();
        let kept = match &detour {
            Some(detour) => detour.keep(together, bounds).await,
            None => inbox.keep_unreadable(together, bounds).await,
        };
        bytes.fetch_sub(length, Ordering::Relaxed);
        if kept.is_ok() {
            metrics.unreadable.inc_by(answers.len() as u64);
        }
        for answer in answers {
            // A client that hung up does not care.
            let _heard = answer.send(kept.clone());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use tokio::time::Instant;

    use super::super::query::UnreadableFilter;
    use super::super::sqlite::SqliteInbox;
    use super::*;

    const BOUNDS: UnreadableBounds = UnreadableBounds {
        count: 1000,
        bytes: 64 << 20,
    };

    fn inbox() -> Arc<dyn Inbox> {
        Arc::new(SqliteInbox::in_memory())
    }

    fn unreadable(bytes: usize) -> Unreadable {
        Unreadable {
            received_at: Timestamp::UNIX_EPOCH,
            reason: "no JSON".to_owned(),
            route: crate::event::Route::default(),
            source_ip: None,
            peer_ip: None,
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_together_share_a_transaction() {
        let (inbox, metrics) = (inbox(), Metrics::new());
        let (keeper, task) = Keeper::new(Arc::clone(&inbox), Arc::clone(&metrics), None);
        let begun = Instant::now();
        let keeper = Arc::new(keeper);
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let keeper = Arc::clone(&keeper);
            all.spawn(async move { keeper.keep(unreadable(10), BOUNDS).await });
        }
        drop(keeper);
        let keeping = async {
            while let Some(kept) = all.join_next().await {
                kept.unwrap().unwrap();
            }
        };
        tokio::join!(keeping, task);
        assert!(
            begun.elapsed() <= 2 * PAUSE,
            "{:?} is a pause for each",
            begun.elapsed()
        );
        assert_eq!(metrics.unreadable.get(), 200);
        assert_eq!(
            inbox
                .unreadables(UnreadableFilter::newest(500))
                .await
                .unwrap()
                .items
                .len(),
            200
        );
    }

    #[tokio::test]
    async fn what_waits_is_bounded_although_every_client_hung_up() {
        let (keeper, _never_run) = Keeper::new(inbox(), Metrics::new(), None);
        let mut waiting = 0;
        for _ in 0..1000 {
            let hung_up = std::future::poll_fn(|cx| {
                let mut keep = std::pin::pin!(keeper.keep(unreadable(64 << 10), BOUNDS));
                std::task::Poll::Ready(keep.as_mut().poll(cx).is_pending())
            });
            waiting += usize::from(hung_up.await);
        }
        assert_eq!(waiting, WAITING_BYTES / (64 << 10));
    }

    #[tokio::test]
    async fn a_body_larger_than_the_bound_is_kept_when_it_comes_alone() {
        let inbox = inbox();
        let (keeper, task) = Keeper::new(Arc::clone(&inbox), Metrics::new(), None);
        let keeping = async move { keeper.keep(unreadable(WAITING_BYTES + 1), BOUNDS).await };
        let (kept, ()) = tokio::join!(keeping, task);
        kept.unwrap();
    }
}
