//! `unreadable`: pushes that passed address and secret but could not be used.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::access::AccessArgs;
use super::events::route;
use super::printer::{Printer, counted};
use super::reader::Reader;
use super::{Exit, finish};
use crate::inbox::query::UnreadableRow;

/// Which unreadable pushes, and what of them.
#[derive(Debug, Args)]
pub struct UnreadableArgs {
    #[command(flatten)]
    access: AccessArgs,
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
    flashduty-receiver unreadable offer 3";

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
    /// Offer one again, as if it came now; it leaves the box when it is taken
    Offer {
        /// Its number
        id: i64,
    },
}

/// Lists unreadable pushes, shows one, or offers one again.
///
/// # Errors
/// When the inbox cannot be read, or the push is still not usable.
pub async fn run(
    args: UnreadableArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let done = match args.action {
        None => list(args.limit, &reader, printer).await,
        Some(Action::Show { id, body }) => show(id, body, &reader, printer).await,
        Some(Action::Offer { id }) => offer(id, &reader, printer).await,
    };
    finish(reader, done).await
}

async fn list(limit: usize, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    let rows = reader.unreadables(limit).await?;
    if printer.json() {
        for row in &rows {
            printer.object(row)?;
        }
        return Ok(Exit::Done);
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    printer.table(
        ["ID", "RECEIVED", "ROUTE", "FROM", "BYTES", "REASON"],
        &cells,
    )?;
    Ok(Exit::Done)
}

fn cells(row: &UnreadableRow) -> [String; 6] {
    [
        row.id.to_string(),
        format!("{:.3}", row.received_at),
        route(row.tag.as_deref(), row.query.as_deref()),
        row.source_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        row.body_bytes.to_string(),
        row.reason.clone(),
    ]
}

async fn show(id: i64, body: bool, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    if body {
        match reader.unreadable_body(id).await? {
            Some(bytes) => printer.bytes(&bytes)?,
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
        ("received", format!("{:.6}", row.received_at)),
        ("route", route(row.tag.as_deref(), row.query.as_deref())),
        ("client", ip(row.source_ip)),
        ("peer", ip(row.peer_ip)),
        ("body", counted(row.body_bytes, "byte", "bytes")),
    ] {
        printer.line(format!("{name:<12}{value}").trim_end())?;
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

fn missing(id: i64) -> String {
    format!("no unreadable push has the number {id}; it may have been offered already, or expired")
}
