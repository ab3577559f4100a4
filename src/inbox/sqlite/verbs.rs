//! The verbs of the inbox, each as work for the writer's thread or the reader's.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::OptionalExtension as _;

use super::writer::Writer;
use super::{
    Location, SqliteInbox, audit, change, check, error, prune, read, recovery, room, transaction,
    unreadable,
};
use crate::event::{Route, Seq};
use crate::inbox::query::{
    AuditFilter, AuditRow, Candidate, Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow,
    Page, SubjectFilter, SubjectRow, UnreadableFilter, UnreadableRow,
};
use crate::inbox::search::{Sift, Sifted};
use crate::inbox::{
    Audit, Batch, Change, Changed, Committed, Followed, Horizon, Inbox, InboxError, Latest, Mark,
    Prune, Pruned, Rate, RecordId, SinkId, Space, Stretch, Unreadable, UnreadableBounds,
};

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
                unreadable::keep(&mut writer.connection, &unreadable, bounds)
            })
        })
        .await
    }

    async fn remove_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<bool>, InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| unreadable::remove(&mut writer.connection, (&ids, &audit), now))
        })
        .await
    }

    async fn change(
        &self,
        changes: Vec<Change>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<Changed>, InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| change::change(writer, (&changes, &audit), now))
        })
        .await
    }

    async fn note(&self, audit: Audit, count: usize, now: Timestamp) -> Result<(), InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| audit::note(&mut writer.connection, &audit, (count, now)))
        })
        .await
    }

    async fn audited(&self, filter: AuditFilter) -> Result<Page<AuditRow>, InboxError> {
        self.read(move |sql| audit::audited(sql, &filter)).await
    }

    async fn recovery_mark(&self) -> Result<Option<Mark>, InboxError> {
        self.read(recovery::mark).await
    }

    async fn handled(&self, records: Vec<RecordId>) -> Result<Vec<bool>, InboxError> {
        self.read(move |sql| recovery::handled(sql, &records)).await
    }

    async fn recovered(
        &self,
        records: Vec<RecordId>,
        reached: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        self.write(move |writer| {
            writer.attempt(|writer| recovery::remember(writer, &records, reached, now))
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
        let Some(checked) = self.beside("store-check", move || check::quick_check(&path, &log))?
        else {
            return Ok(None);
        };
        checked
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
            free: Some(room.free).filter(|free| *free < u64::MAX),
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

    async fn bodies(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, Bytes)>, InboxError> {
        self.read(move |sql| read::bodies(sql, &seqs)).await
    }

    async fn sift(&self, sift: Sift) -> Result<Sifted, InboxError> {
        self.read(move |sql| read::sift(sql, &sift)).await
    }

    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError> {
        self.read(move |sql| read::events(sql, &filter)).await
    }

    async fn horizon(&self) -> Result<Horizon, InboxError> {
        self.read(read::horizon).await
    }

    async fn follow(&self, stretch: Stretch, filter: EventFilter) -> Result<Followed, InboxError> {
        self.read(move |sql| read::follow(sql, stretch, &filter))
            .await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError> {
        self.read(move |sql| read::deliveries(sql, &filter)).await
    }

    async fn candidates(
        &self,
        filter: DeliveryFilter,
        create: bool,
    ) -> Result<Page<Candidate>, InboxError> {
        self.read(move |sql| read::candidates(sql, &filter, create))
            .await
    }

    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError> {
        self.read(move |sql| read::subjects(sql, &filter)).await
    }

    async fn latest(&self, newest: Vec<Seq>) -> Result<Vec<Latest>, InboxError> {
        self.read(move |sql| read::latest(sql, &newest)).await
    }

    async fn exhausted(
        &self,
        sink: SinkId,
        rates: Arc<[Rate]>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InboxError> {
        self.read(move |sql| read::exhausted(sql, sink, &rates, now))
            .await
    }

    async fn unreadables(
        &self,
        filter: UnreadableFilter,
    ) -> Result<Page<UnreadableRow>, InboxError> {
        self.read(move |sql| read::unreadables(sql, &filter)).await
    }

    async fn unreadable(&self, id: i64) -> Result<Option<(UnreadableRow, Bytes)>, InboxError> {
        self.read(move |sql| read::unreadable(sql, id)).await
    }

    async fn close(&self) -> Result<(), InboxError> {
        self.log.closing.store(true, Ordering::Relaxed);
        if let Some(reads) = &self.reads {
            reads.close();
        }
        // A reader could keep a part of the log from being moved into the file, and would move it
        // itself when it closes, where nobody sees whether that works.
        let readers = join_all(&self.readers).await;
        let flushed = self.write(Writer::close).await;
        self.jobs.close();
        // Closing the last connection moves the log into the file, which may take a moment.
        let joined = join_all(&self.threads).await.and(readers);
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        joined.and(flushed)
    }
}

/// Waits for threads that were told to end; fails when one of them panicked.
pub(super) async fn join_all(threads: &Mutex<Vec<JoinHandle<()>>>) -> Result<(), InboxError> {
    let threads = std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
    let joined = tokio::task::spawn_blocking(move || {
        threads.into_iter().all(|thread| thread.join().is_ok())
    });
    match joined.await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(InboxError::Broken(
            "a thread of the store panicked".to_owned(),
        )),
    }
}
