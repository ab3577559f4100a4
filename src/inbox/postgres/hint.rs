//! Hints that something waits: what one replica stored and could not lease, another one may have room
//! for.
//!
//! A hint may be lost and nothing hangs on it: everybody also looks once a second. So a replica sends
//! few of them; the server hands them out one transaction at a time.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_postgres::AsyncMessage;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresInbox;
use super::session::Call;

/// How often everybody looks, hint or not.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two hints of one replica, and between two looks because of some.
const APART: Duration = Duration::from_millis(100);
const LISTEN: &str = "LISTEN flashduty_inbox";

/// When the last hint was sent or came, and how many came.
#[derive(Debug, Default)]
pub(super) struct Hints {
    last: Mutex<Option<Instant>>,
    heard: AtomicU64,
}

impl Hints {
    /// Whether it is time for one more; then it is taken for sent.
    fn is_time(&self) -> bool {
        let mut last = self.last();
        let is_time = last.is_none_or(|last| last.elapsed() >= APART);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }

    /// Notes one of another replica: everybody looks because of it, so that the next one has time. A
    /// transaction with a hint keeps out all others with one until it is durable; many replicas, all
    /// of them behind with a sink, would wait for each other.
    fn note(&self) {
        *self.last() = Some(Instant::now());
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresInbox {
    /// The statement that tells the other replicas; none where nobody could listen, or so soon after
    /// the last one, whoever's it was, that it would say nothing new.
    pub(super) fn hint(&self) -> Option<Call<'_>> {
        let may = !self.options.pgbouncer && self.hints.is_time();
        may.then(|| {
            // A cast, because the function returns nothing that could be read.
            Call::new("SELECT pg_notify('flashduty_inbox', $1)::text").with(&*self.name)
        })
    }

    /// Calls `look` whenever another replica may have left something, and once a second. Never ends.
    pub async fn listen(&self, look: impl Fn() + Send + Sync) {
        let (hints, mut heard) = mpsc::channel(1);
        let looking = async {
            loop {
                let _hint_or_not = timeout(LOOK_EVERY, heard.recv()).await;
                look();
                tokio::time::sleep(APART).await;
            }
        };
        let listening = async {
            loop {
                if !self.options.pgbouncer && self.passed.initialized() {
                    self.hear(&hints).await;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = looking => {}
            () = listening => {}
        }
    }

    /// How many hints of others came.
    #[cfg(test)]
    pub(super) fn heard(&self) -> u64 {
        self.hints.heard.load(Ordering::Relaxed)
    }

    /// Passes hints on until the connection is lost.
    async fn hear(&self, hints: &mpsc::Sender<()>) {
        let tls = MakeRustlsConnect::new(self.tls.clone());
        let (client, mut connection) = match self.config.connect(tls).await {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!("cannot listen for hints: {error}");
                return;
            }
        };
        let hearing = async {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(hint) = message
                    && hint.payload() != &*self.name
                {
                    self.hints.note();
                    // A full channel says it already.
                    let _told = hints.try_send(());
                }
            }
        };
        let asking = async {
            if client.batch_execute(LISTEN).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = hearing => {}
            () = asking => {}
        }
    }
}
