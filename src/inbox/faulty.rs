//! A store that fails when it is told to, for tests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::query::*;
use super::*;

/// Which commits fail, and how; everything else goes to the store behind it.
pub(crate) struct FaultyInbox<I> {
    inner: I,
    failures: Mutex<VecDeque<Option<InboxError>>>,
    /// An offer with this event id is refused, whoever is in the batch with it.
    poison: Option<&'static str>,
    /// A transaction that claims anything is refused.
    refuses_claims: bool,
    /// Told when a check of the store began, which then never ends.
    checking: Option<Arc<Notify>>,
    /// Nothing is removed from the box of unreadable pushes.
    box_is_stuck: AtomicBool,
    box_refuses: AtomicBool,
    held: Mutex<Option<Held>>,
    weather: Mutex<Weather>,
}

/// How a database behind a network is to be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Weather {
    #[default]
    Fine,
    /// Nothing gets there.
    Away,
    /// What is asked is done, and the answer gets lost.
    Deaf,
    /// What is asked is done after so long.
    Slow(Duration),
}

/// Where a commit says that it is done, and what it waits for before it answers.
type Held = (oneshot::Sender<()>, oneshot::Receiver<()>);

impl<I> FaultyInbox<I> {
    pub(crate) fn new(inner: I) -> Self {
        Self {
            inner,
            failures: Mutex::default(),
            poison: None,
            refuses_claims: false,
            checking: None,
            box_is_stuck: AtomicBool::new(false),
            box_refuses: AtomicBool::new(false),
            held: Mutex::default(),
            weather: Mutex::default(),
        }
    }

    pub(crate) fn poisoned_by(mut self, event_id: &'static str) -> Self {
        self.poison = Some(event_id);
        self
    }

    pub(crate) fn refusing_claims(mut self) -> Self {
        self.refuses_claims = true;
        self
    }

    pub(crate) fn checking_for_ever(mut self, began: &Arc<Notify>) -> Self {
        self.checking = Some(Arc::clone(began));
        self
    }

    /// The next commit is done when the receiver says so, and answers once the sender is dropped.
    pub(crate) fn hold_next(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((done, is_done), (go, goes)) = (oneshot::channel(), oneshot::channel());
        *self.held.lock().unwrap() = Some((done, goes));
        (is_done, go)
    }

    /// Whether nothing can be removed from the box of unreadable pushes from now on.
    pub(crate) fn box_is_stuck(&self, stuck: bool) {
        self.box_is_stuck.store(stuck, Ordering::SeqCst);
    }

    /// Whether nothing can be put into it from now on.
    pub(crate) fn box_refuses(&self, refuses: bool) {
        self.box_refuses.store(refuses, Ordering::SeqCst);
    }

    /// The next commits, probes and lines of the audit end like this; `None` lets one through.
    pub(crate) fn fail_next(&self, failures: impl IntoIterator<Item = Option<InboxError>>) {
        self.failures.lock().unwrap().extend(failures);
    }

