//! The end of a service, step by step.
//!
//! With a socket of its own it *drains*: readiness turns red while pushes are still taken, for
//! `server.drain_delay`; then nothing more is accepted, and what is in flight may finish.
//!
//! With a socket that was handed over, the next process serves whoever connects meanwhile, and the
//! pushes of that time wait for it. So all that can be done beforehand is done while pushes are
//! still taken and readiness is green: the sinks are *put down* and the store's log is moved into
//! its file. From the last push that is accepted on, every moment counts.
//!
//! Either way the store closes last, and its lock goes with it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Running, Signal, wiring};
use crate::inbox::{InboxError, StoreState};
use crate::lifecycle::Farewell;

/// After a broken store nothing is waited for longer than this.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// After the listeners' own time, for what they leave to others.
const LAST_MOMENT_IN_HASTE: Duration = Duration::from_millis(10);
/// How long attempts under way may take where the next process can make them again.
const LAST_ATTEMPTS: Duration = Duration::from_millis(200);
/// How long the last lines of the log may take.
const LAST_LINES: Duration = Duration::from_secs(1);
const LAST_LINES_IN_HASTE: Duration = Duration::from_millis(20);
/// How long a collector has for the last spans; it has no more than is left of the drain.
const LAST_SPANS: Duration = Duration::from_secs(2);
const LAST_SPANS_IN_HASTE: Duration = Duration::from_millis(50);

impl Running {
    /// Returns once nothing more is accepted, with the time until which what is left may take.
    pub(super) async fn until_stopped(&self, mut signals: mpsc::Receiver<Signal>) -> Instant {
        let delay = self.until_told(&mut signals).await;
        self.supervisor.tell_stopping();
        match self.farewell {
            Farewell::Patient => self.drain(delay, &mut signals).await,
            Farewell::Brief => self.put_down(&mut signals).await,
        }
        self.lifecycle.close();
        let drain_timeout = wiring::drain_timeout(&self.live.settings(), self.farewell);
        // One that nobody has reached since the start is not waited for at the end.
        let end = match self.contact.is_made() {
            true => Instant::now() + drain_timeout,
            false => Instant::now(),
        };
        let grace = drain_timeout
            + match self.farewell {
                Farewell::Patient => LAST_MOMENT,
                Farewell::Brief => LAST_MOMENT_IN_HASTE,
            };
        tokio::select! {
            finished = self.lifecycle.wait(grace) => {
                if !finished {
                    tracing::warn!("some work was cut off after {grace:?}");
                }
                end
            }
            () = hurried(&mut signals) => {
                tracing::warn!("hurried: work in flight was cut off");
                Instant::now()
            }
            () = self.broken() => Instant::now(),
        }
    }

    /// Returns once the end was asked for, with the time for which pushes are still to be taken.
    async fn until_told(&self, signals: &mut mpsc::Receiver<Signal>) -> Duration {
        loop {
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Reload) => {
                        self.supervisor.tell_reloading();
                        // Said in the log, by itself, what came of it.
                        let _told = self.live.reload().await;
                        self.supervisor.tell_ready();
                    }
                    Some(Signal::Terminate) => return self.live.settings().server.drain_delay,
                    Some(Signal::Interrupt) | None => return Duration::ZERO,
                },
                () = self.lifecycle.draining() => return Duration::ZERO,
            }
        }
    }

    /// Lets balancers notice, for `delay`, that they should send no more.
    async fn drain(&self, delay: Duration, signals: &mut mpsc::Receiver<Signal>) {
        self.lifecycle.drain();
        tracing::info!("draining: not ready any more, still taking pushes for {delay:?}");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = hurried(signals) => {}
            () = self.broken() => {}
        }
    }

    /// Does what can be done while pushes are still taken.
    async fn put_down(&self, signals: &mut mpsc::Receiver<Signal>) {
        self.lifecycle.rest();
        tracing::info!("putting the sinks down: still ready, and taking pushes");
        let preparing = async {
            self.live.put_sinks_down(LAST_ATTEMPTS).await;
            self.store.flush().await;
        };
        tokio::select! {
            () = preparing => {}
            () = hurried(signals) => {}
            () = self.broken() => {}
        }
        tracing::info!("closing: who connects from now on is served by the next process");
    }

    async fn broken(&self) {
        let mut state = self.committer.watch();
        let broken = state
            .wait_for(|state| matches!(state, StoreState::Broken(_)))
            .await;
        if broken.is_err() {
            std::future::pending().await
        }
    }

    /// Commits what is left, drains a spill until `end`, and closes the store; never skipped.
    pub(super) async fn wind_up(
        self,
        committing: JoinHandle<()>,
        end: Instant,
    ) -> anyhow::Result<()> {
        self.committer.finish_by(end);
        // A panic in it has been counted as a crash.
        let _ended = committing.await;
        if let StoreState::Broken(what) = self.committer.state() {
            tracing::error!("the store's I/O failed, nothing more is acknowledged: {what}");
            // Left as by a crash: the next start moves the log into the file before it writes.
            return Err(InboxError::Broken(what).into());
        }
        self.store.close().await?;
        if let Some(refused) = self.contact.refusal() {
            return Err(refused.into());
        }
        anyhow::ensure!(
            !self.lifecycle.has_crashed(),
            "a vital task ended early; see the log"
        );
        match self.metrics.spilled_events.get() {
            0 => tracing::info!("stopped; everything acknowledged is in the store"),
            _ => tracing::info!("stopped; everything acknowledged is in the store or the spill"),
        }
        Ok(())
    }
}

/// How long the last lines of the log may take.
pub(super) fn last_lines(farewell: Farewell) -> Duration {
    match farewell {
        Farewell::Patient => LAST_LINES,
        Farewell::Brief => LAST_LINES_IN_HASTE,
    }
}

/// How long the last spans may take, where the drain ends at `end`.
pub(super) fn last_spans(farewell: Farewell, end: Instant, in_order: bool) -> Duration {
    match farewell {
        Farewell::Patient if in_order => end
            .saturating_duration_since(Instant::now())
            .clamp(LAST_SPANS_IN_HASTE, LAST_SPANS),
        Farewell::Patient | Farewell::Brief => LAST_SPANS_IN_HASTE,
    }
}

async fn hurried(signals: &mut mpsc::Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Some(Signal::Reload) => {}
            Some(Signal::Terminate | Signal::Interrupt) => return,
            None => std::future::pending().await,
        }
    }
}
