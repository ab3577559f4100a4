//! `spill`: what a receiver keeps while its database is away, and what to do with a spill whose
//! receiver is gone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::access::AccessArgs;
use super::api::Api;
use super::interrupt::Interrupt;
use super::printer::{Column, PrintError, Printer};
use super::reader::{COMMAND_LINE, Reader, found};
use super::{Exit, finish, settings};
use crate::admin::spilled::{SpilledEvent, SpilledPushes, UnreadablePush, drain};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{SpillUrl, StoreUrl};
use crate::event::{Event, Origin};
use crate::inbox::spill::{Contents, Drained, Spill as _, Spilled, admit};
use crate::inbox::sqlite::spill::{SqliteSpill, look};
use crate::inbox::{Inbox, Unreadable, UnreadableBounds};
use crate::routing::Routing;
use crate::words::Words;

/// Events or unreadable pushes offered at a time, and bytes of their bodies.
const STEP: usize = 256;
const STEP_BYTES: usize = 4 << 20;

/// Which spill, and what of it.
#[derive(Debug, Args)]
pub struct SpillArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(subcommand)]
    action: Option<Action>,
}

/// Shown below `spill --help`.
pub const EXAMPLES: &str = "\
While the database is away a receiver keeps pushes in a file of its own, and drains it by itself \
when the database answers again, also after a restart. A file whose receiver does not come back \
is drained by hand.

Examples:
  What waits in the configured spill:
    flashduty-receiver spill list
  What waits on a volume whose receiver is gone:
    flashduty-receiver spill list /mnt/old/spill.db
  Give that to the receiver that runs here:
    flashduty-receiver spill drain /mnt/old/spill.db";

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how many events and unreadable pushes wait in a spill, and since when
    List {
        /// The file; else the configuration's store.spill
        file: Option<PathBuf>,
    },
    /// Offer what a spill holds whose receiver is gone, in its order, as of when it came
    Drain {
        /// The file
        file: PathBuf,
    },
}

/// Lists a spill, or drains it.
///
/// # Errors
/// When it cannot be read, or somebody holds it, or the inbox takes nothing.
pub async fn run(
    args: SpillArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    match args.action {
        None => list(None, config, printer),
        Some(Action::List { file }) => list(file, config, printer),
        Some(Action::Drain { file }) => {
            let whole = look(existing(&file)?)?;
            let spill = SqliteSpill::open(&file, Duration::ZERO)
                .context("a receiver that runs drains its spill by itself")?;
            let drained = match args.access.open(config).await {
                Ok(reader) => {
                    let done = match Taker::new(&reader, config).await {
                        Ok(taker) => Draining::new(&spill, taker, &whole).run(printer).await,
                        Err(error) => Err(error),
                    };
                    finish(reader, done).await
                }
                Err(error) => Err(error),
            };
            let closed = spill.close().await;
            let exit = drained?;
            closed?;
            Ok(exit)
        }
    }
}

const LIST: [Column; 7] = [
    Column::new("FILE"),
    Column::new("EVENTS"),
    Column::new("SET ASIDE"),
    Column::new("UNREADABLE"),
    Column::new("BYTES").spare(1),
    Column::new("OLDEST"),
    Column::new("NEWEST").spare(2),
];

/// A row of the list.
#[derive(Serialize)]
struct Listed<'a> {
    file: &'a Path,
    #[serde(flatten)]
    contents: &'a Contents,
}

fn list(
    file: Option<PathBuf>,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let file = match file {
        Some(file) => file,
        None => configured(config)?,
    };
    let contents = &look(existing(&file)?)?;
    let file = &*file;
    if printer.json() {
        printer.object(&Listed { file, contents })?;
        return Ok(Exit::Done);
    }
    let time =
        |time: Option<jiff::Timestamp>| time.map(|at| format!("{at:.3}")).unwrap_or_default();
    let row = [
        file.display().to_string(),
        contents.events.to_string(),
        contents.set_aside.to_string(),
        contents.unreadable.to_string(),
        contents.bytes.to_string(),
        time(contents.oldest),
        time(contents.newest),
    ];
    printer.table(&LIST, &[row])?;
    Ok(Exit::Done)
}

