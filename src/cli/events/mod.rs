//! `events`: what is stored.

mod find;

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use ipnet::IpNet;
use jiff::Timestamp;

pub use self::find::{Waiting, find};
use super::access::AccessArgs;
use super::deliveries;
use super::filter::{self, StoredOutcome};
use super::interrupt::Interrupt;
use super::printer::{Column, Paint, Printer, counted};
use super::reader::{PAGE, Reader};
use super::{Exit, finish};
use crate::admin::api::EventDetail;
use crate::event::Subject;
use crate::inbox::query::{EventFilter, EventRow};
use crate::inbox::search::{Needle, Sift};

/// Which events, and what of them.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    list: ListArgs,
    #[command(subcommand)]
    action: Option<Action>,
}

/// Shown below `events --help`.
pub const EXAMPLES: &str = "\
Examples:
  What came in lately:
    flashduty-receiver events --since 1h
  The story of one incident:
    flashduty-receiver events --subject incident:664af0c5e1b2d3f4a5b6c7d8
  Whatever mentions a host, back to yesterday:
    flashduty-receiver events --text node-17 --since 1d
  The exact bytes of one push, by its event id or position:
    flashduty-receiver events show 42 --body > push.json";

/// Characters of a title in a table or on a line.
pub const LONGEST_TITLE: usize = 120;

#[derive(Debug, Args)]
struct ListArgs {
    #[arg(
        long = "type",
        value_name = "TYPE",
        help = "Of this type, such as i_ack"
    )]
    event_type: Option<String>,
    /// About this incident or alert: incident:ID or alert:ID
    #[arg(long, value_parser = filter::subject)]
    subject: Option<Subject>,
    /// Judged so
    #[arg(long)]
    outcome: Option<StoredOutcome>,
    #[arg(
        long,
        value_parser = filter::text,
        help = "With this text in the body, however its JSON writes it, or in id, type or subject"
    )]
    text: Option<Needle>,
    /// From this client address, or from one in this block, such as 203.0.113.0/24
    #[arg(long, value_name = "ADDRESS", value_parser = filter::source)]
    source: Option<IpNet>,
    /// Received since then: a time, or how long ago (90m, 7d)
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    since: Option<Timestamp>,
    /// Received before then
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    until: Option<Timestamp>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show one event with its deliveries
    Show {
        /// Its event id, or its position (seq)
        #[arg(value_name = "ID|SEQ")]
        which: String,
        /// Print the body's exact bytes, and nothing else
        #[arg(long)]
        body: bool,
    },
}

/// Lists events, or shows one.
///
/// # Errors
/// When the inbox cannot be read.
pub async fn run(
    args: EventsArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let done = match args.action {
        None => list(args.list, &reader, printer).await,
        Some(Action::Show { which, body: true }) => show_body(&which, &reader, printer).await,
        Some(Action::Show { which, body: false }) => show(&which, &reader, printer).await,
    };
    finish(reader, done).await
}

async fn list(args: ListArgs, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    let filter = EventFilter {
        event_type: args.event_type,
        subject: args.subject,
        outcome: args.outcome.map(Into::into),
        since: args.since,
        until: args.until,
        ..EventFilter::default()
    };
    let sift = Sift::new(filter, args.text, args.source);
    let mut interrupt = Interrupt::listen();
    let watch = (&mut *printer, &mut interrupt);
    let (rows, whole) = found(sift, args.limit, reader, watch).await?;
    let exit = if whole { Exit::Done } else { Exit::Failed };
    printer.list(&rows, args.limit, &COLUMNS, cells)?;
    Ok(exit)
}

const COLUMNS: [Column; 12] = [
    Column::new("SEQ"),
    Column::new("RECEIVED").spare(3),
    Column::new("AGE").aside(),
    Column::new("TYPE"),
    Column::new("OUTCOME").painted(of_outcome),
    Column::new("SEVERITY").painted(of_severity),
    Column::new("SUBJECT").spare(1),
    Column::new("ROUTE").spare(2),
    Column::new("FROM").spare(5),
    Column::new("BYTES").spare(6),
    Column::new("EVENT ID").spare(4),
    Column::new("TITLE").least(24),
];

/// What sinks get stands out.
pub fn of_outcome(outcome: &str) -> Paint {
    match outcome {
        "accepted" => Paint::Plain,
        _ => Paint::Faint,
    }
}

/// The sender's own words.
pub fn of_severity(severity: &str) -> Paint {
    match severity {
        "Critical" => Paint::Red,
        "Warning" => Paint::Yellow,
        "Info" => Paint::Blue,
        "Ok" => Paint::Green,
        _ => Paint::Plain,
    }
}

