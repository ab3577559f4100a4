//! The one thread that writes, and its log.
//!
//! A background checkpoint alone never resets a log that is always being written to, so the
//! writer finishes the tail itself between two transactions once the log is long, and waits for
//! the background one only when it is very long.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::cache::Cache;
use super::{error, open};
use crate::inbox::InboxError;

/// Work for the writer's thread.
pub(super) type Job = Box<dyn FnOnce(&mut Writer) + Send>;

const PAGE: u64 = 4096;
/// New frames after which the background checkpoint is woken.
const WAKE_PAGES: u64 = (8 << 20) / PAGE;
/// Frames in use above which the writer finishes the checkpoint when nobody else is at it.
const FINISH_PAGES: u64 = (32 << 20) / PAGE;
/// Frames in use above which the writer waits to be able to.
const WAIT_PAGES: u64 = (64 << 20) / PAGE;

/// What the writer and the checkpointer tell each other about the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Frames in use, after the last commit.
    pages: AtomicU64,
    /// Frames already copied into the file.
    copied: AtomicU64,
    /// The longest the writer stood still for a checkpoint, in microseconds.
    longest_stall: AtomicU64,
    /// Held while a checkpoint runs.
    running: Mutex<()>,
    /// A checkpoint failed in a way after which nothing may be acknowledged.
    broken: Mutex<Option<String>>,
    /// Set when the store closes.
    pub(super) closing: AtomicBool,
}

impl Log {
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
        self.pages.load(Ordering::Relaxed) > WAIT_PAGES
    }

    pub(super) fn longest_stall(&self) -> Duration {
        Duration::from_micros(self.longest_stall.load(Ordering::Relaxed))
    }

    fn checkpoint(&self, connection: &Connection) -> Result<bool, rusqlite::Error> {
        let (log, copied) =
            connection.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::PASSIVE)?;
        let copied = u64::try_from(copied).unwrap_or_default();
        self.copied.store(copied, Ordering::Relaxed);
        Ok(u64::try_from(log).unwrap_or_default() == copied)
    }

    fn fail(&self, error: &InboxError) {
        match error {
            InboxError::Broken(what) => {
                let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                broken.get_or_insert_with(|| format!("a checkpoint failed: {what}"));
            }
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
    pub(super) path: Option<PathBuf>,
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    /// Set by the job that closes the store.
    pub(super) closing: bool,
}

impl Writer {
    /// Takes over an opened store: leases of the process before this one are ended.
    pub(super) fn new(
        mut connection: Connection,
        path: Option<PathBuf>,
        log: Arc<Log>,
    ) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(64);
        let told = Arc::clone(&log);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: i32| {
            told.pages
                .store(u64::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        connection.execute("UPDATE lanes SET available = 0 WHERE leased = 1", [])?;
        let cache = Cache::load(&connection)?;
        Ok(Self {
            connection,
            cache,
            tokens: 0,
            path,
            log,
            wake: None,
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
        let folder = self.path.clone();
        std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || checkpoint_when_woken(&connection, &woken, &log, folder))
    }

    /// Runs jobs until one closes the store or nobody can send any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
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
        if let Some(what) = &*self
            .log
            .broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(InboxError::Broken(what.clone()));
        }
        let folder = self.path.clone();
        let folder = folder.as_deref().map(open::folder_of);
        let failure = match work(self) {
            Ok(done) => return Ok(done),
            Err(failure) => error::sort(&failure, folder),
        };
        match Cache::load(&self.connection) {
            Ok(cache) => self.cache = cache,
            Err(second) => {
                return Err(InboxError::Broken(format!(
                    "{failure}, and then the store could not be read: {second}"
                )));
            }
        }
        if matches!(failure, InboxError::Full(_)) {
            // What the log holds may move into free pages of the file, which makes room.
            self.finish_checkpoint();
        }
        Err(failure)
    }

    fn tend_log(&mut self) {
        let Some(wake) = &self.wake else { return };
        let pages = self.log.pages.load(Ordering::Relaxed);
        let copied = self.log.copied.load(Ordering::Relaxed);
        if pages < copied {
            // The log began anew.
            self.log.copied.store(0, Ordering::Relaxed);
        } else if pages - copied > WAKE_PAGES {
            // A full channel means that the checkpointer is awake already.
            let _awake = wake.try_send(());
        }
        if pages > FINISH_PAGES {
            let log = Arc::clone(&self.log);
            let alone = if pages > WAIT_PAGES {
                Some(log.running.lock().unwrap_or_else(PoisonError::into_inner))
            } else {
                log.running.try_lock().ok()
            };
            if alone.is_some() {
                self.finish_checkpoint();
            }
        }
    }

    fn finish_checkpoint(&mut self) {
        let begun = std::time::Instant::now();
        if let Err(failure) = self.log.checkpoint(&self.connection) {
            let folder = self.path.as_deref().map(open::folder_of);
            self.log.fail(&error::sort(&failure, folder));
        }
        let stall = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.log.longest_stall.fetch_max(stall, Ordering::Relaxed);
    }
}

fn checkpoint_when_woken(
    connection: &Connection,
    woken: &Receiver<()>,
    log: &Log,
    path: Option<PathBuf>,
) {
    while woken.recv().is_ok() {
        let _alone = log.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(failure) = log.checkpoint(connection) {
            let folder = path.as_deref().map(open::folder_of);
            log.fail(&error::sort(&failure, folder));
        }
    }
}