/// The file that the configuration names.
fn configured(config: Option<&Path>) -> anyhow::Result<PathBuf> {
    let store = settings::load(config)?.settings.store;
    let SpillUrl::File(path) = store.spill else {
        bail!("store.spill is off; name the file of a spill");
    };
    // One that is there is shown: it may be left from a time with a database.
    if !path.exists() && !matches!(store.url, StoreUrl::Postgres(_)) {
        bail!(
            "there is no spill here: it stands in for a PostgreSQL database, which store.url does \
             not name. With one it would be {} (store.spill); another receiver's is shown by \
             `spill list FILE`",
            path.display()
        );
    }
    Ok(path)
}

/// A command makes no spill.
fn existing(file: &Path) -> anyhow::Result<&Path> {
    if !file.exists() {
        bail!("there is no spill at {}", file.display());
    }
    Ok(file)
}

/// A spill on its way into an inbox.
struct Draining<'a> {
    spill: &'a SqliteSpill,
    taker: Taker<'a>,
    /// How much there was at first.
    whole: u64,
    drained: Drained,
    interrupt: Interrupt,
}

impl<'a> Draining<'a> {
    fn new(spill: &'a SqliteSpill, taker: Taker<'a>, contents: &Contents) -> Self {
        Self {
            spill,
            taker,
            whole: contents.events + contents.unreadable,
            drained: Drained::default(),
            interrupt: Interrupt::listen(),
        }
    }

    /// Until nothing is left, or it is interrupted.
    async fn run(mut self, printer: &mut Printer) -> anyhow::Result<Exit> {
        let mut moved = 0;
        loop {
            let step = match self.events().await? {
                0 => self.unreadable().await?,
                events => events,
            };
            if step == 0 {
                tell(&self.drained, printer)?;
                return Ok(Exit::Done);
            }
            moved += step as u64;
            printer.progress(&format!("{moved} of {} drained", self.whole))?;
            if moved < self.whole && self.interrupt.came() {
                tell(&self.drained, printer)?;
                printer.note(&format!(
                    "interrupted: {moved} of {} are drained, the rest is still in the spill; the same \
                     again goes on",
                    self.whole
                ))?;
                return Ok(Exit::Failed);
            }
        }
    }

    /// The oldest events; how many.
    async fn events(&mut self) -> anyhow::Result<usize> {
        let rows = self.spill.oldest(STEP, STEP_BYTES).await?;
        let Some(last) = rows.last().map(|row| row.id) else {
            return Ok(0);
        };
        let drained = match &self.taker {
            Taker::Store(direct) => direct.admit(&rows).await?,
            Taker::Receiver(api) => {
                let pushes = SpilledPushes {
                    events: rows.iter().map(SpilledEvent::from).collect(),
                    ..SpilledPushes::default()
                };
                send(api, &pushes).await?
            }
        };
        self.spill.remove(last).await?;
        self.drained.add(&drained);
        Ok(rows.len())
    }

    /// The oldest pushes that could not be used; how many.
    async fn unreadable(&mut self) -> anyhow::Result<usize> {
        let rows = self.spill.oldest_unreadable(STEP, STEP_BYTES).await?;
        let Some(last) = rows.last().map(|row| row.id) else {
            return Ok(0);
        };
        let count = rows.len();
        let drained = match &self.taker {
            Taker::Store(direct) => {
                let pushes = rows.into_iter().map(|row| row.push).collect();
                direct.keep(pushes).await?
            }
            Taker::Receiver(api) => {
                let pushes = rows.iter().map(|row| UnreadablePush::from(&row.push));
                let pushes = SpilledPushes {
                    unreadable: pushes.collect(),
                    ..SpilledPushes::default()
                };
                send(api, &pushes).await?
            }
        };
        self.spill.remove_unreadable(last).await?;
        self.drained.add(&drained);
        Ok(count)
    }
}

