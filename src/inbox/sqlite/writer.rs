//! The one thread that writes, and its log.
//!
//! A background checkpoint alone never resets a log that is always being written to, so the
//! writer finishes the tail itself between two transactions once the log is long, and waits for
//! the background one only when it is very long.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use tokio::sync::watch;

use super::cache::Cache;
use super::jobs::Job;
use super::{Location, SqliteOptions, error, open, room};
use crate::inbox::InboxError;

const PAGE: u64 = 4096;
/// The part of the longest log that the background checkpoint is woken for, and of a log that is
/// worth beginning anew.
const MUCH: u64 = 4;
/// The part that it is woken for when it has rested for a while: the less it moves at once, the
/// shorter a push waits for the disk. More often than that, pages that change again and again
/// would cost more than the log.
const SOME: u64 = 16;
const RESTED: Duration = Duration::from_millis(250);
/// The part of it that the writer moves into the file by itself in a few milliseconds.
const LITTLE: u64 = 32;
/// Rounds of the background checkpoint at a time, each with what came in during the one before.
const ROUNDS: usize = 4;
/// Sink by sink, because only so an index leads to the leased lanes past those that wait.
pub(super) const END_LEASES: &str = "UPDATE lanes INDEXED BY lanes_by_time SET available = 0 \
     WHERE leased = 1 AND sink IN (SELECT id FROM sinks)";

/// What the writer and the checkpointer tell each other about the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Frames in use above which the writer waits to be able to finish the checkpoint. Below, it
    /// does so when nobody else is at it, and better when little is left to do.
    most: u64,
    /// Frames in use, after the last commit.
    pages: AtomicU64,
    /// Frames already copied into the file.
    copied: AtomicU64,
    /// The longest the writer stood still for a checkpoint, in microseconds.
    longest_stall: AtomicU64,
    /// Held while a checkpoint runs.
    running: Mutex<()>,
    /// What failed in a way after which nothing may be acknowledged. It stays failed: a sync that
    /// works after one that did not says nothing about what the first one was to sync.
    broken: watch::Sender<Option<String>>,
    /// Set when the store closes.
    pub(super) closing: AtomicBool,
}

impl Log {
    /// For a store that has a room of `total` bytes.
    pub(super) fn in_room(total: u64) -> Self {
        Self {
            most: room::log_share(total) / PAGE,
            ..Self::default()
        }
    }

    pub(super) fn bytes_in_use(&self) -> u64 {
        self.pages.load(Ordering::Relaxed) * PAGE
    }

    /// Bytes of the log that are in the file already.
    #[cfg(test)]
    pub(super) fn bytes_copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed) * PAGE
    }

    /// Whether the log is longer than a reader may keep it.
    pub(super) fn is_long(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > self.most
    }

    pub(super) fn longest_stall(&self) -> Duration {
        Duration::from_micros(self.longest_stall.load(Ordering::Relaxed))
    }

    /// Frames that are not in the file yet.
    fn behind(&self) -> u64 {
        let pages = self.pages.load(Ordering::Relaxed);
        pages.saturating_sub(self.copied.load(Ordering::Relaxed))
    }

    fn checkpoint(&self, connection: &Connection) -> Result<bool, rusqlite::Error> {
        let (log, copied) =
            connection.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::PASSIVE)?;
        let copied = u64::try_from(copied).unwrap_or_default();
        self.copied.store(copied, Ordering::Relaxed);
        Ok(u64::try_from(log).unwrap_or_default() == copied)
    }

    /// Moves what is in the log into the file at `path`, beside a writer that goes on, until the
    /// rest is little or the rounds are over: a busy writer is never caught up with.
    pub(super) fn flush_aside(&self, path: &Path) {
        let folder = open::folder_of(path);
        match open::connect(path) {
            Ok(aside) => self.catch_up(&aside, Some(folder)),
            Err(failure) => self.checkpoint_failed(error::sort(&failure, Some(folder))),
        }
    }

    /// Round after round, each with what came in during the one before: that is less each time,
    /// until the writer can do the rest in no time. Once the store closes, the writer does all of it.
    fn catch_up(&self, connection: &Connection, folder: Option<&Path>) {
        for _ in 0..ROUNDS {
            if self.closing.load(Ordering::Relaxed) {
                break;
            }
            let alone = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(failure) = self.checkpoint(connection) {
                self.checkpoint_failed(error::sort(&failure, folder));
                break;
            }
            drop(alone);
            if self.behind() <= self.most / LITTLE {
                break;
            }
        }
    }

    /// What broke the store, if anything did.
    pub(super) fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.subscribe()
    }

    /// Notes a failure that breaks the store, and hands it back.
    pub(super) fn note(&self, failure: InboxError) -> InboxError {
        if let InboxError::Broken(what) = &failure {
            self.broken.send_if_modified(|broken| {
                let first = broken.is_none();
                broken.get_or_insert_with(|| what.clone());
                first
            });
        }
        failure
    }

    fn checkpoint_failed(&self, failure: InboxError) {
        let failure = match failure {
            InboxError::Broken(what) => InboxError::Broken(format!("a checkpoint failed: {what}")),
            other => other,
        };
        match self.note(failure) {
            InboxError::Broken(_) => {}
            other => tracing::warn!("cannot move the store's log into its file: {other}"),
        }
    }
}

