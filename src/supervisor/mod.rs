//! Whoever started this process and looks after it, such as systemd: it may hold the listening
//! sockets, and wants to hear how things go.
//!
//! A socket that is handed over outlives the process: who connects while there is none waits in its
//! queue for the next one.

mod sockets;

use std::time::Duration;

use sd_notify::NotifyState;

pub use self::sockets::{Sockets, WrongSocket};
use crate::lifecycle::Lifecycle;

/// So many signs of life are given in the time after which there must have been one.
const SIGNS: u32 = 3;

/// The supervisor's side of this process.
#[derive(Debug, Default)]
pub struct Supervisor {
    /// What it handed over.
    pub sockets: Sockets,
    /// How long it may hear nothing.
    watchdog: Option<Duration>,
    /// Whether it is told anything.
    listens: bool,
}

impl Supervisor {
    /// Whoever started this process; `names` are what it calls the sockets it handed over. To be
    /// asked once, before anything else opens a file.
    ///
    /// # Errors
    /// When a file that was handed over is no socket to listen on.
    pub fn of_process(names: &[String]) -> Result<Self, WrongSocket> {
        Ok(Self {
            sockets: Sockets::of_process(names)?,
            watchdog: sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()),
            listens: true,
        })
    }

    /// Pushes are taken from now on, or again after a reload.
    pub fn tell_ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The configuration is being read again.
    pub fn tell_reloading(&self) {
        let now = NotifyState::monotonic_usec_now();
        self.tell(&[[NotifyState::Reloading].as_slice(), &Vec::from_iter(now)].concat());
    }

    /// The end has begun.
    pub fn tell_stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Gives signs of life, if they are wanted, until closing begins. Each is given by a task of its
    /// own: where the runtime does not come to new work any more, none is given.
    pub fn give_signs_of_life(&self, lifecycle: &Lifecycle) {
        let Some(limit) = self.watchdog.filter(|_| self.listens) else {
            return;
        };
        let alive = lifecycle.clone();
        let _giving = lifecycle.spawn(async move {
            while !alive.is_closing() {
                // One that panicked was none.
                let _given = alive.spawn(async { tell(&[NotifyState::Watchdog]) }).await;
                alive.sleep(limit / SIGNS).await;
            }
        });
    }

    fn tell(&self, what: &[NotifyState<'_>]) {
        if self.listens {
            tell(what);
        }
    }
}

/// Without a supervisor that listens, nothing is done.
fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!("the supervisor cannot be told {what:?}: {error}");
    }
}
