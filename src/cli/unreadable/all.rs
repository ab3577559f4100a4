//! Many unreadable pushes offered again or dropped, step by step: first what would be done, then,
//! once a person agrees, that and no more.

use std::collections::BTreeMap;

use crate::admin::unreadable::{BoxRequest, BoxStep};
use crate::cli::Exit;
use crate::cli::printer::{Printer, counted};
use crate::cli::reader::{Emptying, Reader};

/// All the steps of one change.
pub(super) struct Run<'a> {
    pub(super) reader: &'a Reader,
    pub(super) what: Emptying,
    pub(super) request: BoxRequest,
}

/// What all steps together did.
#[derive(Debug, Default)]
struct Total {
    changed: u64,
    commands: u64,
    skipped: BTreeMap<String, u64>,
    upto: Option<i64>,
}

impl Total {
    fn add(&mut self, step: &BoxStep) {
        self.changed += step.changed;
        self.commands += step.commands;
        self.upto = Some(step.upto);
        for (why, count) in &step.skipped {
            *self.skipped.entry(why.clone()).or_default() += count;
        }
    }
}

impl Run<'_> {
    pub(super) async fn run(&mut self, yes: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
        if !yes && !self.request.dry_run {
            self.request.dry_run = true;
            let ahead = self.all_steps(None).await;
            self.request.dry_run = false;
            let ahead = ahead?;
            // What was counted is what is changed, whatever comes in meanwhile.
            self.request.upto = ahead.upto;
            if ahead.changed > 0
                && let Some(exit) = self.agreed(&ahead, printer)?
            {
                return Ok(exit);
            }
        }
        let total = self.all_steps(Some(printer)).await?;
        self.tell(&total, printer)
    }

    async fn all_steps(&self, mut printer: Option<&mut Printer>) -> anyhow::Result<Total> {
        let mut request = self.request.clone();
        let mut total = Total::default();
        loop {
            let step = self.reader.empty(self.what, &request).await?;
            total.add(&step);
            if let Some(printer) = printer.as_deref_mut() {
                self.show(&step, &total, printer)?;
            }
            request.cursor = step.next_cursor;
            if request.cursor.is_none() {
                return Ok(total);
            }
        }
    }

    fn show(&self, step: &BoxStep, total: &Total, printer: &mut Printer) -> anyhow::Result<()> {
        for item in &step.items {
            if printer.json() {
                printer.object(item)?;
            } else if self.request.dry_run || item.detail.is_some() {
                let detail = item.detail.as_ref().map(|detail| format!(": {detail}"));
                let detail = detail.unwrap_or_default();
                printer.one_line(&format!("{} {}{detail}", item.id, item.result))?;
            }
        }
        if step.next_cursor.is_some() {
            printer.progress(&format!("{} so far", total.changed))?;
        }
        Ok(())
    }

    fn tell(&self, total: &Total, printer: &mut Printer) -> anyhow::Result<Exit> {
        let changed = total.changed;
        let mut text = match (self.request.dry_run, self.what) {
            (true, Emptying::Offer) => format!("{changed} would be taken"),
            (true, Emptying::Drop) => format!("{changed} would be dropped"),
            (false, Emptying::Offer) => format!("{changed} taken"),
            (false, Emptying::Drop) => format!("{changed} dropped"),
        };
        if total.commands > 0 {
            let commands = counted(total.commands, "command", "commands");
            text.push_str(&format!(", {commands} among them"));
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

    /// How the command ends now, unless a person agrees that it goes on.
    fn agreed(&self, ahead: &Total, printer: &mut Printer) -> anyhow::Result<Option<Exit>> {
        let pushes = counted(ahead.changed, "push", "pushes");
        let told = match (self.what, ahead.commands) {
            (Emptying::Drop, _) => format!("{pushes} would be gone for good"),
            (Emptying::Offer, 0) => format!("{pushes} would become events now"),
            (Emptying::Offer, commands) => {
                let commands = counted(commands, "command", "commands");
                format!("{pushes} would become events now, {commands} among them")
            }
        };
        match printer.agrees(&format!("{told}. Go on?"))? {
            Some(true) => Ok(None),
            Some(false) => {
                printer.note("nothing was changed")?;
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
}
