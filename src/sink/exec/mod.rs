//! The exec sink: one run of a command for each event.
//!
//! The push is the command's stdin and never part of its line; there is no shell. The command has a
//! clean environment and a process group of its own, which ends as a whole when time is up or
//! nobody waits for it any more. A process that leaves the group (`setsid`, a daemon) is out of
//! reach: it is neither waited for nor ended.

pub mod comment;
mod environment;
mod group;
pub mod options;
mod pipes;
mod run;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use self::comment::Commenter;
pub use self::environment::PATH as SEARCHED;
pub use self::options::ExecOptions;
use self::run::Ran;
use super::{Failure, Sink, SinkError, Taken};
use crate::clock::Clock;
use crate::event::{Event, Id, Subject};
use crate::inbox::{Lease, Report};
use crate::words;

/// A comment that takes longer is given up.
const COMMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// What may come behind TERM and KILL: the last output, the reaping and the comment.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// Of each output, in one log line; the line stays whole with room for all else.
const LOGGED: usize = 4 * 1024;
/// Of a line of stderr, in a reason.
const LONGEST_LINE: usize = 200;

/// Runs a command for each event.
pub struct ExecSink {
    options: ExecOptions,
    clock: Arc<dyn Clock>,
    commenter: Option<Arc<dyn Commenter>>,
}

impl ExecSink {
    /// A sink that tells nobody what came of it.
    pub fn new(options: ExecOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            clock,
            commenter: None,
        }
    }

    /// Has `commenter` write what came of a command to its incident.
    #[must_use]
    pub fn with_commenter(mut self, commenter: Option<Arc<dyn Commenter>>) -> Self {
        self.commenter = commenter;
        self
    }

    async fn run(&self, lease: &Lease) -> Result<Taken, SinkError> {
        let began = self.clock.now();
        let words = words::read(&lease.event, lease.stale, lease.replay).await;
        let result = match run::start(&self.options, lease, &words) {
            Ok(started) => {
                let ran = started.finish(&self.options, &lease.event.body).await;
                self.tell(lease, began, &ran);
                self.judge(began, &ran)
            }
            Err(error) => Err(error),
        };
        self.comment(&lease.event, &result).await;
        result
    }

    fn judge(&self, began: Timestamp, ran: &Ran) -> Result<Taken, SinkError> {
        let code = ran.status.and_then(|status| status.code());
        let report = Some(Box::new(Report {
            began: Some(began),
            status: code.map(i64::from),
            answer: answer(ran),
            keep: true,
            ..Report::default()
        }));
        if !ran.late && code == Some(0) {
            return Ok(Taken {
                needless: None,
                report,
            });
        }
        let mut reason = if ran.late {
            format!("no end within {:?}; it was ended", self.options.timeout)
        } else {
            how_it_ended(ran)
        };
        if let Some(line) = first_line(&ran.err) {
            let _infallible = write!(reason, ": {line}");
        }
        let failure = Failure {
            reason,
            report,
            ..Failure::default()
        };
        let again = |code| self.options.retry_exit_codes.contains(&code);
        Err(match code {
            _ if ran.late => SinkError::Unknown(failure),
            Some(code) if again(code) => SinkError::Retry(failure),
            _ => SinkError::Refused(failure),
        })
    }

    /// One line for each run, also of those that went well: what a command did is worth knowing.
    fn tell(&self, lease: &Lease, began: Timestamp, ran: &Ran) {
        let took = self.clock.now().duration_since(began).as_secs_f64();
        tracing::info!(
            target: "flashduty::exec",
            seq = lease.seq.0,
            event_id = lease.event.event_id.as_ref().map(Id::as_str),
            attempt = lease.attempt,
            trace_id = lease.event.trace_id(),
            status = ran.status.and_then(|status| status.code()),
            seconds = took,
            left_behind = ran.left_behind.then_some(true),
            stdout = beginning(&ran.out, LOGGED),
            stderr = beginning(&ran.err, LOGGED),
            "{} {}",
            self.name(),
            if ran.late { "took too long".to_owned() } else { how_it_ended(ran) },
        );
    }

    /// The program's name without its folder.
    fn name(&self) -> &str {
        let program = self.options.command.first().map_or("", String::as_str);
        program.rsplit('/').next().unwrap_or(program)
    }

    /// Writes to the incident what came of it, unless it is tried again.
    async fn comment(&self, event: &Event, result: &Result<Taken, SinkError>) {
        let Some(commenter) = &self.commenter else {
            return;
        };
        let Some(incident) = commentable(event) else {
            return;
        };
        let (outcome, report) = match result {
            Ok(taken) => ("done".to_owned(), taken.report.as_ref()),
            Err(SinkError::Unknown(_)) if !self.options.once && !event.command => return,
            Err(SinkError::Refused(failure) | SinkError::Unknown(failure)) => {
                (failure.reason.clone(), failure.report.as_ref())
            }
            Err(SinkError::Retry(_) | SinkError::Gone(_)) => return,
        };
        let answer = report.and_then(|report| report.answer.as_deref());
        let text = comment::text(self.name(), &outcome, answer);
        let told = tokio::time::timeout(COMMENT_TIMEOUT, commenter.comment(incident, &text));
        let failed = match told.await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_elapsed) => format!("no answer within {COMMENT_TIMEOUT:?}"),
        };
        tracing::warn!(
            incident,
            trace_id = event.trace_id(),
            "the incident's timeline does not show what came of {}: {failed}",
            self.name(),
        );
    }
}

#[async_trait]
impl Sink for ExecSink {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let mut results = Vec::with_capacity(leases.len());
        for lease in leases {
            results.push(self.run(lease).await);
        }
        results
    }
}

/// The incident to write to. A comment makes the sender push `i_comm`, which is not commented upon:
/// it would never end.
fn commentable(event: &Event) -> Option<&str> {
    match &event.subject {
        Some(Subject::Incident(id))
            if event.event_type.as_str() != "i_comm" && !id.as_str().starts_with("sha256:") =>
        {
            Some(id.as_str())
        }
        _ => None,
    }
}

fn how_it_ended(ran: &Ran) -> String {
    let Some(status) = ran.status else {
        return "did not end, although it was killed".to_owned();
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Both outputs; each is named when it is not stdout alone.
fn answer(ran: &Ran) -> Option<String> {
    match (ran.out.is_empty(), ran.err.is_empty()) {
        (true, true) => None,
        (false, true) => Some(ran.out.clone()),
        (true, false) => Some(format!("stderr:\n{}", ran.err)),
        (false, false) => Some(format!("{}\nstderr:\n{}", ran.out, ran.err)),
    }
}

fn first_line(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    beginning(line, LONGEST_LINE)
}

/// At most so many bytes of a text that says something.
fn beginning(text: &str, room: usize) -> Option<&str> {
    let (beginning, _) = text.split_at(text.floor_char_boundary(room));
    (!beginning.is_empty()).then_some(beginning)
}
