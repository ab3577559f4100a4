//! A command's process group: it ends as a whole.
//!
//! The leader is reaped last. Until then its number belongs to the group, so no signal can reach a
//! stranger that was given the number anew. Whoever left the group (`setsid`) is out of reach.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

/// How often the leader is looked at when no signal says that a child ended.
const LOOK: Duration = Duration::from_millis(100);
/// A killed process ends at once, unless the kernel itself holds it (a hung network disk).
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A process that leads a group of its own. Dropped before it was reaped, the group is killed.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Takes over `child`, which was started as the leader of a new group.
    pub(super) fn of(child: Child) -> Self {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self { child, leader }
    }

    /// Waits until the leader has ended, but does not reap it.
    pub(super) async fn ended(&self) {
        // Listened for before the first look, so that no end is missed.
        let mut children = signal(SignalKind::child()).ok();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Some(leader) = self.leader
            && matches!(waitid(WaitId::Pid(leader), options), Ok(None))
        {
            match &mut children {
                Some(children) => {
                    children.recv().await;
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Asks all members to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends all members.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // Nobody is left, or what is left belongs to someone else (a set-user-id program).
            let _nobody = kill_process_group(leader, signal);
        }
    }

    /// Takes the leader's status, after which its number may mean another process.
    pub(super) async fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = tokio::time::timeout(LAST_WAIT, self.child.wait())
            .await
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        self.leader = None;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The runtime reaps the leader afterwards.
        self.kill();
    }
}
