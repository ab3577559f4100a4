//! `replay` and `drop`: deliveries changed by hand, step by step.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::access::AccessArgs;
use super::filter::{self, Selector};
use super::interrupt::Interrupt;
use super::printer::{Printer, counted};
use super::reader::Reader;
use super::steps::{self, Pass, Total};
use super::{Exit, finish};
use crate::admin::changes::{Action, ChangeRequest, Step};
use crate::event::Seq;
use crate::inbox::Rate;
use crate::inbox::query::DeliveryState;

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
        interrupt: Interrupt::listen(),
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
    let mut run = Run {
        reader: &reader,
        action: Action::Drop,
        request: args.selection.request(Some(args.reason)),
        rate: None,
        interrupt: Interrupt::listen(),
    };
    let done = run.carry_out(None, printer).await;
    finish(reader, done).await
}

/// All the steps of one change.
struct Run<'a> {
    reader: &'a Reader,
    action: Action,
    request: ChangeRequest,
    rate: Option<Rate>,
    interrupt: Interrupt,
}

impl Run<'_> {
    async fn replay(&mut self, yes: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
        if yes || self.request.dry_run {
            return self.carry_out(None, printer).await;
        }
        self.request.dry_run = true;
        let ahead = self.all_steps(Pass::Count, printer).await;
        self.request.dry_run = false;
        let ahead = ahead?;
        if ahead.interrupted {
            printer.note("interrupted: nothing was replayed")?;
            return Ok(Exit::Failed);
        }
        // What was counted is what is changed, whatever comes in meanwhile.
        self.request.upto = ahead.upto.map(Seq);
        if let Some(exit) = self.agreed(&ahead, printer).await? {
            return Ok(exit);
        }
        self.carry_out(Some(ahead.changed), printer).await
    }

    /// How the command ends now, unless it may go on: commands are carried out again only when a
    /// person agrees.
    async fn agreed(
        &mut self,
        ahead: &Total,
        printer: &mut Printer,
    ) -> anyhow::Result<Option<Exit>> {
        if ahead.commands == 0 {
            return Ok(None);
        }
        let told = again(ahead);
        let kept = "nothing was replayed";
        steps::agreed(&told, kept, printer, &mut self.interrupt).await
    }

    async fn carry_out(&mut self, of: Option<u64>, printer: &mut Printer) -> anyhow::Result<Exit> {
        let total = self.all_steps(Pass::Show(of), printer).await?;
        self.tell(&total, printer)
    }

    /// Takes every step, at the rate if there is one, until it is interrupted.
    async fn all_steps(&mut self, pass: Pass, printer: &mut Printer) -> anyhow::Result<Total> {
        let mut request = self.request.clone();
        let rate = self.rate.filter(|_| !request.dry_run);
        let most = rate.and_then(|rate| usize::try_from(rate.count).ok());
        request.limit = Some(most.unwrap_or(STEP).min(STEP));
        let mut total = Total::default();
        loop {
            let step = match self.reader.change(self.action, &request).await {
                Ok(step) => step,
                Err(error) if total.changed == 0 || request.dry_run => return Err(error),
                Err(error) => return Err(error.context(self.done(&total) + " before this")),
            };
            let changed = (step.changed, step.commands);
            total.add(changed, &step.skipped, step.upto.0);
            self.show(&step, pass, printer)?;
            request.cursor = step.next_cursor;
            if request.cursor.is_none() {
                return Ok(total);
            }
            printer.progress(&pass.so_far(total.changed, &self.done(&total)))?;
            if let Some(rate) = rate {
                self.interrupt.or_after(pause(rate, step.changed)).await;
            }
            if self.interrupt.came() {
                total.interrupted = true;
                return Ok(total);
            }
        }
    }

    fn show(&self, step: &Step, pass: Pass, printer: &mut Printer) -> anyhow::Result<()> {
        if pass == Pass::Count {
            return Ok(());
        }
        for item in &step.items {
            if printer.json() {
                printer.object(item)?;
            } else if self.request.dry_run {
                let (seq, sink, kind) = (item.seq, &item.sink, &item.event_type);
                printer.one_line(&format!("{seq} to {sink}: {kind}, {}", item.result))?;
            }
        }
        Ok(())
    }

    fn done(&self, total: &Total) -> String {
        let (action, changed) = (self.action.as_str(), total.changed);
        match (self.request.dry_run, self.action) {
            (true, _) => format!("{changed} would be changed by this {action}"),
            (false, Action::Replay) => format!("{changed} replayed"),
            (false, Action::Drop) => format!("{changed} dropped"),
        }
    }

    fn tell(&self, total: &Total, printer: &mut Printer) -> anyhow::Result<Exit> {
        let mut text = self.done(total);
        if self.action == Action::Replay {
            match (total.changed, total.commands) {
                (_, 0) => {}
                (1, _) => text.push_str(", a command"),
                (_, 1) => text.push_str(", 1 of them a command"),
                (_, many) => text.push_str(&format!(", {many} of them commands")),
            }
        }
        text.push_str(&total.left_alone());
        if total.interrupted {
            text.push_str("; interrupted: the rest is as it was");
            text.push_str(self.how_to_go_on());
        }
        total.tell(&text, printer)
    }

    fn how_to_go_on(&self) -> &'static str {
        match (self.request.dry_run, self.action, self.request.state) {
            (true, ..) => "",
            // What was delivered by this replay is selected again.
            (false, Action::Replay, None | Some(DeliveryState::Delivered)) => {
                "; the same again would also repeat what was replayed now"
            }
            (false, ..) => "; the same again goes on",
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
