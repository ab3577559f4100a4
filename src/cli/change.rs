//! `replay` and `drop`: deliveries changed by hand, step by step.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::access::AccessArgs;
use super::filter::{self, Selector};
use super::printer::{Printer, counted};
use super::reader::Reader;
use super::{Exit, finish};
use crate::admin::changes::{Action, ChangeRequest, Step};
use crate::event::Seq;
use crate::inbox::Rate;

/// Rows of a step at most.
const STEP: usize = 500;

/// Which deliveries, and whether in earnest.
#[derive(Debug, Args)]
struct Selection {
    #[command(flatten)]
    which: Selector,
    /// Of the event at this position
    #[arg(long)]
    seq: Option<i64>,
    /// Change nothing, and say what would be changed
    #[arg(long)]
    dry_run: bool,
}

impl Selection {
    fn request(self, reason: Option<String>) -> ChangeRequest {
        let which = self.which;
        ChangeRequest {
            sink: which.sink,
            state: which.state.map(Into::into),
            subject: which.subject.map(|subject| subject.to_string()),
            event_id: which.event_id,
            event_type: which.event_type,
            seq: self.seq.map(Seq),
            since: which.since.map(|at| at.to_string()),
            until: which.until.map(|at| at.to_string()),
            dry_run: self.dry_run,
            reason,
            ..ChangeRequest::default()
        }
    }
}

/// What to deliver again, and how fast.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    selection: Selection,
    /// Also give the sink events that its filter does not want
    #[arg(long, requires = "sink")]
    no_filter: bool,
    /// At most so many in such a time, such as 20/1s
    #[arg(long, value_name = "N/TIME", value_parser = filter::rate)]
    rate: Option<Rate>,
    /// Why, for the audit
    #[arg(long)]
    reason: Option<String>,
    /// Do not ask, even when commands are carried out again
    #[arg(long)]
    yes: bool,
}

/// Shown below `replay --help`.
pub const REPLAY_EXAMPLES: &str = "\
A replay is delivered whatever its age, keeps its event id and is marked as a replay. Without --state, \
a replay to one --sink also makes deliveries of stored events that have none, where the sink's filter \
wants them. What was delivered is delivered again, unless --state leaves it out; what waits or runs \
already is left alone.

Examples:
  What would be delivered again, once the ticket system is back:
    flashduty-receiver replay --sink tickets --state dead --since 2h --dry-run
  Do it, slowly:
    flashduty-receiver replay --sink tickets --state dead --since 2h \\
      --rate 20/1s
  Give a new sink what came in before it was there:
    flashduty-receiver replay --sink audit --since 1d
  One event, from a script:
    flashduty-receiver replay --seq 42 --sink restart --yes";

/// What to give up, and why.
#[derive(Debug, Args)]
pub struct DropArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    selection: Selection,
    /// Why; kept in the audit and shown with each delivery
    #[arg(long)]
    reason: String,
}

/// Shown below `drop --help`.
pub const DROP_EXAMPLES: &str = "\
What is given up can be replayed as long as its event is stored. A running attempt is left alone.

Examples:
  The backlog of a sink that is not coming back:
    flashduty-receiver drop --sink pager --state pending \\
      --reason 'pager was replaced'
  One dead delivery that nobody needs:
    flashduty-receiver drop --seq 42 --state dead --reason 'done by hand'";

/// Replays what is selected.
///
/// # Errors
/// When the inbox cannot be reached, or refuses the selection.
pub async fn replay(
    args: ReplayArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let mut request = args.selection.request(args.reason);
    request.create = request.sink.is_some() && request.state.is_none();
    request.no_filter = args.no_filter;
    let mut run = Run {
        reader: &reader,
        action: Action::Replay,
        request,
        rate: args.rate,
    };
    let done = run.replay(args.yes, printer).await;
    finish(reader, done).await
}

/// Gives up what is selected.
///
/// # Errors
/// As [`replay`].
pub async fn drop(
    args: DropArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let run = Run {
        reader: &reader,
        action: Action::Drop,
        request: args.selection.request(Some(args.reason)),
        rate: None,
    };
    let done = match run.all_steps(Some(printer)).await {
        Ok(total) => run.tell(&total, printer),
        Err(error) => Err(error),
    };
    finish(reader, done).await
}

/// All the steps of one change.
struct Run<'a> {
    reader: &'a Reader,
    action: Action,
    request: ChangeRequest,
    rate: Option<Rate>,
}

/// What all steps together did.
#[derive(Debug, Default)]
struct Total {
    changed: u64,
    commands: u64,
    skipped: BTreeMap<String, u64>,
    upto: Option<Seq>,
}

impl Total {
    fn add(&mut self, step: &Step) {
        self.changed += step.changed;
        self.commands += step.commands;
        self.upto = Some(step.upto);
        for (why, count) in &step.skipped {
            *self.skipped.entry(why.clone()).or_default() += count;
        }
    }
}

