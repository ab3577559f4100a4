//! The verbs of the inbox.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::error::Failure;
use super::session::{COMMIT, Call, Script, Session};
use super::{PostgresInbox, SHORT, Tries};
use super::{audit, change, prune, read, recovery, replicas, time, unreadable};
use crate::event::{Route, Seq};
use crate::inbox::query::{
    AuditFilter, AuditRow, Candidate, Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow,
    Page, SubjectFilter, SubjectRow, UnreadableFilter, UnreadableRow,
};
use crate::inbox::search::{Sift, Sifted};
use crate::inbox::{
    Audit, Batch, Change, Changed, Committed, Followed, Horizon, Inbox, InboxError, Latest, Mark,
    Prune, Pruned, Rate, RecordId, Replica, SinkId, Space, Stretch, Unreadable, UnreadableBounds,
};

/// Does something on a connection, again while it loses against others, within the time there is. A
/// connection that is left in the middle of a transaction is closed.
macro_rules! ask {
    ($inbox:expr, $session:ident => $work:expr) => {
        $inbox
            .within(async {
                let mut tries = Tries::default();
                loop {
                    let mut $session = $inbox.session().await?;
                    let done: Result<_, Failure> = async { $work }.await;
                    $session.abandon().await;
                    if let Some(done) = tries.judge(done).await {
                        return done;
                    }
                }
            })
            .await
    };
}

/// As `ask`, for those who only look.
macro_rules! look {
    ($inbox:expr, $session:ident => $work:expr) => {{
        let _looker = $inbox.looker().await?;
        ask!($inbox, $session => $work)
    }};
}

/// As `ask`, in a transaction.
macro_rules! transact {
    ($inbox:expr, $session:ident => $work:expr) => {
        ask!($inbox, $session => {
            $session.begin(SHORT).await?;
            let done = $work;
            $session.end(COMMIT).await?;
            Ok(done)
        })
    };
}

#[async_trait]
impl Inbox for PostgresInbox {
    async fn sink(&self, name: &str) -> Result<SinkId, InboxError> {
        ask!(self, session => sink(&mut session, name).await)
    }

    async fn commit(&self, batch: Arc<Batch>, now: Timestamp) -> Result<Committed, InboxError> {
        self.within(self.commit_batch(&batch, now)).await
    }

    fn takes(&self, route: &Route) -> bool {
        self.routes.takes(route)
    }

