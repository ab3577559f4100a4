//! A change that goes step by step: what all steps together did, and how that is told.

use std::collections::BTreeMap;

use super::Exit;
use super::interrupt::Interrupt;
use super::printer::Printer;

/// What for all that is selected is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// To know how much it is.
    Count,
    /// To change it, or to show it: so many, where that is known.
    Show(Option<u64>),
}

impl Pass {
    /// How far it is: so many were `changed`, which `done` says in words.
    pub fn so_far(self, changed: u64, done: &str) -> String {
        match self {
            Self::Count => format!("counting: {changed} so far"),
            Self::Show(Some(of)) => format!("{done} of {of}"),
            Self::Show(None) => format!("{done} so far"),
        }
    }
}

/// What all steps together did.
#[derive(Debug, Default)]
pub struct Total {
    /// How much was changed, or would be.
    pub changed: u64,
    /// How many of that are commands.
    pub commands: u64,
    /// What was left alone, by why.
    pub skipped: BTreeMap<String, u64>,
    /// None behind this one is changed.
    pub upto: Option<i64>,
    /// Steps are left, and none is taken any more.
    pub interrupted: bool,
}

impl Total {
    /// Adds a step that went no further than `upto`.
    pub fn add(
        &mut self,
        (changed, commands): (u64, u64),
        skipped: &BTreeMap<String, u64>,
        upto: i64,
    ) {
        self.changed += changed;
        self.commands += commands;
        self.upto = Some(upto);
        for (why, count) in skipped {
            *self.skipped.entry(why.clone()).or_default() += count;
        }
    }

    /// What was left alone and why, to stand behind what was done.
    pub fn left_alone(&self) -> String {
        if self.skipped.is_empty() {
            return String::new();
        }
        let left = self.skipped.iter();
        let left: Vec<_> = left.map(|(why, count)| format!("{count} {why}")).collect();
        format!("; left alone: {}", left.join(", "))
    }

    /// Prints `text`, the last that is said, and tells how the command ends.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub fn tell(&self, text: &str, printer: &mut Printer) -> anyhow::Result<Exit> {
        if printer.json() {
            printer.note(text)?;
        } else {
            printer.line(text)?;
        }
        Ok(match self.interrupted {
            true => Exit::Failed,
            false => Exit::Done,
        })
    }
}

/// How the command ends now, unless a person agrees to what is `told` and it goes on; `kept` is said to
/// who does not agree.
///
/// # Errors
/// When it cannot be printed.
pub async fn agreed(
    told: &str,
    kept: &str,
    printer: &mut Printer,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Option<Exit>> {
    let question = format!("{told}. Go on?");
    match printer.agrees(&question, interrupt).await? {
        Some(true) => Ok(None),
        Some(false) => {
            printer.note(kept)?;
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