    /// From now on.
    pub(crate) fn turn(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// What `asked` comes to in the weather there is.
    async fn through<T>(
        &self,
        asked: impl Future<Output = Result<T, InboxError>>,
    ) -> Result<T, InboxError> {
        let away = || InboxError::Away("the network is down".to_owned());
        let weather = *self.weather.lock().unwrap();
        match weather {
            Weather::Fine => asked.await,
            Weather::Away => Err(away()),
            Weather::Deaf => {
                asked.await?;
                Err(away())
            }
            Weather::Slow(time) => {
                tokio::time::sleep(time).await;
                asked.await
            }
        }
    }

    fn failure(&self) -> Result<(), InboxError> {
        match self.failures.lock().unwrap().pop_front().flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<I: Inbox> Inbox for FaultyInbox<I> {
    async fn commit(&self, batch: Arc<Batch>, now: Timestamp) -> Result<Committed, InboxError> {
        self.failure()?;
        let poison = |offer: &Offer| {
            self.poison.is_some()
                && offer.event.event_id.as_ref().map(|id| id.as_str()) == self.poison
        };
        if batch.offers.iter().any(poison) {
            return Err(InboxError::Refused("it is poisoned".to_owned()));
        }
        if self.refuses_claims && !batch.claims.is_empty() {
            return Err(InboxError::Refused("nothing can be claimed".to_owned()));
        }
        let committed = self.through(self.inner.commit(batch, now)).await;
        let held = self.held.lock().unwrap().take();
        if let Some((done, goes)) = held {
            let _heard = done.send(());
            let _dropped = goes.await;
        }
        committed
    }
    fn takes(&self, route: &Route) -> bool {
        self.inner.takes(route)
    }
    async fn probe(&self) -> Result<(), InboxError> {
        self.failure()?;
        self.through(self.inner.probe()).await
    }
    async fn sink(&self, name: &str) -> Result<SinkId, InboxError> {
        self.inner.sink(name).await
    }
    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        if self.box_refuses.load(Ordering::SeqCst) {
            return Err(InboxError::Refused("it is too long".to_owned()));
        }
        self.through(self.inner.keep_unreadable(unreadable, bounds))
            .await
    }
    async fn remove_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<bool>, InboxError> {
        if self.box_is_stuck.load(Ordering::SeqCst) {
            return Err(InboxError::Away("the network is down".to_owned()));
        }
        self.inner.remove_unreadable(ids, audit, now).await
    }
    async fn change(
        &self,
        changes: Vec<Change>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<Changed>, InboxError> {
        self.inner.change(changes, audit, now).await
    }
    async fn note(&self, audit: Audit, count: usize, now: Timestamp) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.note(audit, count, now).await
    }
    async fn audited(&self, filter: AuditFilter) -> Result<Page<AuditRow>, InboxError> {
        self.inner.audited(filter).await
    }
    async fn recovery_mark(&self) -> Result<Option<Mark>, InboxError> {
        self.inner.recovery_mark().await
    }
    async fn handled(&self, records: Vec<RecordId>) -> Result<Vec<bool>, InboxError> {
        self.inner.handled(records).await
    }
    async fn recovered(
        &self,
        records: Vec<RecordId>,
        reached: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        self.inner.recovered(records, reached, now).await
    }
    async fn prune(&self, prune: Prune) -> Result<Pruned, InboxError> {
        self.inner.prune(prune).await
    }
    async fn check(&self) -> Result<Option<String>, InboxError> {
        if let Some(began) = &self.checking {
            began.notify_one();
            std::future::pending::<()>().await;
        }
        self.inner.check().await
    }
    async fn space(&self) -> Result<Space, InboxError> {
        self.inner.space().await
    }
    async fn counts(&self) -> Result<Counts, InboxError> {
        self.inner.counts().await
    }
    async fn event(&self, seq: Seq) -> Result<Option<(EventRow, Bytes)>, InboxError> {
        self.inner.event(seq).await
    }
    async fn bodies(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, Bytes)>, InboxError> {
        self.inner.bodies(seqs).await
    }
    async fn sift(&self, sift: Sift) -> Result<Sifted, InboxError> {
        self.inner.sift(sift).await
    }
    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError> {
        self.inner.events(filter).await
    }
    async fn horizon(&self) -> Result<Horizon, InboxError> {
        self.through(self.inner.horizon()).await
    }
    async fn follow(&self, stretch: Stretch, filter: EventFilter) -> Result<Followed, InboxError> {
        self.inner.follow(stretch, filter).await
    }
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError> {
        self.inner.deliveries(filter).await
    }
    async fn candidates(
        &self,
        filter: DeliveryFilter,
        create: bool,
    ) -> Result<Page<Candidate>, InboxError> {
        self.inner.candidates(filter, create).await
    }
    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError> {
        self.inner.subjects(filter).await
    }
    async fn latest(&self, newest: Vec<Seq>) -> Result<Vec<Latest>, InboxError> {
        self.inner.latest(newest).await
    }
    async fn exhausted(
        &self,
        sink: SinkId,
        rates: Arc<[Rate]>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InboxError> {
        self.inner.exhausted(sink, rates, now).await
    }
    async fn beat(&self, me: Replica) -> Result<(), InboxError> {
        self.through(self.inner.beat(me)).await
    }
    async fn leave(&self, me: Replica) -> Result<(), InboxError> {
        self.through(self.inner.leave(me)).await
    }
    async fn replicas(&self) -> Result<Vec<Replica>, InboxError> {
        self.through(self.inner.replicas()).await
    }
    async fn unreadables(
        &self,
        filter: UnreadableFilter,
    ) -> Result<Page<UnreadableRow>, InboxError> {
        self.inner.unreadables(filter).await
    }
    async fn unreadable(&self, id: i64) -> Result<Option<(UnreadableRow, Bytes)>, InboxError> {
        self.inner.unreadable(id).await
    }
    async fn close(&self) -> Result<(), InboxError> {
        self.inner.close().await
    }
}
