//! One run of a command, from its start to the end of its whole group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use serde_json::{Map, Value};
use tokio::process::Command;
use tokio::time::timeout;

use super::ExecOptions;
use super::environment::{LONGEST, environment};
use super::group::Group;
use super::pipes::{Input, Output, Pipes};
use crate::inbox::Lease;
use crate::sink::{Failure, SinkError};

/// What the leader left behind may still write for so long.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// What a killed group wrote last is in the pipes already.
const LAST_READ: Duration = Duration::from_millis(100);

/// How a run ended.
pub(super) struct Ran {
    /// The leader's status; absent when even KILL did not end it.
    pub(super) status: Option<ExitStatus>,
    /// It was ended for taking too long.
    pub(super) late: bool,
    /// The leader ended in time, but the rest of its group held its output open, and was killed.
    pub(super) left_behind: bool,
    /// The beginning of its stdout.
    pub(super) out: String,
    /// The beginning of its stderr.
    pub(super) err: String,
}

/// Starts the command.
///
/// Values are shortened further when all of them together are more than the system takes.
pub(super) fn start(
    options: &ExecOptions,
    lease: &Lease,
    words: &Map<String, Value>,
) -> Result<Started, SinkError> {
    let Some((program, arguments)) = options.command.split_first() else {
        let reason = "there is no command; set `command`";
        return Err(SinkError::Refused(Failure::new(reason)));
    };
    let mut longest = LONGEST;
    loop {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment(options, lease, words, longest))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(directory) = &options.directory {
            command.current_dir(directory);
        }
        match command.spawn() {
            Ok(mut child) => {
                let input = child.stdin.take();
                let (out, err) = (child.stdout.take(), child.stderr.take());
                return Ok(Started {
                    group: Group::of(child),
                    input,
                    out,
                    err,
                });
            }
            Err(error) if is(&error, &[Errno::TOOBIG]) && longest > 1024 => longest /= 4,
            Err(error) => return Err(cannot_start(program, options, &error)),
        }
    }
}

/// A command that runs.
pub(super) struct Started {
    group: Group,
    input: Option<tokio::process::ChildStdin>,
    out: Option<tokio::process::ChildStdout>,
    err: Option<tokio::process::ChildStderr>,
}

impl Started {
    /// Sees it through to its end.
    pub(super) async fn finish(self, options: &ExecOptions, push: &[u8]) -> Ran {
        let mut group = self.group;
        let mut pipes = Pipes {
            input: Input::new(self.input, push),
            out: Output::new(self.out, options.capture),
            err: Output::new(self.err, options.capture),
        };
        let late = timeout(options.timeout, ended(&group, &mut pipes))
            .await
            .is_err();
        let mut left_behind = false;
        if late {
            group.terminate();
            let quiet = async {
                ended(&group, &mut pipes).await;
                pipes.input.close();
                pipes.pump().await;
            };
            let _outlasted = timeout(options.kill_after, quiet).await;
            // Also after a leader that obeyed: nobody of its group outlives it.
            group.kill();
        } else {
            pipes.input.close();
            left_behind = timeout(GRACE, pipes.pump()).await.is_err();
            if left_behind {
                group.kill();
            }
        }
        pipes.input.close();
        // Someone who left the group may hold the pipes for ever.
        let _held = timeout(LAST_READ, pipes.pump()).await;
        Ran {
            status: group.reap().await.ok(),
            late,
            left_behind,
            out: pipes.out.text(),
            err: pipes.err.text(),
        }
    }
}

/// Waits until the leader has ended, and moves bytes meanwhile.
async fn ended(group: &Group, pipes: &mut Pipes<'_>) {
    let pumping = async {
        pipes.pump().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = group.ended() => {}
        () = pumping => {}
    }
}

fn is(error: &io::Error, any: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| any.contains(&errno))
}

/// What a person can do about a command that cannot be started.
fn cannot_start(program: &str, options: &ExecOptions, error: &io::Error) -> SinkError {
    let reason = format!("cannot start {program:?}: {error}");
    let passing = [
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::TXTBSY,
    ];
    if is(error, &passing) {
        let advice = "the system is short of processes, memory or files";
        return SinkError::Retry(Failure::new(format!("{reason}; {advice}")));
    }
    let directory = options.directory.as_deref();
    let advice = if directory.is_some_and(|directory| !directory.is_dir()) {
        "the `directory` it is to run in does not exist; create it"
    } else if is(error, &[Errno::NOENT]) {
        "install it, or correct `command`; without a slash it is searched in \
         /usr/local/bin:/usr/bin:/bin, and a script's first line must name its interpreter"
    } else if is(error, &[Errno::ACCESS, Errno::PERM]) {
        "make it executable for the user that the receiver runs as"
    } else if is(error, &[Errno::NOEXEC]) {
        "it is no program of this system; a script begins with a line such as #!/bin/sh"
    } else if is(error, &[Errno::TOOBIG]) {
        "the arguments and the variables named in `env` are longer than the system takes"
    } else {
        "correct `command`"
    };
    SinkError::Refused(Failure::new(format!("{reason}; {advice}")))
}
