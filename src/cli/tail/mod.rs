//! `tail`: the events as they come, over cuts and restarts of the receiver.
//!
//! What was there before comes first, up to the position that the stream begins behind: so nothing is
//! missing between the two and nothing comes twice.

mod decode;
mod line;
mod sieve;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use self::decode::{Decoder, Message};
use self::sieve::Sieve;
use super::Exit;
use super::access::AccessArgs;
use super::api::Unopened;
use super::filter::{self, StoredOutcome};
use super::printer::{PrintError, Printer, nobody_reads};
use super::reader::Reader;
use super::request::Answer;
use crate::admin::stream::message::{EVENT, GAP, Gap, POSITION, WAITING, Waiting};
use crate::event::{Route, Seq, Subject};
use crate::inbox::query::{EventFilter, EventRow};

/// Shown below `tail --help`.
pub const EXAMPLES: &str = "\
It goes on by itself after a cut, or a restart of the receiver, behind the last event it showed. Ctrl-C ends it.

Examples:
  What comes in, and the last ten before:
    flashduty-receiver tail
  What is bad, and which buttons are pressed:
    flashduty-receiver tail --severity critical,warning
    flashduty-receiver tail --type i_custom,i_ack
  What happens to one incident, from now on:
    flashduty-receiver tail -n 0 --subject incident:664af0c5e1b2d3f4a5b6c7d8
  All of the last two hours and what follows, for a script:
    flashduty-receiver tail --since 2h --json | jq -r .event_id";

/// What was there before, when nothing is said about it.
const LINES: usize = 10;
/// Events that were there before are looked through at least so far back, when not all are wanted.
const LOOKED_THROUGH: usize = 1000;
/// A receiver says every 7 s that it lives; one of an earlier version every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
/// Before the first attempt to follow again; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which events, and how many of those that are there.
#[derive(Debug, Args)]
pub struct TailArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        help = "Of this type, or one of these: i_ack,i_rslv"
    )]
    types: Vec<String>,
    /// Of this severity, or one of these, in upper or lower case: critical,warning
    #[arg(long, value_name = "SEVERITY", value_delimiter = ',')]
    severity: Vec<String>,
    /// About this incident or alert: incident:ID or alert:ID
    #[arg(long, value_parser = filter::subject)]
    subject: Option<Subject>,
    /// Judged so
    #[arg(long)]
    outcome: Option<StoredOutcome>,
    #[arg(
        long,
        value_parser = filter::route,
        help = "That came to this route, the end of its URL: TAG, ?QUERY or TAG?QUERY; empty for the bare path"
    )]
    route: Option<Route>,
    /// With this event id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// First what was received since then: a time, or how long ago (90m, 7d)
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    since: Option<Timestamp>,
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        help = "First the last N of those that are there: 10, or all with --since, unless set"
    )]
    lines: Option<usize>,
}

/// Follows until it is told to end, or nobody reads any more.
///
/// # Errors
/// When no receiver answers at first, or one refuses.
pub async fn run(
    args: TailArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let api = args.access.receiver(config).await?;
    let mut tail = Tail::new(args, Reader::Api(api), printer);
    tokio::select! {
        ended = tail.follow() => match ended? {},
        interrupted = tokio::signal::ctrl_c() => interrupted.context("wait for Ctrl-C")?,
        () = nobody_reads() => {}
    }
    tail.printer.progress_is_over()?;
    Ok(Exit::Done)
}

struct Tail<'p> {
    reader: Reader,
    /// What the stream is asked for.
    filter: EventFilter,
    /// What of it is shown.
    sieve: Sieve,
    /// What is shown first, once it is known where the stream begins; then it is taken.
    before: Option<EventFilter>,
    printer: &'p mut Printer,
    /// All up to here was shown.
    last: Option<Seq>,
    /// Before the next attempt to follow again.
    pause: Duration,
    /// It was said that the stream is cut, and nothing has come since.
    said: bool,
}

impl<'p> Tail<'p> {
    fn new(args: TailArgs, reader: Reader, printer: &'p mut Printer) -> Self {
        let mut types = args.types;
        // What the receiver can select is not sent.
        let event_type = match types.len() {
            1 => types.pop(),
            _ => None,
        };
        let sieve = Sieve {
            types,
            severities: args.severity,
        };
        let filter = EventFilter {
            event_id: args.id,
            event_type,
            subject: args.subject,
            outcome: args.outcome.map(Into::into),
            route: args.route,
            ..EventFilter::default()
        };
        // The stream itself begins with all there is since a time; the last few are asked for.
        let (streamed, lines) = match (args.since, args.lines) {
            (Some(since), None) => (Some(since), 0),
            (_, lines) => (None, lines.unwrap_or(LINES)),
        };
        let before = EventFilter {
            limit: lines,
            since: args.since,
            ..filter.clone()
        };
        Self {
            reader,
            filter: EventFilter {
                since: streamed,
                ..filter
            },
            sieve,
            before: (lines > 0).then_some(before),
            printer,
            last: None,
            pause: PAUSE,
            said: false,
        }
    }

