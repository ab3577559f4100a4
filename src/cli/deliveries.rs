//! `deliveries`: events on their way to sinks.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::access::AccessArgs;
use super::filter::Selector;
use super::printer::{Printer, counted};
use super::reader::{Reader, state_word};
use super::{Exit, finish};
use crate::event::Seq;
use crate::inbox::query::{DeliveryFilter, DeliveryRow, DeliveryState};

/// Which deliveries, and what of them.
#[derive(Debug, Args)]
pub struct DeliveriesArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    which: Selector,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// The event at this position: its deliveries, with every attempt that was kept
    #[arg(value_name = "SEQ")]
    seq: Option<i64>,
    #[command(subcommand)]
    action: Option<Action>,
}

/// Shown below `deliveries --help`.
pub const EXAMPLES: &str = "\
Examples:
  What was given up and waits for a person:
    flashduty-receiver deliveries --state dead
  What one sink has not taken yet:
    flashduty-receiver deliveries --sink log --state pending
  Every attempt to deliver the event at position 42:
    flashduty-receiver deliveries 42
  Once that is mended, deliver it again (see replay --help):
    flashduty-receiver replay --sink log --state dead --since 2h --dry-run";

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the deliveries of one event, with the attempts that were kept
    Show {
        /// The event's position
        seq: i64,
        /// Only the one to this sink
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
    },
}

/// Lists deliveries, or shows those of one event.
///
/// # Errors
/// When the inbox cannot be read.
pub async fn run(
    args: DeliveriesArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let done = match (args.action, args.seq) {
        (Some(Action::Show { seq, sink }), _) => show(Seq(seq), sink, &reader, printer).await,
        (None, Some(seq)) => show(Seq(seq), args.which.sink, &reader, printer).await,
        (None, None) => list(args.which, args.limit, &reader, printer).await,
    };
    finish(reader, done).await
}

async fn list(
    which: Selector,
    limit: usize,
    reader: &Reader,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let filter = DeliveryFilter {
        sink: which.sink,
        state: which.state.map(Into::into),
        subject: which.subject,
        since: which.since,
        until: which.until,
        event_id: which.event_id,
        event_type: which.event_type,
        ..DeliveryFilter::default()
    };
    let rows = reader.deliveries(filter, limit).await?;
    if printer.json() {
        for row in &rows {
            printer.object(row)?;
        }
        return Ok(Exit::Done);
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let headings = [
        "SEQ",
        "SINK",
        "STATE",
        "ATTEMPTS",
        "DUE OR SETTLED",
        "TYPE",
        "SUBJECT",
        "LAST ERROR",
    ];
    printer.table(headings, &cells)?;
    Ok(Exit::Done)
}

fn cells(row: &DeliveryRow) -> [String; 8] {
    let when = row.settled_at.or(row.due_at);
    [
        row.seq.to_string(),
        row.sink.clone(),
        state_word(row.state).to_owned(),
        row.attempts.to_string(),
        when.map(|at| format!("{at:.3}")).unwrap_or_default(),
        row.event_type.clone(),
        row.subject.clone().unwrap_or_default(),
        row.last_error.clone().unwrap_or_default(),
    ]
}

async fn show(
    seq: Seq,
    sink: Option<String>,
    reader: &Reader,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let Some(detail) = reader.event(seq).await? else {
        bail!("no event is stored at position {seq}; it may be older than store.retention");
    };
    let mut rows = detail.deliveries;
    rows.retain(|row| sink.as_ref().is_none_or(|sink| *sink == row.sink));
    if printer.json() {
        for row in &rows {
            printer.object(row)?;
        }
    } else {
        let event = &detail.event;
        let about = event.subject.as_deref().unwrap_or("no incident or alert");
        printer.line(&format!(
            "{} about {about}, event id {}, received {:.3}, {}",
            event.event_type,
            event.event_id.as_deref().unwrap_or("none"),
            event.received_at,
            counted(event.body_bytes, "byte", "bytes"),
        ))?;
        print_with_attempts(&rows, printer)?;
    }
    Ok(Exit::Done)
}

/// Deliveries of one event for people, a line each and a line for every attempt that was kept.
pub fn print_with_attempts(rows: &[DeliveryRow], printer: &mut Printer) -> anyhow::Result<()> {
    if rows.is_empty() {
        printer.line("no sink wanted it")?;
    }
    for row in rows {
        printer.line(&in_words(row))?;
        for attempt in &row.history {
            let began = attempt.began.map(|at| format!(", begun {at:.3}"));
            let status = attempt.status.map(|status| format!(", status {status}"));
            let error = attempt.error.as_ref().map(|error| format!(": {error}"));
            printer.line(&format!(
                "  attempt {}{}, ended {:.3}: {}{}{}",
                attempt.n,
                began.unwrap_or_default(),
                attempt.ended,
                attempt.outcome,
                status.unwrap_or_default(),
                error.unwrap_or_default(),
            ))?;
            for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
                printer.line(&format!("    | {line}"))?;
            }
        }
    }
    Ok(())
}

fn in_words(row: &DeliveryRow) -> String {
    let mut text = format!("{}: {}", row.sink, state_word(row.state));
    text.push_str(&match (row.attempts, row.state) {
        (0, _) => ", not attempted".to_owned(),
        (n, DeliveryState::Leased) => format!(" for attempt {n}"),
        (n, _) => format!(" after {}", counted(n, "attempt", "attempts")),
    });
    if row.replay {
        text.push_str(", asked for again by a person");
    }
    if let Some(at) = row.settled_at {
        text.push_str(&format!(", settled {at:.3}"));
    } else if let Some(at) = row.due_at {
        text.push_str(&format!(", due {at:.3}"));
    }
    if let Some(error) = &row.last_error {
        text.push_str(&format!("; last error: {error}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_attempted_is_not_said_to_have_been() {
        let told = [
            (DeliveryState::Expired, 0),
            (DeliveryState::Expired, 1),
            (DeliveryState::Leased, 1),
            (DeliveryState::Dead, 2),
        ]
        .map(|(state, attempts)| {
            in_words(&DeliveryRow {
                seq: Seq(42),
                sink: "tickets".to_owned(),
                state,
                attempts,
                due_at: None,
                last_error: None,
                replay: false,
                settled_at: None,
                event_id: None,
                event_type: "i_ack".to_owned(),
                subject: None,
                history: Vec::new(),
            })
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        tickets: expired, not attempted
        tickets: expired after 1 attempt
        tickets: leased for attempt 1
        tickets: dead after 2 attempts
        ");
    }
}
