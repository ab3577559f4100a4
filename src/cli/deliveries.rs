//! `deliveries`: events on their way to sinks.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::access::AccessArgs;
use super::filter::Selector;
use super::printer::{Column, Paint, Printer, counted};
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
    printer.list(&rows, limit, &COLUMNS, cells)?;
    Ok(Exit::Done)
}

const COLUMNS: [Column; 9] = [
    Column::new("SEQ"),
    Column::new("SINK"),
    Column::new("STATE").painted(of_state),
    Column::new("ATTEMPTS").spare(3),
    Column::new("DUE OR SETTLED").spare(4),
    Column::new("WHEN").aside(),
    Column::new("TYPE").spare(1),
    Column::new("SUBJECT").spare(2),
    Column::new("LAST ERROR").least(40),
];

/// Red is what waits for a person.
fn of_state(state: &str) -> Paint {
    match state {
        "dead" => Paint::Red,
        "pending" | "leased" => Paint::Yellow,
        "delivered" => Paint::Green,
        _ => Paint::Faint,
    }
}

fn cells(row: &DeliveryRow, printer: &Printer) -> [String; 9] {
    let when = row.settled_at.or(row.due_at);
    [
        row.seq.to_string(),
        row.sink.clone(),
        state_word(row.state).to_owned(),
        row.attempts.to_string(),
        when.map(|at| format!("{at:.3}")).unwrap_or_default(),
        when.map(|at| printer.age(at)).unwrap_or_default(),
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
        printer.one_line(&format!(
            "{} about {about}, event id {}, received {:.3}{}, {}",
            event.event_type,
            event.event_id.as_deref().unwrap_or("none"),
            event.received_at,
            printer.aside(event.received_at),
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
        let (to, state) = (format!("{}: ", row.sink), state_word(row.state));
        let fate = fate(row, printer);
        printer.pieces(&[
            (to.as_str(), Paint::Plain),
            (state, of_state(state)),
            (fate.as_str(), Paint::Plain),
        ])?;
        for attempt in &row.history {
            let began = attempt.began.map(|at| format!(", begun {at:.3}"));
            let status = attempt.status.map(|status| format!(", status {status}"));
            let error = attempt.error.as_ref().map(|error| format!(": {error}"));
            printer.one_line(&format!(
                "  attempt {}{}, ended {:.3}: {}{}{}",
                attempt.n,
                began.unwrap_or_default(),
                attempt.ended,
                attempt.outcome,
                status.unwrap_or_default(),
                error.unwrap_or_default(),
            ))?;
            for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
                printer.one_line(&format!("    | {line}"))?;
            }
        }
    }
    Ok(())
}

/// What stands behind the state.
fn fate(row: &DeliveryRow, printer: &Printer) -> String {
    let mut text = match (row.attempts, row.state) {
        (0, _) => ", not attempted".to_owned(),
        (n, DeliveryState::Leased) => format!(" for attempt {n}"),
        (n, _) => format!(" after {}", counted(n, "attempt", "attempts")),
    };
    if row.replay {
        text.push_str(", asked for again by a person");
    }
    if let Some(at) = row.settled_at {
        text.push_str(&format!(", settled {at:.3}{}", printer.aside(at)));
    } else if let Some(at) = row.due_at {
        text.push_str(&format!(", due {at:.3}{}", printer.aside(at)));
    }
    if let Some(error) = &row.last_error {
        text.push_str(&format!("; last error: {error}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::tests::{captured, on_terminal};

    fn row(state: DeliveryState, attempts: u32) -> DeliveryRow {
        DeliveryRow {
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
        }
    }

    #[test]
    fn what_was_not_attempted_is_not_said_to_have_been() {
        let (mut printer, out, _) = captured(false);
        let rows = [
            (DeliveryState::Expired, 0),
            (DeliveryState::Expired, 1),
            (DeliveryState::Leased, 1),
            (DeliveryState::Dead, 2),
        ]
        .map(|(state, attempts)| row(state, attempts));
        print_with_attempts(&rows, &mut printer).unwrap();
        insta::assert_snapshot!(out.text(), @r"
        tickets: expired, not attempted
        tickets: expired after 1 attempt
        tickets: leased for attempt 1
        tickets: dead after 2 attempts
        ");
    }

    #[test]
    fn on_a_terminal_each_time_says_how_long_ago_it_was_and_an_error_is_one_line() {
        let (mut printer, out, _) = on_terminal(80, false);
        let mut dead = row(DeliveryState::Dead, 2);
        dead.settled_at = "2026-05-04T10:00:00Z".parse().ok();
        dead.last_error = Some("no\nlog: delivered".to_owned());
        print_with_attempts(std::slice::from_ref(&dead), &mut printer).unwrap();
        assert_eq!(
            out.text(),
            "tickets: dead after 2 attempts, settled 2026-05-04T10:00:00.000Z (5m ago); \
             last error: no\\nlog: delivered\n"
        );
        let (mut printer, out, _) = on_terminal(80, false);
        let cells = [cells(&dead, &printer)];
        printer.table(&COLUMNS, &cells).unwrap();
        insta::assert_snapshot!(out.text(), @r"
        SEQ  SINK     STATE  ATTEMPTS  WHEN  TYPE   SUBJECT  LAST ERROR
        42   tickets  dead   2         5m    i_ack  -        no\nlog: delivered
        ");
    }
}
