//! Who this receiver is, and that it is there, for those who share its store and those who look.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Running;
use crate::build;
use crate::clock::Clock;
use crate::inbox::{Inbox, Replica};

/// How often it says that it is there.
const EVERY: Duration = Duration::from_secs(10);
/// How long saying that it goes may take: nobody waits for that.
const FAREWELL: Duration = Duration::from_millis(100);

/// Who this receiver is.
pub(super) struct Presence {
    name: String,
    started_at: Timestamp,
}

impl Presence {
    /// One that takes pushes at `listen`. Its host and port are the same after a restart, so that it
    /// takes its own place among those that are seen.
    pub(super) fn new(listen: SocketAddr, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            name: name(listen),
            started_at: now,
        })
    }

    pub(super) fn replica(&self, now: Timestamp) -> Replica {
        Replica {
            name: self.name.clone(),
            started_at: self.started_at,
            seen_at: now,
            version: build::VERSION.to_owned(),
        }
    }

    async fn beat(self: Arc<Self>, inbox: Arc<dyn Inbox>, clock: Arc<dyn Clock>) {
        loop {
            // The next one makes good for one that fails.
            if let Err(error) = inbox.beat(self.replica(clock.now())).await {
                tracing::debug!("others do not see that this receiver is there: {error}");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Who is not heard is shown as silent.
    async fn leave(&self, inbox: &dyn Inbox, now: Timestamp) {
        let leaving = inbox.leave(self.replica(now));
        match tokio::time::timeout(FAREWELL, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("others do not see that this receiver goes: {error}"),
            Err(_) => tracing::debug!("others do not see that this receiver goes: no answer"),
        }
    }
}

/// What tells the receiver that takes pushes at `listen` from others.
pub(super) fn name(listen: SocketAddr) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{host}:{}", listen.port())
}

impl Running {
    /// Says which build takes pushes from now on, and where.
    pub(super) fn announce(&self, public: SocketAddr, admin: SocketAddr) {
        tracing::info!(
            version = build::VERSION,
            commit = build::COMMIT,
            build_date = build::date(),
            listen = %public,
            admin = %admin,
            path = self.live.settings().server.path,
            "ready for pushes"
        );
    }

    /// Says now and then that this receiver is there, where others may share its store, and at the end
    /// that it goes.
    pub(super) fn be_seen(&self) {
        if !self.store.is_shared() {
            return;
        }
        let (presence, inbox) = (Arc::clone(&self.presence), self.inbox());
        let clock = Arc::clone(&self.clock);
        let closing = self.lifecycle.closing_token();
        self.spawn_at_contact("the heartbeat", async move {
            let beating = Arc::clone(&presence).beat(Arc::clone(&inbox), Arc::clone(&clock));
            closing.run_until_cancelled(beating).await;
            presence.leave(&*inbox, clock.now()).await;
            Ok(())
        });
    }
}