    /// Does not end by itself.
    async fn follow(&mut self) -> anyhow::Result<Infallible> {
        let opened = self.reader.follow(&self.filter, None).await;
        let mut stream = opened.map_err(Unopened::into_error)?;
        loop {
            self.read(stream).await?;
            stream = self.follow_again().await?;
        }
    }

    /// Shows what comes until the stream is cut.
    async fn read(&mut self, mut stream: Answer) -> anyhow::Result<()> {
        let mut decoder = Decoder::default();
        while let Ok(Some(Ok(piece))) = timeout(SILENCE, stream.piece()).await {
            for message in decoder.feed(&piece)? {
                let Some(()) = self.take(&message).await? else {
                    return Ok(());
                };
                // Where it is, a stream says at once; that more will come it shows later.
                if message.name != POSITION {
                    self.pause = PAUSE;
                    self.said = false;
                }
            }
        }
        Ok(())
    }

    async fn follow_again(&mut self) -> anyhow::Result<Answer> {
        let since = Instant::now();
        loop {
            if !std::mem::replace(&mut self.said, true) {
                self.printer.note(
                    "the receiver has ended the stream, or is gone: following again as soon as it \
                     answers",
                )?;
            }
            self.printer.progress(&format!(
                "nobody answers, for {} s",
                since.elapsed().as_secs()
            ))?;
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            match self.reader.follow(&self.filter, self.last).await {
                Ok(stream) => {
                    self.printer.progress_is_over()?;
                    return Ok(stream);
                }
                Err(Unopened::Unanswered(_)) => {}
                Err(Unopened::Refused(error)) => return Err(error),
            }
        }
    }

    /// Deals with a message; `None` when the receiver is gone before that is done.
    async fn take(&mut self, message: &Message) -> anyhow::Result<Option<()>> {
        let at = message.id.as_ref().and_then(|id| id.parse().ok()).map(Seq);
        match message.name.as_str() {
            EVENT => {
                let row: EventRow = read(&message.data)?;
                if self.sieve.passes(&row) {
                    self.show(&row, Some(&message.data))?;
                }
            }
            POSITION => {
                if let Some(at) = at
                    && let Some(before) = self.before.clone()
                {
                    let Some(()) = self.show_before(before, at).await? else {
                        return Ok(None);
                    };
                    self.before = None;
                }
            }
            GAP => {
                let Gap {
                    after,
                    from,
                    reason,
                } = read(&message.data)?;
                self.printer.note(&format!(
                    "events are missing behind position {after} and before {from}: {reason}"
                ))?;
            }
            WAITING => {
                let Waiting { seconds, reason } = read(&message.data)?;
                self.printer
                    .note(&format!("nothing has come for {seconds} s: {reason}"))?;
            }
            // A sign of life, or of a later version.
            _ => {}
        }
        if at.is_some() {
            self.last = at;
        }
        Ok(Some(()))
    }

    /// The last events up to where the stream begins, in their order.
    async fn show_before(
        &mut self,
        mut filter: EventFilter,
        upto: Seq,
    ) -> anyhow::Result<Option<()>> {
        let lines = filter.limit;
        filter.cursor = Some(upto.to_string());
        let looked_through = match self.sieve.is_open() {
            true => lines,
            false => lines.max(LOOKED_THROUGH),
        };
        let Ok(mut rows) = self.reader.events(filter, looked_through).await else {
            return Ok(None);
        };
        // A list by event id is whole, wherever it is asked to begin.
        rows.retain(|row| row.seq <= upto && self.sieve.passes(row));
        rows.truncate(lines);
        for row in rows.iter().rev() {
            self.show(row, None)?;
        }
        Ok(Some(()))
    }

    fn show(&mut self, row: &EventRow, json: Option<&str>) -> Result<(), PrintError> {
        match json {
            _ if !self.printer.json() => self.printer.words(&line::words(row)),
            Some(json) => self.printer.object_text(json),
            None => self.printer.object(row),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(data: &str) -> anyhow::Result<T> {
    serde_json::from_str(data)
        .context("read the stream; is the receiver of another version than this command?")
}
