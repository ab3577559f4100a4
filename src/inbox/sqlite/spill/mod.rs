//! The spill's file: one table of events and one of unreadable pushes, one thread, one process.
//!
//! It passes the same start gate as the inbox and is written with the same care: one sync for all
//! who wait, a lock beside it, and room set aside for its log, without which nothing could be
//! removed. Only who looks into it reads beside the writer, and a checkpoint that could not finish for
//! that is made again after the next commit.

mod look;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

pub use self::look::look;
use super::jobs::{Job, Jobs};
use super::open::{self, Layout};
use super::place::StoreLock;
use super::{Location, OpenError, SqliteOptions, error, place, room, unreadable, verbs};
use crate::event::Id;
use crate::inbox::spill::{Contents, Spill, Spilled, SpilledRow, SpilledUnreadable};
use crate::inbox::{Batch, InboxError, Unreadable, UnreadableBounds};

/// The letters `FDRs`.
const LAYOUT: Layout = Layout {
    key: "store.spill",
    application_id: 0x4644_5273,
    migrations: &[
        include_str!("0001_spill.sql"),
        include_str!("0002_unreadable.sql"),
    ],
};
/// Pages of the log above which it moves into the file.
const LOG_PAGES: u64 = 2048;
/// Pages of an empty file above which the rest of it is given back.
const WORTH_GIVING_BACK: u64 = 4096;

/// How much waits for the database, known without asking the file.
#[derive(Debug, Default)]
struct Held {
    events: AtomicU64,
    unreadable: AtomicU64,
}

/// The spill's file. Cheap to share; closed once.
pub struct SqliteSpill {
    path: PathBuf,
    jobs: Jobs<Writer>,
    held: Arc<Held>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<StoreLock>>,
}

impl SqliteSpill {
    /// Passes the start gate. Blocks, at most for `lock_wait` and the time the log takes to move
    /// into the file.
    ///
    /// # Errors
    /// As those of [`super::SqliteInbox::open`].
    pub fn open(path: &Path, lock_wait: Duration) -> Result<Self, OpenError> {
        let opened = open::open_file(path, lock_wait, &LAYOUT)?;
        let held = Arc::<Held>::default();
        let mut writer = Writer {
            connection: opened.writer,
            options: SqliteOptions {
                location: Location::File(path.to_owned()),
                lock_wait,
                max_size: 0,
            },
            held: Arc::clone(&held),
            next: 1,
            pages: Arc::default(),
            broken: None,
        };
        let begun = writer.begin();
        begun.map_err(|error| open::broken(path, &error))?;
        let (jobs, receive) = Jobs::new();
        let thread = std::thread::Builder::new()
            .name("spill-write".to_owned())
            .spawn(move || writer.run(&receive))
            .map_err(|error| place::io_failed(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            jobs,
            held,
            threads: Mutex::new(vec![thread]),
            lock: Mutex::new(opened.lock),
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, InboxError> {
        self.jobs.run(move |writer| writer.attempt(work)).await
    }
}

#[async_trait]
impl Spill for SqliteSpill {
    async fn keep(&self, batch: Arc<Batch>) -> Result<(), InboxError> {
        self.write(move |writer| {
            room::ensure(&writer.connection, &writer.options, &batch.offers)?;
            rows::keep(&mut writer.connection, writer.next, &batch.offers)?;
            let kept = batch.offers.len();
            writer.next += i64::try_from(kept).unwrap_or(i64::MAX);
            writer.held.events.fetch_add(kept as u64, Ordering::AcqRel);
            Ok(())
        })
        .await
    }

    async fn oldest(&self, count: usize, bytes: usize) -> Result<Vec<Spilled>, InboxError> {
        self.write(move |writer| rows::oldest(&writer.connection, count, bytes))
            .await
    }

    async fn remove(&self, id: i64) -> Result<(), InboxError> {
        self.write(move |writer| {
            let gone = rows::remove(&writer.connection, id)?;
            writer.held.events.fetch_sub(gone, Ordering::AcqRel);
            Ok(())
        })
        .await
    }

    async fn set_aside(&self, id: i64) -> Result<(), InboxError> {
        self.write(move |writer| {
            let aside = rows::set_aside(&writer.connection, id)?;
            writer.held.events.fetch_sub(aside, Ordering::AcqRel);
            Ok(())
        })
        .await
    }

    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        self.write(move |writer| {
            room::ensure(&writer.connection, &writer.options, &[])?;
            unreadable::keep(&mut writer.connection, &unreadable, bounds)?;
            writer.count_unreadable()
        })
        .await
    }

    async fn oldest_unreadable(
        &self,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<SpilledUnreadable>, InboxError> {
        self.write(move |writer| rows::oldest_unreadable(&writer.connection, count, bytes))
            .await
    }

    async fn remove_unreadable(&self, id: i64) -> Result<(), InboxError> {
        self.write(move |writer| {
            rows::remove_unreadable(&writer.connection, id)?;
            writer.count_unreadable()
        })
        .await
    }

    async fn probe(&self) -> Result<(), InboxError> {
        self.write(|writer| {
            room::ensure(&writer.connection, &writer.options, &[])?;
            rows::probe(&writer.connection)
        })
        .await
    }

    async fn look(&self, event_id: Option<Id>) -> Result<(Contents, Vec<SpilledRow>), InboxError> {
        let path = self.path.clone();
        // All of a long file is read.
        let looking = tokio::task::spawn_blocking(move || look::find(&path, event_id.as_ref()));
        match looking.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(InboxError::Refused(error.to_string())),
            Err(panicked) => Err(InboxError::Refused(panicked.to_string())),
        }
    }

    fn waiting(&self) -> u64 {
        self.held.events.load(Ordering::Acquire)
    }

    fn unreadable(&self) -> u64 {
        self.held.unreadable.load(Ordering::Acquire)
    }

    async fn close(&self) -> Result<(), InboxError> {
        let flushed = self.write(Writer::finish).await;
        self.jobs.close();
        let joined = verbs::join_all(&self.threads).await;
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        joined.and(flushed)
    }
}

/// The one connection, and what goes with it.
struct Writer {
    connection: Connection,
    options: SqliteOptions,
    held: Arc<Held>,
    /// The number of the next event. None is given twice, also when the file was empty in between, where
    /// SQLite would begin anew: a transaction that is confirmed late removes what it read by number.
    next: i64,
    /// Pages of the log in use, after the last commit.
    pages: Arc<AtomicU64>,
    /// A sync that works after one that did not says nothing about what the first one was to sync.
    broken: Option<String>,
}

impl Writer {
    fn begin(&mut self) -> rusqlite::Result<()> {
        let told = Arc::clone(&self.pages);
        self.connection
            .wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
                told.store(u64::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
                Ok(())
            }))?;
        let waiting = rows::waiting(&self.connection)?;
        self.held.events.store(waiting, Ordering::Release);
        self.next = rows::next(&self.connection)?;
        self.count_unreadable()
    }