async fn send(api: &Api, pushes: &SpilledPushes) -> anyhow::Result<Drained> {
    found(api.post_json("/api/v1/spilled", pushes).await?)
}

/// Who is offered what was in the spill.
enum Taker<'a> {
    Receiver(&'a Api),
    Store(Direct<'a>),
}

impl<'a> Taker<'a> {
    async fn new(reader: &'a Reader, config: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match reader {
            Reader::Api(api) => Self::Receiver(api),
            Reader::Store(inbox, routing) => {
                Self::Store(Direct::new(&**inbox, routing, config).await?)
            }
        })
    }
}

/// The way into a store that no receiver holds.
struct Direct<'a> {
    inbox: &'a dyn Inbox,
    routing: Routing,
    bounds: UnreadableBounds,
    /// Whether commands are carried out that were not pushed but recovered.
    recovered_commands: bool,
}

impl<'a> Direct<'a> {
    async fn new(
        inbox: &'a dyn Inbox,
        routing: &Routing,
        config: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut numbers = BTreeMap::new();
        for name in routing.names() {
            numbers.insert(Arc::clone(name), inbox.sink(name).await?);
        }
        let settings = settings::load(config)?.settings;
        let admission = settings.admission;
        Ok(Self {
            inbox,
            routing: routing.numbered(&numbers),
            bounds: UnreadableBounds {
                count: usize::try_from(admission.keep_unreadable).unwrap_or(usize::MAX),
                bytes: admission.keep_unreadable_bytes,
            },
            recovered_commands: settings.recover.commands,
        })
    }

    async fn admit(&self, rows: &[Spilled]) -> anyhow::Result<Drained> {
        let wanted = |event: &Event| match event.origin {
            // How old one is that does not say it, the spill does not know.
            Origin::Recovered
                if event.command && (event.event_time.is_none() || !self.recovered_commands) =>
            {
                Arc::default()
            }
            _ => self.routing.wanted(&Words::new(event)),
        };
        let now = SystemClock.now();
        let (drained, unusable) = admit(self.inbox, self.bounds, rows, &wanted, now).await?;
        self.note_and_keep((rows.len(), 0), unusable).await?;
        Ok(drained)
    }

    async fn keep(&self, pushes: Vec<Unreadable>) -> anyhow::Result<Drained> {
        let count = pushes.len();
        self.note_and_keep((0, count), pushes).await?;
        Ok(Drained {
            unreadable: count as u64,
            ..Drained::default()
        })
    }

    /// Says in the audit how many events and unreadable pushes came, and keeps what is unusable of them. That comes
    /// last: a step that failed is made again, and its events are duplicates then, but this would be kept once more.
    async fn note_and_keep(
        &self,
        (events, unreadable): (usize, usize),
        unusable: Vec<Unreadable>,
    ) -> anyhow::Result<()> {
        let audit = drain(COMMAND_LINE.to_owned(), (events, unreadable));
        let noted = self
            .inbox
            .note(audit, events + unreadable, SystemClock.now());
        noted.await?;
        if !unusable.is_empty() {
            self.inbox.keep_unreadable(unusable, self.bounds).await?;
        }
        Ok(())
    }
}

fn tell(drained: &Drained, printer: &mut Printer) -> Result<(), PrintError> {
    if printer.json() {
        return printer.object(drained);
    }
    let rows = [
        (
            "accepted",
            drained.accepted,
            "new, and on the way to the sinks",
        ),
        (
            "stale",
            drained.stale,
            "new, but overtaken by what came later",
        ),
        ("duplicate", drained.duplicate, "in the store already"),
        (
            "unreadable",
            drained.unreadable,
            "see the command unreadable",
        ),
    ];
    let rows =
        rows.map(|(what, count, means)| [what.to_owned(), count.to_string(), means.to_owned()]);
    let columns = ["OUTCOME", "EVENTS", "MEANING"].map(Column::new);
    printer.table(&columns, &rows)
}
