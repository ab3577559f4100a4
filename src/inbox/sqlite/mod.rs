//! The embedded store: one file, one writing thread, one process.
//!
//! A commit is synced before it returns (WAL, `synchronous=FULL`). A lock held from before opening
//! until after closing keeps the file to one receiver.

mod attempts;
mod audit;
mod cache;
mod change;
mod check;
mod claim;
#[cfg(test)]
mod ending;
mod enqueue;
mod error;
pub mod examine;
mod jobs;
mod lanes;
mod links;
mod open;
mod place;
mod prune;
mod read;
mod recovery;
mod room;
mod routes;
mod rows;
pub mod spill;
mod statements;
#[cfg(test)]
mod tests;
mod transaction;
mod unreadable;
mod verbs;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use self::jobs::Jobs;
pub use self::open::{Location, OpenError};
use self::place::StoreLock;
use self::routes::Routes;
use self::writer::{Log, Writer};
use super::InboxError;

/// How the embedded store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where it is.
    pub location: Location,
    /// How long to wait for another process to let go of it.
    pub lock_wait: Duration,
    /// A cap on its size in bytes; zero means none.
    pub max_size: u64,
}

/// Instructions of SQLite's virtual machine after which a reader looks whether the store closes: a
/// question that takes long must not hold that up.
const STRETCH: i32 = 20_000;

/// The embedded store. Cheap to share; closed once.
pub struct SqliteInbox {
    options: SqliteOptions,
    jobs: Jobs<Writer>,
    /// Absent in memory, where there is one connection.
    reads: Option<Jobs<Connection>>,
    log: Arc<Log>,
    routes: Arc<Routes>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that write nothing of their own, and end before the writer does.
    readers: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<StoreLock>>,
    unclean: bool,
}

impl SqliteInbox {
    /// Passes the start gate and starts the store's threads. Blocks, at most for `lock_wait` and
    /// the time the log takes to move into the file.
    pub fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let opened = open::open(&options.location, options.lock_wait)?;
        let path = match &options.location {
            Location::File(path) => Some(path.as_path()),
            Location::Memory => None,
        };
        let place = path.unwrap_or(Path::new(":memory:"));
        let failed = |error: std::io::Error| place::io_failed(place, &error);
        let total = room::total(&options).map_err(failed)?;
        let log = Arc::new(Log::in_room(total));
        let mut writer = Writer::new(opened.writer, options.clone(), Arc::clone(&log))
            .map_err(|error| open::broken(place, &error))?;
        let routes = Arc::clone(&writer.cache.routes);
        let (mut threads, mut readers) = (Vec::new(), Vec::new());
        let mut reads = None;
        if let Some(path) = path {
            let connect = |made: rusqlite::Result<Connection>| {
                made.map_err(|error| open::broken(path, &error))
            };
            let checkpointer = connect(open::connect(path))?;
            let thread = writer.start_checkpointer(checkpointer).map_err(failed)?;
            threads.push(thread);
            let closing = Arc::clone(&log);
            let give_way = move || closing.closing.load(Ordering::Relaxed);
            let reader = open::connect_reader(path).and_then(|mut reader| {
                reader.progress_handler(STRETCH, Some(give_way))?;
                Ok(reader)
            });
            let mut reader = connect(reader)?;
            let (jobs, receive) = Jobs::<Connection>::new();
            let thread = std::thread::Builder::new()
                .name("store-read".to_owned())
                .spawn(move || receive.iter().for_each(|job| job(&mut reader)))
                .map_err(failed)?;
            readers.push(thread);
            reads = Some(jobs);
        }
        let (jobs, receive) = Jobs::new();
        let thread = std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || writer.run(&receive))
            .map_err(failed)?;
        // The writer is joined first: its end lets the checkpointer go.
        threads.insert(0, thread);
        Ok(Self {
            options,
            jobs,
            reads,
            log,
            routes,
            threads: Mutex::new(threads),
            readers: Mutex::new(readers),
            lock: Mutex::new(opened.lock),
            unclean: opened.unclean,
        })
    }

    /// Whether the process before this one did not close the store.
    pub fn was_unclean(&self) -> bool {
        self.unclean
    }

    /// Waits until the store breaks, wherever that is noticed first, and says what broke it.
    pub async fn broken(&self) -> String {
        let mut broken = self.log.broken();
        let what = match broken.wait_for(Option::is_some).await {
            Ok(what) => what.clone(),
            Err(_) => None,
        };
        match what {
            Some(what) => what,
            None => std::future::pending().await,
        }
    }

    /// Moves the log into the file while pushes are taken, so that closing has little left to do.
    /// A failure is known to [`SqliteInbox::broken`], or said in the log.
    pub async fn flush(&self) {
        let Location::File(path) = self.options.location.clone() else {
            return;
        };
        let log = Arc::clone(&self.log);
        match self.beside("store-flush", move || log.flush_aside(&path)) {
            // A thread that panics is told of when the store closes.
            Ok(Some(flushed)) => {
                let _done = flushed.await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("cannot move the store's log into its file: {error}"),
        }
    }

    /// Does `work`, which has a connection of its own, on a thread that whoever closes the store
    /// waits for: the last connection to close would move the log into the file, unseen. `None`
    /// once it closes.
    fn beside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<oneshot::Receiver<T>>, InboxError> {
        let (answer, answered) = oneshot::channel();
        // Looked at under the lock, so that what began before is waited for.
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.log.closing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _heard = answer.send(work());
            })
            .map_err(|error| InboxError::Refused(error.to_string()))?;
        readers.push(thread);
        Ok(Some(answered))
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        self.jobs.run(work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, InboxError> {
        let sorted = |error: rusqlite::Error| error::sort(&error, None);
        let Some(reads) = &self.reads else {
            let reading = self.write(move |writer| work(&writer.connection).map_err(sorted));
            return reading.await;
        };
        let log = Arc::clone(&self.log);
        let reading = reads.run(move |reader| {
            let read = work(reader).map_err(sorted);
            read.map_err(|error| log.note(error))
        });
        reading.await
    }
}

#[cfg(test)]
impl SqliteInbox {
    /// An empty one in memory.
    pub(crate) fn in_memory() -> Self {
        let options = SqliteOptions {
            location: Location::Memory,
            lock_wait: Duration::ZERO,
            max_size: 0,
        };
        Self::open(options).expect("memory is always there")
    }
}
