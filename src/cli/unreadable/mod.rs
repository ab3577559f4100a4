//! `unreadable`: pushes that passed address and secret but could not be used.

mod all;

use std::net::IpAddr;
use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;

use self::all::Run;
use super::access::AccessArgs;
use super::events::route;
use super::filter;
use super::interrupt::Interrupt;
use super::printer::{Column, Printer, counted};
use super::reader::{Emptying, Reader, route_end};
use super::{Exit, finish};
use crate::admin::unreadable::{BoxRequest, Select};
use crate::event::Route;
use crate::inbox::query::{UnreadableFilter, UnreadableRow};

/// Which unreadable pushes, and what of them.
#[derive(Debug, Args)]
pub struct UnreadableArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    which: Which,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(subcommand)]
    action: Option<Action>,
}

/// Shown below `unreadable --help`.
pub const EXAMPLES: &str = "\
Examples:
  What could not be read, and why:
    flashduty-receiver unreadable
  The body, to see what the sender's template made of it:
    flashduty-receiver unreadable show 3 --body
  Once [envelope] is corrected, take it after all:
    flashduty-receiver unreadable offer 3
  Or all there are, once it is clear what that comes to:
    flashduty-receiver unreadable offer --all --dry-run
  Give up what a test of ours has left:
    flashduty-receiver unreadable drop --all --source 192.0.2.7 \\
      --reason 'a test'";

/// Which of them; all that is given must match.
#[derive(Debug, Default, PartialEq, Args)]
struct Which {
    /// Received since then: a time, or how long ago (90m, 7d)
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    since: Option<Timestamp>,
    /// Received before then
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    until: Option<Timestamp>,
    /// From this client address
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Whose reason holds this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    holds: Option<String>,
    /// To this route, as it is shown: /TAG, /TAG?QUERY, ?QUERY or /
    #[arg(long, value_parser = filter::route)]
    route: Option<Route>,
}

impl Which {
    fn filter(self) -> UnreadableFilter {
        UnreadableFilter {
            since: self.since,
            until: self.until,
            source: self.source.map(|ip| ip.to_canonical()),
            reason: self.holds,
            route: self.route,
            ..UnreadableFilter::default()
        }
    }

    fn select(self) -> Select {
        Select {
            since: self.since.map(|at| at.to_string()),
            until: self.until.map(|at| at.to_string()),
            source: self.source,
            reason: self.holds,
            route: self.route.as_ref().map(route_end),
        }
    }
}

/// One push, or many.
#[derive(Debug, Args)]
struct These {
    /// Its number
    #[arg(
        required_unless_present = "all",
        conflicts_with_all = [
            "all", "since", "until", "source", "holds", "route", "dry_run", "yes"
        ]
    )]
    id: Option<i64>,
    /// All there are, or all that the options below select
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Change nothing, and say what would be changed
    #[arg(long, requires = "all")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, requires = "all")]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show one unreadable push
    Show {
        /// Its number
        id: i64,
        /// Print the body's exact bytes, and nothing else
        #[arg(long)]
        body: bool,
    },
    /// Offer one or all again, as if they came now; what is taken leaves the box
    Offer {
        #[command(flatten)]
        these: These,
        /// Why, for the audit
        #[arg(long, requires = "all", conflicts_with = "id")]
        reason: Option<String>,
    },
    /// Drop one or all for good, for a reason that is kept
    Drop {
        #[command(flatten)]
        these: These,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
}