/// The newest `limit` that match, and whether it came to the end of them. A search is many pages, most of
/// them empty, and goes on over all, unless it is interrupted.
async fn found(
    mut sift: Sift,
    limit: usize,
    reader: &Reader,
    (printer, interrupt): (&mut Printer, &mut Interrupt),
) -> anyhow::Result<(Vec<EventRow>, bool)> {
    let mut rows = Vec::new();
    while rows.len() < limit {
        sift.filter.limit = (limit - rows.len()).min(PAGE);
        let answer = reader.page(&sift).await?;
        rows.extend(answer.page.items);
        let Some(next) = answer.page.next_cursor else {
            break;
        };
        sift.filter.cursor = Some(next);
        let to = answer.searched_to;
        let back = to.map(|to| format!(", searched back to {to:.0}"));
        printer.progress(&format!("{} found{}", rows.len(), back.unwrap_or_default()))?;
        if interrupt.came() {
            let on = to.map(|to| format!("; --until {to} goes on from there"));
            printer.note(&format!(
                "interrupted: there may be more{}",
                on.unwrap_or_default()
            ))?;
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}

fn cells(row: &EventRow, printer: &Printer) -> [String; 12] {
    [
        row.seq.to_string(),
        format!("{:.3}", row.received_at),
        printer.age(row.received_at),
        row.event_type.clone(),
        row.outcome.as_str().to_owned(),
        row.severity.clone().unwrap_or_default(),
        row.subject.clone().unwrap_or_default(),
        route(row.tag.as_deref(), row.query.as_deref()),
        row.source_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        row.body_bytes.to_string(),
        row.event_id.clone().unwrap_or_default(),
        title(row),
    ]
}

/// The title, cut where it would fill the screen.
pub fn title(row: &EventRow) -> String {
    let title = row.title.as_deref().unwrap_or_default();
    if title.chars().count() <= LONGEST_TITLE {
        return title.to_owned();
    }
    let mut title: String = title.chars().take(LONGEST_TITLE).collect();
    title.push('…');
    title
}

/// A route as the end of its URL: `/ops?team=a`; empty for the bare path.
pub fn route(tag: Option<&str>, query: Option<&str>) -> String {
    let tag = tag.map(|tag| format!("/{tag}")).unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    tag + &query
}

/// A route in a sentence: `route /ops?team=a`.
pub fn route_in_words(tag: Option<&str>, query: Option<&str>) -> String {
    match route(tag, query) {
        bare if bare.is_empty() => "the route without tag and query".to_owned(),
        route => format!("route {route}"),
    }
}

async fn show_body(which: &str, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    let found = find(which, reader).await?;
    let [event] = found.as_slice() else {
        let seqs: Vec<_> = found.iter().map(|e| e.event.seq.to_string()).collect();
        bail!(
            "{which} came to several routes; say which by its position: {}",
            seqs.join(", ")
        );
    };
    let Some(body) = reader.event_body(event.event.seq).await? else {
        bail!("the event was pruned just now");
    };
    printer.exact(&body)?;
    Ok(Exit::Done)
}

async fn show(which: &str, reader: &Reader, printer: &mut Printer) -> anyhow::Result<Exit> {
    for detail in find(which, reader).await? {
        if printer.json() {
            printer.object(&detail)?;
        } else {
            print(&detail, printer)?;
        }
    }
    Ok(Exit::Done)
}

fn print(detail: &EventDetail, printer: &mut Printer) -> anyhow::Result<()> {
    let event = &detail.event;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let time = event.event_time.map(|millis| {
        Timestamp::from_millisecond(millis)
            .map_or_else(|_far| millis.to_string(), |time| format!("{time:.3}"))
    });
    for (name, value) in [
        ("seq", event.seq.to_string()),
        ("event id", or_none(event.event_id.clone())),
        ("event type", event.event_type.clone()),
        ("event time", or_none(time)),
        ("subject", or_none(event.subject.clone())),
        ("severity", or_none(event.severity.clone())),
        ("title", or_none(event.title.clone())),
        ("outcome", event.outcome.as_str().to_owned()),
        (
            "command",
            if event.command { "yes" } else { "no" }.to_owned(),
        ),
        ("route", route(event.tag.as_deref(), event.query.as_deref())),
        (
            "received",
            format!(
                "{:.6}{}",
                event.received_at,
                printer.aside(event.received_at)
            ),
        ),
        ("client", or_none(event.source_ip.map(|ip| ip.to_string()))),
        ("peer", or_none(event.peer_ip.map(|ip| ip.to_string()))),
        ("origin", event.origin.as_str().to_owned()),
        ("body", counted(event.body_bytes, "byte", "bytes")),
    ] {
        printer.one_line(format!("{name:<12}{value}").trim_end())?;
    }
    printer.line("")?;
    deliveries::print_with_attempts(&detail.deliveries, printer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::tests::captured;
    use crate::cli::tests::fake::Fake;

    const NOTHING_YET: &str =
        r#"{"items":[],"next_cursor":"7","searched_to":"2026-05-04T09:00:00Z"}"#;

    #[tokio::test]
    async fn an_interrupted_search_says_how_far_back_it_came() {
        let (fake, reader) = Fake::start().await;
        let (mut printer, _, err) = captured(false);
        let mut interrupt = Interrupt::when(std::future::ready(()));
        let sift = Sift::new(EventFilter::default(), None, None);
        let (searched, _) = tokio::join!(
            found(sift, 5, &reader, (&mut printer, &mut interrupt)),
            fake.answer("GET /api/v1/events?limit=5", &[NOTHING_YET])
        );
        let (rows, whole) = searched.unwrap();
        assert!(rows.is_empty() && !whole);
        assert_eq!(
            err.text(),
            "interrupted: there may be more; --until 2026-05-04T09:00:00Z goes on from there\n"
        );
    }
}
