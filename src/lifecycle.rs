//! Starting and stopping: one value that every task is spawned on.
//!
//! A stop has two steps. *Draining*: readiness turns red and answers say `Connection: close`, but
//! pushes are still taken. *Closing*: no new connection is accepted and what is in flight finishes.
//!
//! Where the listening socket outlives the process, *resting* takes the place of draining: nothing
//! new is handed to a sink and answers say `Connection: close`, but readiness stays, because pushes
//! are taken all the time, at last by the next process.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much time a stop gives to what is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Farewell {
    /// Nobody takes over: as much as is configured.
    #[default]
    Patient,
    /// The next process takes over the listening socket, and whoever connects meanwhile waits for
    /// it: next to none.
    Brief,
}

/// Clones share one set of signals and one set of tracked tasks.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    rest: CancellationToken,
    drain: CancellationToken,
    close: CancellationToken,
    tasks: TaskTracker,
    crashed: Arc<AtomicBool>,
    /// Resting began before draining.
    handing_over: Arc<AtomicBool>,
}

impl Lifecycle {
    /// Spawns a task that shutdown waits for.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// Runs `task` to its end, whatever becomes of whoever waits here: for what must not be half done
    /// because a client hung up. Shutdown waits for it.
    pub async fn see_through<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.spawn(task).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                // It goes on where it would have come out without a task of its own.
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the runtime's end takes a task away, and nobody is answered then.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    /// Spawns a task the service cannot do without: if it fails, panics, or ends before draining
    /// began, draining begins and [`Lifecycle::has_crashed`] turns true.
    pub fn spawn_vital(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let _tracked = self.tasks.spawn(self.clone().guard(name, task));
    }

    /// Spawns a vital task that the others need to finish: [`Lifecycle::wait`] does not wait for
    /// it, the caller does.
    pub fn spawn_vital_last(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        #[expect(clippy::disallowed_methods, reason = "this is the lifecycle")]
        tokio::spawn(self.clone().guard(name, task))
    }

    /// Spawns a task that nobody depends on: neither does [`Lifecycle::wait`] wait for it, nor is it
    /// missed if it ends.
    pub fn spawn_dispensable<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        #[expect(clippy::disallowed_methods, reason = "this is the lifecycle")]
        tokio::spawn(task)
    }

    async fn guard(
        self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let mut guard = CrashGuard {
            lifecycle: self,
            armed: true,
        };
        match task.await {
            Ok(()) => guard.armed = !guard.lifecycle.is_draining(),
            Err(error) => tracing::error!("{name} failed: {error:#}"),
        }
    }

    /// Whether readiness is withdrawn.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Resolves when draining begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Whether an answer should be its connection's last.
    pub fn is_parting(&self) -> bool {
        self.is_draining() || self.rest.is_cancelled()
    }

    /// Cancelled when nothing new is handed to sinks any more, at the latest when closing begins;
    /// cancelling it stops nothing but its holder.
    pub fn resting_token(&self) -> CancellationToken {
        self.rest.child_token()
    }

    /// Begins resting.
    pub fn rest(&self) {
        self.handing_over
            .fetch_or(!self.is_draining(), Ordering::AcqRel);
        self.rest.cancel();
    }

    /// Whether the next process goes on without a break: nothing failed before resting began.
    pub fn is_handing_over(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }

    /// Whether new connections and new work are no longer taken.
    pub fn is_closing(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Resolves when closing begins.
    pub async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// Cancelled when closing begins; cancelling it stops nothing but its holder.
    pub fn closing_token(&self) -> CancellationToken {
        self.close.child_token()
    }

    /// Begins draining.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Begins closing, which implies resting and draining.
    pub fn close(&self) {
        self.rest.cancel();
        self.drain.cancel();
        self.close.cancel();
        self.tasks.close();
    }

    /// Whether a vital task ended on its own.
    pub fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::Acquire)
    }

    /// Sleeps, but wakes at once when closing begins.
    pub async fn sleep(&self, duration: Duration) {
        let _slept = self
            .close
            .run_until_cancelled(tokio::time::sleep(duration))
            .await;
    }

    /// Waits up to `grace` for every task; `false` means some were cut off.
    pub async fn wait(&self, grace: Duration) -> bool {
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

struct CrashGuard {
    lifecycle: Lifecycle,
    armed: bool,
}

impl Drop for CrashGuard {
    fn drop(&mut self) {
        if self.armed {
            self.lifecycle.crashed.store(true, Ordering::Release);
            self.lifecycle.drain();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_panics_starts_the_drain() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn_vital("bad", async { panic!("boom") });
        lifecycle.draining().await;
        assert!(lifecycle.has_crashed());
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_after_draining_began_is_no_crash() {
        let lifecycle = Lifecycle::default();
        let waiting = lifecycle.clone();
        lifecycle.spawn_vital("good", async move {
            waiting.closing().await;
            Ok(())
        });
        lifecycle.close();
        assert!(lifecycle.wait(Duration::from_secs(1)).await);
        assert!(!lifecycle.has_crashed());
    }

    #[tokio::test]
    async fn what_is_seen_through_ends_though_nobody_waits_and_its_panic_comes_back() {
        let lifecycle = Lifecycle::default();
        let (go, goes) = tokio::sync::oneshot::channel::<()>();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let seen = lifecycle.see_through(async move {
            let _dropped = goes.await;
            ended.send(()).unwrap();
        });
        let waited = tokio::time::timeout(Duration::ZERO, seen).await;
        assert!(waited.is_err(), "it was begun, and left");
        drop(go);
        has_ended.await.unwrap();

        let mut broken = tokio::task::JoinSet::<()>::new();
        broken.spawn(async move { lifecycle.see_through(async { panic!("a bug") }).await });
        let ended = broken.join_next().await.unwrap();
        assert!(ended.unwrap_err().is_panic());
    }

    #[test]
    fn resting_leaves_readiness_alone_and_closing_implies_it() {
        let lifecycle = Lifecycle::default();
        let sinks = lifecycle.resting_token();
        lifecycle.rest();
        assert!(sinks.is_cancelled() && lifecycle.is_parting());
        assert!(!lifecycle.is_draining() && !lifecycle.is_closing());
        let hurried = Lifecycle::default();
        hurried.close();
        assert!(hurried.resting_token().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_task_does_not_hold_shutdown_past_the_grace_period() {
        let lifecycle = Lifecycle::default();
        let _stuck = lifecycle.spawn(std::future::pending::<()>());
        lifecycle.close();
        assert!(!lifecycle.wait(Duration::from_secs(30)).await);
    }
}