/// Lists unreadable pushes, shows one, and offers them again or drops them.
///
/// # Errors
/// When the inbox cannot be read, or the push is still not usable.
pub async fn run(
    args: UnreadableArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    if args.action.is_some() && args.which != Which::default() {
        // There they would select nothing, and seem to.
        printer
            .note("give what selects pushes behind the command, such as offer --all --since 2h")?;
        return Ok(Exit::Usage);
    }
    let reader = args.access.open(config).await?;
    let done = match args.action {
        None => list((args.which, args.limit), &reader, printer).await,
        Some(Action::Show { id, body }) => show(id, body, &reader, printer).await,
        Some(Action::Offer { these, reason }) => match these.id {
            Some(id) => offer(id, &reader, printer).await,
            None => all(Emptying::Offer, (these, reason), &reader, printer).await,
        },
        Some(Action::Drop { these, reason }) => match these.id {
            Some(id) => drop(id, reason, &reader, printer).await,
            None => all(Emptying::Drop, (these, Some(reason)), &reader, printer).await,
        },
    };
    finish(reader, done).await
}

async fn list(
    (which, limit): (Which, usize),
    reader: &Reader,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let rows = reader.unreadables(which.filter(), limit).await?;
    printer.list(&rows, limit, &COLUMNS, cells)?;
    Ok(Exit::Done)
}

const COLUMNS: [Column; 7] = [
    Column::new("ID"),
    Column::new("RECEIVED").spare(3),
    Column::new("AGE").aside(),
    Column::new("ROUTE").spare(1),
    Column::new("FROM").spare(2),
    Column::new("BYTES").spare(4),
    Column::new("REASON").least(40),
];

fn cells(row: &UnreadableRow, printer: &Printer) -> [String; 7] {
    [
        row.id.to_string(),
        format!("{:.3}", row.received_at),
        printer.age(row.received_at),
        route(row.tag.as_deref(), row.query.as_deref()),
        row.source_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        row.body_bytes.to_string(),
        row.reason.clone(),
    ]
}

async fn show(id: i64, body: bool, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    if body {
        match reader.unreadable_body(id).await? {
            Some(bytes) => printer.exact(&bytes)?,
            None => bail!(missing(id)),
        }
        return Ok(Exit::Done);
    }
    let Some(row) = reader.unreadable(id).await? else {
        bail!(missing(id));
    };
    if printer.json() {
        printer.object(&row)?;
        return Ok(Exit::Done);
    }
    let ip = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    for (name, value) in [
        ("id", row.id.to_string()),
        ("reason", row.reason),
        (
            "received",
            format!("{:.6}{}", row.received_at, printer.aside(row.received_at)),
        ),
        ("route", route(row.tag.as_deref(), row.query.as_deref())),
        ("client", ip(row.source_ip)),
        ("peer", ip(row.peer_ip)),
        ("body", counted(row.body_bytes, "byte", "bytes")),
    ] {
        printer.one_line(format!("{name:<12}{value}").trim_end())?;
    }
    Ok(Exit::Done)
}

async fn offer(id: i64, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    let Some(taken) = reader.offer(id).await? else {
        bail!(missing(id));
    };
    if printer.json() {
        printer.object(&taken)?;
    } else {
        let seq = taken.seq.map(|seq| format!(" at position {seq}"));
        let seq = seq.unwrap_or_default();
        printer.line(&format!("{}{seq}", taken.outcome.as_str()))?;
    }
    Ok(Exit::Done)
}

async fn drop(
    id: i64,
    reason: String,
    reader: &Reader,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    if !reader.drop_unreadable(id, reason).await? {
        bail!(missing(id));
    }
    if printer.json() {
        printer.object(&serde_json::json!({ "id": id }))?;
    } else {
        printer.line("dropped")?;
    }
    Ok(Exit::Done)
}

async fn all(
    what: Emptying,
    (these, reason): (These, Option<String>),
    reader: &Reader,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let request = BoxRequest {
        select: these.which.select(),
        all: these.all,
        dry_run: these.dry_run,
        reason,
        ..BoxRequest::default()
    };
    let mut run = Run {
        reader,
        what,
        request,
        interrupt: Interrupt::listen(),
    };
    run.run(these.yes, printer).await
}

fn missing(id: i64) -> String {
    format!("no unreadable push has the number {id}; it may have been offered already, or expired")
}
