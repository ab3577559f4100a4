//! Work for a thread that owns what it works on, such as a connection.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::inbox::InboxError;

/// What is done with the thread's own `W`.
pub(super) type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Hands jobs to the thread, until it is closed.
pub(super) struct Jobs<W>(Mutex<Option<Sender<Job<W>>>>);

impl<W: 'static> Jobs<W> {
    /// With what the thread receives them by.
    pub(super) fn new() -> (Self, Receiver<Job<W>>) {
        let (jobs, receive) = channel();
        (Self(Mutex::new(Some(jobs))), receive)
    }

    /// Has `work` done, and waits for what comes of it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<W> = Box::new(move |owned| {
            // Whoever asked may have gone; the work was done all the same.
            let _heard = answer.send(work(owned));
        });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .ok_or(InboxError::Closed)?
            .send(job)
            .map_err(|_| InboxError::Closed)?;
        answered.await.map_err(|_| InboxError::Closed)?
    }

    /// Takes no more: the thread ends once it has done what it was given.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