    async fn probe(&self) -> Result<(), InboxError> {
        ask!(self, session => probe(&mut session).await)
    }

    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        transact!(self, session => unreadable::keep(session.raw(), &unreadable, bounds).await?)
    }

    async fn remove_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<bool>, InboxError> {
        let given = self.given(now);
        transact!(self, session => {
            let now = clock(&mut session, given).await?;
            unreadable::remove(session.raw(), (&ids, &audit), now).await?
        })
    }

    async fn change(
        &self,
        changes: Vec<Change>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<Changed>, InboxError> {
        let given = self.given(now);
        transact!(self, session => {
            let now = clock(&mut session, given).await?;
            change::change(session.raw(), (&changes, &audit), now).await?
        })
    }

    async fn note(&self, audit: Audit, count: usize, now: Timestamp) -> Result<(), InboxError> {
        let given = self.given(now);
        transact!(self, session => {
            let now = clock(&mut session, given).await?;
            audit::write_down(session.raw(), &audit, (count, now)).await?
        })
    }

    async fn audited(&self, filter: AuditFilter) -> Result<Page<AuditRow>, InboxError> {
        look!(self, session => audit::audited(session.raw(), &filter).await)
    }

    async fn recovery_mark(&self) -> Result<Option<Mark>, InboxError> {
        ask!(self, session => recovery::mark(&mut session).await)
    }

    async fn handled(&self, records: Vec<RecordId>) -> Result<Vec<bool>, InboxError> {
        ask!(self, session => recovery::handled(&mut session, &records).await)
    }

    async fn recovered(
        &self,
        records: Vec<RecordId>,
        reached: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        ask!(self, session => recovery::remember(&mut session, &records, reached, now).await)
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, InboxError> {
        let given = self.given(prune.now);
        let step = transact!(self, session => {
            let mut prune = prune.clone();
            prune.now = time::timestamp(clock(&mut session, given).await?);
            prune::step(session.raw(), &prune).await?
        })?;
        self.routes.forget(&step.routes);
        self.meter.freed(step.pruned.bytes);
        Ok(step.pruned)
    }

    async fn check(&self) -> Result<Option<String>, InboxError> {
        // The database looks after its own pages.
        Ok(None)
    }

    async fn space(&self) -> Result<Space, InboxError> {
        let cap = self.options.max_size;
        ask!(self, session => self.meter.space(session.raw(), cap).await)
    }

    async fn counts(&self) -> Result<Counts, InboxError> {
        look!(self, session => read::counts(session.raw()).await)
    }

    async fn event(&self, seq: Seq) -> Result<Option<(EventRow, Bytes)>, InboxError> {
        look!(self, session => read::event(session.raw(), seq).await)
    }

    async fn bodies(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, Bytes)>, InboxError> {
        look!(self, session => read::bodies(session.raw(), &seqs).await)
    }

    async fn sift(&self, sift: Sift) -> Result<Sifted, InboxError> {
        let found = look!(self, session => read::sift(session.raw(), &sift).await)?;
        Ok(found.confirmed(sift).await)
    }

    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError> {
        look!(self, session => read::events(session.raw(), &filter).await)
    }

    async fn horizon(&self) -> Result<Horizon, InboxError> {
        // Before a connection is taken: those who wait here need none.
        let mut known = self.positions.lock().await;
        ask!(self, session => read::horizon(session.raw(), &mut known).await)
    }

    async fn follow(&self, stretch: Stretch, filter: EventFilter) -> Result<Followed, InboxError> {
        look!(self, session => read::follow(session.raw(), stretch, &filter).await)
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError> {
        look!(self, session => read::deliveries(session.raw(), &filter).await)
    }

    async fn candidates(
        &self,
        filter: DeliveryFilter,
        create: bool,
    ) -> Result<Page<Candidate>, InboxError> {
        look!(self, session => read::candidates(session.raw(), &filter, create).await)
    }

    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError> {
        look!(self, session => read::subjects(session.raw(), &filter).await)
    }

    async fn latest(&self, newest: Vec<Seq>) -> Result<Vec<Latest>, InboxError> {
        look!(self, session => read::latest(session.raw(), &newest).await)
    }

    async fn exhausted(
        &self,
        sink: SinkId,
        rates: Arc<[Rate]>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InboxError> {
        let given = self.given(now);
        look!(self, session => read::exhausted(session.raw(), sink, &rates, given).await)
    }

    async fn beat(&self, me: Replica) -> Result<(), InboxError> {
        let given = self.given(me.seen_at);
        ask!(self, session => replicas::beat(session.raw(), &me, given).await)
    }

    async fn leave(&self, me: Replica) -> Result<(), InboxError> {
        ask!(self, session => replicas::leave(session.raw(), &me).await)
    }

    async fn replicas(&self) -> Result<Vec<Replica>, InboxError> {
        look!(self, session => replicas::known(session.raw()).await)
    }

    async fn unreadables(
        &self,
        filter: UnreadableFilter,
    ) -> Result<Page<UnreadableRow>, InboxError> {
        look!(self, session => read::unreadables(session.raw(), &filter).await)
    }

    async fn unreadable(&self, id: i64) -> Result<Option<(UnreadableRow, Bytes)>, InboxError> {
        look!(self, session => read::unreadable(session.raw(), id).await)
    }

    async fn close(&self) -> Result<(), InboxError> {
        self.pool.close();
        Ok(())
    }
}

async fn sink(session: &mut Session, name: &str) -> Result<SinkId, Failure> {
    let known = Call::new("SELECT id FROM sinks WHERE name = $1").with(name);
    let mut rows = session.one(known).await?;
    if rows.is_empty() {
        // Another replica may make it at the same time.
        let new = Call::new(
            "INSERT INTO sinks (name) VALUES ($1) \
             ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
        );
        rows = session.one(new.with(name)).await?;
    }
    match rows.first() {
        Some(row) => Ok(SinkId(row.try_get(0)?)),
        None => Err(Failure::Again("a sink vanished".to_owned())),
    }
}

async fn probe(session: &mut Session) -> Result<(), Failure> {
    let mut script = Script::default();
    script.add(Call::plain(SHORT));
    script.add(Call::new(
        "INSERT INTO meta AS m (key, value) VALUES ('probe', 1) \
         ON CONFLICT (key) DO UPDATE SET value = m.value + 1",
    ));
    script.add(Call::plain(COMMIT));
    session.run(&script).await.map(drop)
}

/// The time in this transaction, in microseconds.
async fn clock(session: &mut Session, given: Option<i64>) -> Result<i64, Failure> {
    let asked = Call::new("SELECT inbox_now($1)").with(given);
    let rows = session.one(asked).await?;
    let now = rows.first().map(|row| row.try_get(0)).transpose()?;
    now.ok_or_else(|| Failure::Again("no time was told".to_owned()))
}
