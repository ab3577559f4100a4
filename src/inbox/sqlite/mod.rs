//! The embedded store: one file, one writing thread, one process.
//!
//! A commit is synced before it returns (WAL, `synchronous=FULL`). A lock held from before opening
//! until after closing keeps the file to one receiver.

mod cache;
mod check;
mod error;
mod lanes;
mod links;
mod open;
mod place;
mod prune;
mod read;
mod room;
mod routes;
mod rows;
mod statements;
#[cfg(test)]
mod tests;
mod transaction;
mod unreadable;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

pub use self::open::{Location, OpenError};
use self::place::StoreLock;
use self::routes::Routes;
use self::writer::{Job, Log, Writer};
use super::query::{
    Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow, Page, SubjectFilter, SubjectRow,
    UnreadableRow,
};
use super::{
    Batch, Committed, Inbox, InboxError, Prune, Pruned, Seq, SinkId, Space, Unreadable,
    UnreadableBounds,
};
use crate::event::Route;

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

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// The embedded store. Cheap to share; closed once.
pub struct SqliteInbox {
    options: SqliteOptions,
    jobs: Mutex<Option<Sender<Job>>>,
    reads: Mutex<Option<Sender<ReadJob>>>,
    log: Arc<Log>,
    routes: Arc<Routes>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        let mut threads = Vec::new();
        let mut reads = None;
        if let Some(path) = path {
            let connect = |made: rusqlite::Result<Connection>| {
                made.map_err(|error| open::broken(path, &error))
            };
            let checkpointer = connect(open::connect(path))?;
            let thread = writer.start_checkpointer(checkpointer).map_err(failed)?;
            threads.push(thread);
            let reader = connect(open::connect_reader(path))?;
            let (send, receive) = channel::<ReadJob>();
            let thread = std::thread::Builder::new()
                .name("store-read".to_owned())
                .spawn(move || receive.iter().for_each(|job| job(&reader)))
                .map_err(failed)?;
            threads.push(thread);
            reads = Some(send);
        }
        let (jobs, receive) = channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || writer.run(&receive))
            .map_err(failed)?;
        // The writer is joined first: its end lets the checkpointer go.
        threads.insert(0, thread);
        Ok(Self {
            options,
            jobs: Mutex::new(Some(jobs)),
            reads: Mutex::new(reads),
            log,
            routes,
            threads: Mutex::new(threads),
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

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            // Whoever asked may have gone; the work was done all the same.
            let _heard = answer.send(work(writer));
        });
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .ok_or(InboxError::Closed)?
            .send(job)
            .map_err(|_| InboxError::Closed)?;
        answered.await.map_err(|_| InboxError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, InboxError> {
        let reads = self
            .reads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(reads) = reads else {
            // A store in memory has one connection.
            return self
                .write(move |writer| {
                    work(&writer.connection).map_err(|error| error::sort(&error, None))
                })
                .await;
        };
        let (answer, answered) = oneshot::channel();
        let log = Arc::clone(&self.log);
        let job: ReadJob = Box::new(move |connection| {
            let read = work(connection).map_err(|error| log.note(error::sort(&error, None)));
            let _heard = answer.send(read);
        });
        reads.send(job).map_err(|_| InboxError::Closed)?;
        answered.await.map_err(|_| InboxError::Closed)?
    }
}

#[async_trait]
impl Inbox for SqliteInbox {
    async fn sink(&self, name: &str) -> Result<SinkId, InboxError> {
        let name = name.to_owned();
        self.write(move |writer| {
            writer.attempt(|writer| {
                let sql = &writer.connection;
                // One that is known costs no commit: a start writes nothing, however full the disk.
                let known = sql
                    .query_row("SELECT id FROM sinks WHERE name = ?1", [&name], |row| {
                        row.get(0).map(SinkId)
                    })
                    .optional()?;
                if let Some(known) = known {
                    return Ok(known);
                }
                let id = sql.query_row(
                    "INSERT INTO sinks (name) VALUES (?1) RETURNING id",
                    [&name],
                    |row| row.get(0).map(SinkId),
                )?;
                writer.cache.sink_added(id);
                Ok(id)
            })
        })
        .await
    }

