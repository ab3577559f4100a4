//! Doing without the database: what is promised whatever it does.

#![expect(clippy::disallowed_methods, reason = "tests run the committer's task")]

mod failing;
mod outage;
mod storm;
mod unreadable;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::faulty::FaultySpill;
use super::*;
use crate::clock::SystemClock;
use crate::event::{Outcome, Seq};
use crate::inbox::conformance::{at, event};
use crate::inbox::faulty::{FaultyInbox, Weather};
use crate::inbox::query::{EventFilter, EventRow};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::sqlite::spill::SqliteSpill;
use crate::inbox::{
    ClaimOptions, Claims, Committer, CommitterOptions, Inbox, Order, Refusal, Settlement, SinkId,
    StoreState, Taken,
};
use crate::lines::Lines;
use crate::metrics::Metrics;

type Database = Arc<FaultyInbox<SqliteInbox>>;

/// Everything goes to these.
#[derive(Default)]
struct ToAll {
    sinks: Mutex<Vec<SinkId>>,
    /// Whether the database has still to be met.
    unknown: AtomicBool,
    /// Whether no unreadable push is kept.
    keeps_none: AtomicBool,
}

impl InForce for ToAll {
    fn is_known(&self) -> bool {
        !self.unknown.load(Ordering::SeqCst)
    }
    fn wanted(&self, _event: &Event) -> Arc<[Wanted]> {
        let sinks = self.sinks.lock().unwrap();
        let wanted = sinks.iter().map(|sink| Wanted {
            sink: *sink,
            order: Order::Subject,
            fresh: true,
            stale: false,
        });
        wanted.collect()
    }
    fn unreadable(&self) -> UnreadableBounds {
        UnreadableBounds {
            count: match self.keeps_none.load(Ordering::SeqCst) {
                true => 0,
                false => 10,
            },
            bytes: 1 << 20,
        }
    }
}

fn database() -> Database {
    Arc::new(FaultyInbox::new(SqliteInbox::in_memory()))
}

fn file(folder: &TempDir) -> SqliteSpill {
    SqliteSpill::open(&folder.path().join("spill.db"), Duration::ZERO).unwrap()
}

/// A replica with its spill.
struct Replica {
    database: Database,
    spill: Arc<FaultySpill<SqliteSpill>>,
    sinks: Arc<ToAll>,
    committer: Committer,
    task: JoinHandle<anyhow::Result<()>>,
    metrics: Arc<Metrics>,
}

impl Replica {
    fn start(database: &Database, folder: &TempDir) -> Self {
        Self::begin(database, folder, false)
    }

    /// One whose database did not answer at the start; its sinks are not known yet.
    fn start_away(database: &Database, folder: &TempDir) -> Self {
        Self::begin(database, folder, true)
    }

    fn begin(database: &Database, folder: &TempDir, unknown: bool) -> Self {
        let spill = Arc::new(FaultySpill::new(file(folder)));
        let sinks = Arc::<ToAll>::default();
        sinks.unknown.store(unknown, Ordering::SeqCst);
        let metrics = Metrics::new();
        let (committer, task) = Committer::new(CommitterOptions {
            inbox: Arc::clone(database) as Arc<dyn Inbox>,
            clock: Arc::new(SystemClock),
            metrics: Arc::clone(&metrics),
            spill: Some(SpillOptions {
                spill: Arc::clone(&spill) as Arc<dyn Spill>,
                in_force: Arc::clone(&sinks) as Arc<dyn InForce>,
            }),
        });
        Self {
            database: Arc::clone(database),
            spill,
            sinks,
            committer,
            task: tokio::spawn(task),
            metrics,
        }
    }

    async fn register(&self) -> Claims {
        let sink = self.database.sink("s").await.unwrap();
        self.sinks.sinks.lock().unwrap().push(sink);
        let options = ClaimOptions::new(8, Duration::from_secs(60));
        let metrics = self.metrics.sink(&Arc::from("s"));
        self.committer.register(sink, options, metrics)
    }

    async fn offer(&self, offer: Offer) -> Result<Taken, Refusal> {
        self.committer.offer(offer).await.unwrap()
    }

    async fn until(&self, state: impl Fn(&StoreState) -> bool) {
        let mut watched = self.committer.watch();
        let reached = watched.wait_for(|now| state(now));
        tokio::time::timeout(Duration::from_secs(20), reached)
            .await
            .expect("the store does not get there")
            .unwrap();
    }

    async fn until_working(&self) {
        self.until(|state| *state == StoreState::Working).await;
    }

    /// Stored events, oldest first.
    async fn stored(&self) -> Vec<EventRow> {
        let mut rows = Vec::new();
        let mut filter = EventFilter {
            limit: 500,
            ..EventFilter::default()
        };
        loop {
            let page = self.database.events(filter.clone()).await.unwrap();
            rows.extend(page.items);
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                rows.reverse();
                return rows;
            }
        }
    }

    async fn ids(&self) -> Vec<String> {
        let rows = self.stored().await;
        rows.into_iter().filter_map(|row| row.event_id).collect()
    }

    async fn end(self) {
        self.committer.finish();
        self.task.await.unwrap().unwrap();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