impl Run<'_> {
    async fn replay(&mut self, yes: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
        if !yes && !self.request.dry_run {
            self.request.dry_run = true;
            let ahead = self.all_steps(None).await;
            self.request.dry_run = false;
            let ahead = ahead?;
            // What was counted is what is changed, whatever comes in meanwhile.
            self.request.upto = ahead.upto;
            if let Some(exit) = agreed(&ahead, printer)? {
                return Ok(exit);
            }
        }
        let total = self.all_steps(Some(printer)).await?;
        self.tell(&total, printer)
    }

    /// Takes every step, at the rate if there is one, and prints what each did.
    async fn all_steps(&self, mut printer: Option<&mut Printer>) -> anyhow::Result<Total> {
        let mut request = self.request.clone();
        let rate = self.rate.filter(|_| !request.dry_run);
        let most = rate.and_then(|rate| usize::try_from(rate.count).ok());
        request.limit = Some(most.unwrap_or(STEP).min(STEP));
        let mut total = Total::default();
        loop {
            let step = self.reader.change(self.action, &request).await?;
            total.add(&step);
            if let Some(printer) = printer.as_deref_mut() {
                self.show(&step, &total, printer)?;
            }
            request.cursor = step.next_cursor;
            if request.cursor.is_none() {
                return Ok(total);
            }
            if let Some(rate) = rate {
                tokio::time::sleep(pause(rate, step.changed)).await;
            }
        }
    }

    fn show(&self, step: &Step, total: &Total, printer: &mut Printer) -> anyhow::Result<()> {
        for item in &step.items {
            if printer.json() {
                printer.object(item)?;
            } else if self.request.dry_run {
                let (seq, sink, kind) = (item.seq, &item.sink, &item.event_type);
                printer.one_line(&format!("{seq} to {sink}: {kind}, {}", item.result))?;
            }
        }
        if step.next_cursor.is_some() {
            printer.progress(&format!("{} so far", total.changed))?;
        }
        Ok(())
    }

    fn tell(&self, total: &Total, printer: &mut Printer) -> anyhow::Result<Exit> {
        let (action, changed) = (self.action.as_str(), total.changed);
        let mut text = match (self.request.dry_run, self.action) {
            (true, _) => format!("{changed} would be changed by this {action}"),
            (false, Action::Replay) => format!("{changed} replayed"),
            (false, Action::Drop) => format!("{changed} dropped"),
        };
        if self.action == Action::Replay {
            match (changed, total.commands) {
                (_, 0) => {}
                (1, _) => text.push_str(", a command"),
                (_, 1) => text.push_str(", 1 of them a command"),
                (_, many) => text.push_str(&format!(", {many} of them commands")),
            }
        }
        if !total.skipped.is_empty() {
            let left = total.skipped.iter();
            let left: Vec<_> = left.map(|(why, count)| format!("{count} {why}")).collect();
            text.push_str(&format!("; left alone: {}", left.join(", ")));
        }
        if printer.json() {
            printer.note(&text)?;
        } else {
            printer.line(&text)?;
        }
        Ok(Exit::Done)
    }
}

/// How the command ends now, unless it may go on: commands are carried out again only when a person
/// agrees.
fn agreed(ahead: &Total, printer: &mut Printer) -> anyhow::Result<Option<Exit>> {
    if ahead.commands == 0 {
        return Ok(None);
    }
    let told = again(ahead);
    match printer.agrees(&format!("{told}. Go on?"))? {
        Some(true) => Ok(None),
        Some(false) => {
            printer.note("nothing was replayed")?;
            Ok(Some(Exit::Failed))
        }
        None => {
            printer.note(&format!(
                "{told}. Nobody can be asked here; give --yes to agree, or --dry-run to look"
            ))?;
            Ok(Some(Exit::Usage))
        }
    }
}

/// What a person agrees to.
fn again(ahead: &Total) -> String {
    let deliveries = counted(ahead.changed, "delivery is", "deliveries are");
    let commands = match (ahead.changed, ahead.commands) {
        (1, _) => "it is a command: what it asks for".to_owned(),
        (_, 1) => "1 of them is a command: what it asks for".to_owned(),
        (_, many) => format!("{many} of them are commands: what they ask for"),
    };
    format!("{deliveries} replayed, and {commands} is done again")
}

/// How long a step that changed so many stands for.
fn pause(rate: Rate, changed: u64) -> Duration {
    let changed = u32::try_from(changed).unwrap_or(u32::MAX);
    rate.window.saturating_mul(changed) / rate.count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_keeps_the_rate_and_what_changes_nothing_costs_none() {
        let rate = |count, seconds| Rate {
            count,
            window: Duration::from_secs(seconds),
        };
        assert_eq!(pause(rate(20, 1), 20), Duration::from_secs(1));
        assert_eq!(pause(rate(2000, 1), 500), Duration::from_millis(250));
        assert_eq!(pause(rate(20, 60), 0), Duration::ZERO);
    }

    #[test]
    fn a_person_is_asked_about_one_delivery_as_about_one_and_about_many_as_about_many() {
        let told = [(1, 1), (5, 1), (5, 2)].map(|(changed, commands)| {
            again(&Total {
                changed,
                commands,
                ..Total::default()
            })
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        1 delivery is replayed, and it is a command: what it asks for is done again
        5 deliveries are replayed, and 1 of them is a command: what it asks for is done again
        5 deliveries are replayed, and 2 of them are commands: what they ask for is done again
        ");
    }
}