    async fn commit(&self, batch: Arc<Batch>, now: Timestamp) -> Result<Committed, InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| {
                if !batch.offers.is_empty() {
                    room::ensure(&writer.connection, &writer.options, &batch.offers)?;
                }
                transaction::commit(writer, &batch, now)
            })
        })
        .await
    }

    fn takes(&self, route: &Route) -> bool {
        self.routes.takes(route)
    }

    async fn probe(&self) -> Result<(), InboxError> {
        self.write(|writer| {
            writer.attempt(|writer| {
                room::ensure(&writer.connection, &writer.options, &[])?;
                writer
                    .connection
                    .execute(
                        "INSERT INTO meta (key, value) VALUES ('probe', 1) \
                         ON CONFLICT DO UPDATE SET value = value + 1",
                        [],
                    )
                    .map(|_one| ())
            })
        })
        .await
    }

    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| {
                room::ensure(&writer.connection, &writer.options, &[])?;
                unreadable::keep(writer, &unreadable, bounds)
            })
        })
        .await
    }

    async fn drop_unreadable(&self, id: i64) -> Result<bool, InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| {
                let gone = writer
                    .connection
                    .execute("DELETE FROM unreadable WHERE id = ?1", [id])?;
                Ok(gone == 1)
            })
        })
        .await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, InboxError> {
        self.write(move |writer| writer.attempt(|writer| prune::step(writer, &prune)))
            .await
    }

    async fn check(&self) -> Result<Option<String>, InboxError> {
        let Location::File(path) = &self.options.location else {
            return Ok(None);
        };
        let (path, log) = (path.clone(), Arc::clone(&self.log));
        let (answer, answered) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("store-check".to_owned())
            .spawn(move || {
                let _heard = answer.send(check::quick_check(&path, &log));
            })
            .map_err(|error| InboxError::Refused(error.to_string()))?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        answered
            .await
            .map_err(|_| InboxError::Closed)?
            .map_err(|error| error::sort(&error, None))
    }

    async fn space(&self) -> Result<Space, InboxError> {
        let pages = self.read(room::Pages::read).await?;
        let room = room::measure(pages, &self.options)
            .map_err(|error| InboxError::Refused(error.to_string()))?;
        Ok(Space {
            total: room.total,
            store: room.taken,
            free: room.free,
            log: self.log.bytes_in_use(),
            longest_stall: self.log.longest_stall(),
        })
    }

    async fn counts(&self) -> Result<Counts, InboxError> {
        self.read(read::counts).await
    }

    async fn event(&self, seq: Seq) -> Result<Option<(EventRow, Bytes)>, InboxError> {
        self.read(move |sql| read::event(sql, seq)).await
    }

    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError> {
        self.read(move |sql| read::events(sql, &filter)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError> {
        self.read(move |sql| read::deliveries(sql, &filter)).await
    }

    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError> {
        self.read(move |sql| read::subjects(sql, &filter)).await
    }

    async fn unreadables(
        &self,
        cursor: Option<i64>,
        limit: usize,
    ) -> Result<Page<UnreadableRow>, InboxError> {
        self.read(move |sql| read::unreadables(sql, cursor, limit))
            .await
    }

    async fn unreadable(&self, id: i64) -> Result<Option<(UnreadableRow, Bytes)>, InboxError> {
        self.read(move |sql| read::unreadable(sql, id)).await
    }

    async fn close(&self) -> Result<(), InboxError> {
        self.log.closing.store(true, Ordering::Relaxed);
        let flushed = self.write(Writer::close).await;
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.reads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // Closing the last connection moves the log into the file, which may take a moment.
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        })
        .await;
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match joined {
            Ok(true) => flushed,
            Ok(false) | Err(_) => Err(InboxError::Broken(
                "a thread of the store panicked".to_owned(),
            )),
        }
    }
}
