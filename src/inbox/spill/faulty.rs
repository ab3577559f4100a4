//! A spill that fails when it is told to, for tests.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;

/// Which writes fail, and how; everything else goes to the spill behind it.
pub(crate) struct FaultySpill<S> {
    inner: S,
    failures: Mutex<VecDeque<Option<InboxError>>>,
}

impl<S> FaultySpill<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            failures: Mutex::default(),
        }
    }

    /// The next writes end like this; `None` lets one through.
    pub(crate) fn fail_next(&self, failures: impl IntoIterator<Item = Option<InboxError>>) {
        self.failures.lock().unwrap().extend(failures);
    }

    fn failure(&self) -> Result<(), InboxError> {
        match self.failures.lock().unwrap().pop_front().flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<S: Spill> Spill for FaultySpill<S> {
    async fn keep(&self, batch: Arc<Batch>) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.keep(batch).await
    }
    async fn oldest(&self, count: usize, bytes: usize) -> Result<Vec<Spilled>, InboxError> {
        self.inner.oldest(count, bytes).await
    }
    async fn remove(&self, id: i64) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.remove(id).await
    }
    async fn set_aside(&self, id: i64) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.set_aside(id).await
    }
    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.keep_unreadable(unreadable, bounds).await
    }
    async fn oldest_unreadable(
        &self,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<SpilledUnreadable>, InboxError> {
        self.inner.oldest_unreadable(count, bytes).await
    }
    async fn remove_unreadable(&self, id: i64) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.remove_unreadable(id).await
    }
    async fn probe(&self) -> Result<(), InboxError> {
        self.failure()?;
        self.inner.probe().await
    }
    async fn look(&self, event_id: Option<Id>) -> Result<(Contents, Vec<SpilledRow>), InboxError> {
        self.inner.look(event_id).await
    }
    fn waiting(&self) -> u64 {
        self.inner.waiting()
    }
    fn unreadable(&self) -> u64 {
        self.inner.unreadable()
    }
    async fn close(&self) -> Result<(), InboxError> {
        self.inner.close().await
    }
}
