//! What an exec sink is made of.

use std::path::PathBuf;
use std::time::Duration;

/// What an exec sink is made of.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    /// The program and its arguments; never a shell's line.
    pub command: Vec<String>,
    /// Variables of the receiver's own environment that are passed on, with their values.
    pub env: Vec<(String, String)>,
    /// `HOME` of the command.
    pub home: PathBuf,
    /// Where it runs; where the receiver does, unless set.
    pub directory: Option<PathBuf>,
    /// From the start to TERM.
    pub timeout: Duration,
    /// From TERM to KILL.
    pub kill_after: Duration,
    /// Exit codes after which it is tried again; 75 (`EX_TEMPFAIL`) unless set.
    pub retry_exit_codes: Vec<i32>,
    /// Whether what got no end is not tried again.
    pub once: bool,
    /// How much of each of stdout and stderr is kept, in bytes.
    pub capture: usize,
}

impl ExecOptions {
    /// The longest an attempt can take, its comment included: whoever watches over it waits longer.
    pub fn longest_attempt(&self) -> Duration {
        let ended = self.timeout.saturating_add(self.kill_after);
        ended.saturating_add(super::AFTERWARDS)
    }
}