    fn count_unreadable(&self) -> rusqlite::Result<()> {
        let unreadable = rows::unreadable(&self.connection)?;
        self.held.unreadable.store(unreadable, Ordering::Release);
        Ok(())
    }

    fn run(mut self, jobs: &Receiver<Job<Self>>) {
        while let Ok(job) = jobs.recv() {
            job(&mut self);
            self.tend_log();
        }
    }

    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, InboxError> {
        if let Some(what) = &self.broken {
            return Err(InboxError::Broken(what.clone()));
        }
        work(self).map_err(|error| self.note(&error))
    }

    fn note(&mut self, error: &rusqlite::Error) -> InboxError {
        let folder = self.path().map(open::folder_of);
        let error = match error::sort(error, folder) {
            InboxError::Broken(what) => InboxError::Broken(format!("the spill: {what}")),
            other => other,
        };
        if let InboxError::Broken(what) = &error {
            self.broken = Some(what.clone());
        }
        error
    }

    fn path(&self) -> Option<&Path> {
        match &self.options.location {
            Location::File(path) => Some(path),
            Location::Memory => None,
        }
    }

    /// After the answer: a failure here shows in the next one.
    fn tend_log(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let Held { events, unreadable } = &*self.held;
        let empty = events.load(Ordering::Acquire) + unreadable.load(Ordering::Acquire) == 0;
        let pages = self.pages.load(Ordering::Relaxed);
        let tended = match pages {
            1.. if empty => self.give_back(pages),
            pages if pages > LOG_PAGES => self.checkpoint(CheckpointMode::PASSIVE),
            _ => Ok(()),
        };
        match tended.map_err(|error| self.note(&error)) {
            Ok(()) | Err(InboxError::Broken(_)) => {}
            Err(error) => tracing::warn!("cannot move the spill's log into its file: {error}"),
        }
    }

    /// A file that was long and is empty now becomes short again.
    fn give_back(&self, pages: u64) -> rusqlite::Result<()> {
        if rows::pages(&self.connection)?.max(pages) <= WORTH_GIVING_BACK {
            return Ok(());
        }
        rows::shrink(&self.connection)?;
        self.checkpoint(CheckpointMode::TRUNCATE)
    }

    fn checkpoint(&self, mode: CheckpointMode) -> rusqlite::Result<()> {
        self.connection
            .wal_checkpoint_v2(Some(rusqlite::MAIN_DB), mode)?;
        // The next commit begins the log anew and says how long it is.
        self.pages.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// The last work: closing a connection moves the log, too, and keeps failures to itself.
    fn finish(&mut self) -> rusqlite::Result<()> {
        self.checkpoint(CheckpointMode::TRUNCATE)
    }
}