/// The writing connection and what goes with it.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) cache: Cache,
    /// The last lease token given out.
    pub(super) tokens: i64,
    pub(super) options: SqliteOptions,
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    /// How long the log was when the writer last finished a checkpoint: while someone reads, it
    /// does not begin anew.
    finished_at: u64,
    /// When the checkpointer was last woken.
    woken_at: Instant,
    /// Set by the job that closes the store.
    pub(super) closing: bool,
}

impl Writer {
    /// Takes over an opened store: leases of the process before this one are ended.
    pub(super) fn new(
        mut connection: Connection,
        options: SqliteOptions,
        log: Arc<Log>,
    ) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(64);
        let told = Arc::clone(&log);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
            told.pages
                .store(u64::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        connection.execute(END_LEASES, [])?;
        // A log that one large batch made longer than its share gives the rest back.
        let share = log.most * PAGE;
        connection.pragma_update_and_check(None, "journal_size_limit", share, |_limit| Ok(()))?;
        let cache = Cache::load(&connection, Arc::default())?;
        Ok(Self {
            connection,
            cache,
            tokens: 0,
            options,
            log,
            wake: None,
            finished_at: 0,
            woken_at: Instant::now(),
            closing: false,
        })
    }

    /// Starts the background checkpoints; the thread ends when the writer is dropped.
    pub(super) fn start_checkpointer(
        &mut self,
        connection: Connection,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let (wake, woken) = sync_channel(1);
        self.wake = Some(wake);
        let log = Arc::clone(&self.log);
        let folder = self.folder().map(Path::to_owned);
        std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || checkpoint_when_woken(&connection, &woken, &log, folder.as_deref()))
    }

    /// Runs jobs until one closes the store or nobody can send any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job<Self>>) {
        while !self.closing {
            let Ok(job) = jobs.recv() else { break };
            job(&mut self);
            self.tend_log();
        }
    }

    /// Runs `work`; when it fails, what was remembered is read again.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, InboxError> {
        if let Some(what) = &*self.log.broken.borrow() {
            return Err(InboxError::Broken(what.clone()));
        }
        let failure = match work(self) {
            Ok(done) => return Ok(done),
            Err(failure) => self.log.note(error::sort(&failure, self.folder())),
        };
        if matches!(failure, InboxError::Broken(_)) {
            return Err(failure);
        }
        match Cache::load(&self.connection, Arc::clone(&self.cache.routes)) {
            Ok(cache) => self.cache = cache,
            Err(second) => {
                return Err(self.log.note(InboxError::Broken(format!(
                    "{failure}, and then the store could not be read: {second}"
                ))));
            }
        }
        if matches!(failure, InboxError::Full(_)) {
            // What the log holds may move into free pages of the file, which makes room.
            self.finish_checkpoint();
        }
        Err(failure)
    }

    /// Where the store's files lie.
    fn folder(&self) -> Option<&Path> {
        match &self.options.location {
            Location::File(path) => Some(open::folder_of(path)),
            Location::Memory => None,
        }
    }

    /// The last work before the store closes: what the log holds moves into the file here, where
    /// a failure is seen; closing a connection does the same and keeps failures to itself.
    pub(super) fn close(&mut self) -> Result<(), InboxError> {
        self.closing = true;
        if self.folder().is_some() {
            let log = Arc::clone(&self.log);
            let _alone = log.running.lock().unwrap_or_else(PoisonError::into_inner);
            self.finish_checkpoint();
        }
        match &*self.log.broken.borrow() {
            Some(what) => Err(InboxError::Broken(what.clone())),
            None => Ok(()),
        }
    }

    fn tend_log(&mut self) {
        let Some(wake) = &self.wake else { return };
        let pages = self.log.pages.load(Ordering::Relaxed);
        let behind = self.log.behind();
        if pages < self.log.copied.load(Ordering::Relaxed) {
            // The log began anew.
            self.log.copied.store(0, Ordering::Relaxed);
            self.finished_at = 0;
        } else if behind > self.log.most / MUCH
            || (behind > self.log.most / SOME && self.woken_at.elapsed() > RESTED)
        {
            // A full channel means that the checkpointer is awake already.
            let _awake = wake.try_send(());
            self.woken_at = Instant::now();
        }
        let worth = pages > self.log.most / MUCH && behind <= self.log.most / LITTLE;
        let again = pages >= self.finished_at + self.log.most / (2 * MUCH);
        let log = Arc::clone(&self.log);
        let alone = if pages > self.log.most {
            Some(log.running.lock().unwrap_or_else(PoisonError::into_inner))
        } else if again && (worth || pages > self.log.most / 2) {
            log.running.try_lock().ok()
        } else {
            None
        };
        if alone.is_some() {
            self.finish_checkpoint();
            self.finished_at = pages;
        }
    }

    fn finish_checkpoint(&mut self) {
        let begun = Instant::now();
        if let Err(failure) = self.log.checkpoint(&self.connection) {
            let failure = error::sort(&failure, self.folder());
            self.log.checkpoint_failed(failure);
        }
        let stall = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.log.longest_stall.fetch_max(stall, Ordering::Relaxed);
    }
}

fn checkpoint_when_woken(
    connection: &Connection,
    woken: &Receiver<()>,
    log: &Log,
    folder: Option<&Path>,
) {
    while woken.recv().is_ok() {
        log.catch_up(connection, folder);
    }
}
