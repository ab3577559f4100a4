//! `explain`: what became of a push and why, or what would become of one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::access::AccessArgs;
use super::hypothesis::Hypothesis;
use super::printer::Printer;
use super::{Exit, deliveries, events, finish, settings};
use crate::admin::api::EventDetail;
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::event::{Origin, Outcome, Route};
use crate::inbox::query::EventRow;
use crate::intake::Arrival;
use crate::source::Peer;
use crate::words::Words;

/// A push that was, or one that might be.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// An event that came in: its event id, or its position (seq)
    #[arg(value_name = "EVENT_ID|SEQ", required_unless_present = "file")]
    which: Option<String>,
    #[command(flatten)]
    push: PushArgs,
}

/// A push that might be made.
#[derive(Debug, Args)]
struct PushArgs {
    /// Explain what would become of this body; nothing is sent or stored. Without --peer only which
    /// sinks would take it, and why
    #[arg(long, value_name = "FILE", conflicts_with = "which")]
    file: Option<PathBuf>,
    /// The address it would come from, as the receiver's socket sees it: the proxy's, if any
    #[arg(long, value_name = "IP", requires = "file")]
    peer: Option<IpAddr>,
    /// The client that the proxy's PROXY header would name
    #[arg(long, value_name = "IP", requires_all = ["file", "peer"])]
    proxied: Option<IpAddr>,
    /// A header it would have, such as X-Forwarded-For or the secret
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE",
        requires_all = ["file", "peer"], value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The path segment behind the webhook path
    #[arg(long, requires = "file")]
    tag: Option<String>,
    /// The query string, without the question mark
    #[arg(long, requires = "file")]
    query: Option<String>,
}

/// Shown below `explain --help`.
pub const EXAMPLES: &str = "\
Examples:
  Why did this event not reach us?
    flashduty-receiver explain 8d6f4a2e0c1b4f7a9e3d5c6b7a8f9e0d
  Which sinks would take this push, and why?
    flashduty-receiver explain --file body.json --tag ops
  Would this push get through our load balancer?
    flashduty-receiver explain --file body.json --peer 10.0.3.7 --tag ops \\
      -H 'X-Forwarded-For: 47.94.95.118' -H 'X-Flashduty-Token: s3cret'";

/// Explains a stored event, or a push that might be made.
///
/// # Errors
/// When the inbox, the configuration or the file cannot be read.
pub async fn run(
    args: ExplainArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let Some(which) = args.which else {
        let sentences = hypothetical(args.push, config)?;
        print(&sentences, printer)?;
        return Ok(Exit::Done);
    };
    let reader = args.access.open(config).await?;
    let done = match events::find(&which, &reader).await {
        Ok(found) => past(&found, printer),
        Err(error) => match error.downcast::<events::Waiting>() {
            Ok(waiting) => print(&waiting.sentences, printer).map(|()| Exit::Done),
            Err(error) => Err(error),
        },
    };
    finish(reader, done).await
}

fn print(sentences: &[String], printer: &mut Printer) -> anyhow::Result<()> {
    if printer.json() {
        printer.object(&serde_json::json!({ "steps": sentences }))?;
        return Ok(());
    }
    for (number, sentence) in sentences.iter().enumerate() {
        printer.one_line(&format!("{:>3}. {sentence}", number + 1))?;
    }
    Ok(())
}

fn past(found: &[EventDetail], printer: &mut Printer) -> anyhow::Result<Exit> {
    for detail in found {
        let steps = &story(&detail.event, &printer.aside(detail.event.received_at));
        if printer.json() {
            printer.object(&Explained { steps, detail })?;
        } else {
            print(steps, printer)?;
            deliveries::print_with_attempts(&detail.deliveries, printer)?;
        }
    }
    Ok(Exit::Done)
}

/// A stored event and its story, for scripts.
#[derive(Serialize)]
struct Explained<'a> {
    steps: &'a [String],
    #[serde(flatten)]
    detail: &'a EventDetail,
}

/// How a stored event came here and was judged, a sentence each; `ago` stands behind when it came.
fn story(event: &EventRow, ago: &str) -> Vec<String> {
    vec![arrival(event, ago), identity(event), verdict(event)]
}

fn arrival(event: &EventRow, ago: &str) -> String {
    let route = events::route_in_words(event.tag.as_deref(), event.query.as_deref());
    let at = format!("{:.3}", event.received_at);
    let how = match (event.origin, event.source_ip, event.peer_ip) {
        (Origin::Recovered, _, _) => "was fetched from the sender's history".to_owned(),
        (Origin::Replay, _, _) => "was offered again by a person".to_owned(),
        (Origin::Push, Some(client), Some(peer)) if client != peer => format!(
            "was pushed by {client} through {peer}, which was trusted to say so, and let in"
        ),
        (Origin::Push, Some(client), _) => {
            format!("was pushed by {client} directly, and let in")
        }
        (Origin::Push, None, _) => "was pushed; its client's address was not judged".to_owned(),
    };
    format!("{how}, to {route}, at {at}{ago}")
}

fn identity(event: &EventRow) -> String {
    let id = match &event.event_id {
        Some(id) => format!("event id {id}"),
        None => "no event id".to_owned(),
    };
    let kind = if event.command {
        "a command: a person asked for something"
    } else {
        "a change of state"
    };
    let about = match &event.subject {
        Some(subject) => format!("about {subject}"),
        None => "about no incident or alert".to_owned(),
    };
    format!("carried {} ({kind}), {id}, {about}", event.event_type)
}

fn verdict(event: &EventRow) -> String {
    let seq = event.seq;
    let age = event.event_time.and_then(|millis| {
        let time = Timestamp::from_millisecond(millis).ok()?;
        Some(event.received_at.duration_since(time))
    });
    let age = match age {
        Some(age) if age.is_negative() => {
            format!("{} before the time it gives itself", lapse(-age))
        }
        Some(age) => format!("{} after the time it gives itself", lapse(age)),
        None => "with no time of its own to compare".to_owned(),
    };
    match event.outcome {
        Outcome::Stale => format!(
            "was judged stale and stored at position {seq}, {age}: a later event of its subject \
             had been accepted on this route before, so only sinks with include_stale get it"
        ),
        Outcome::Accepted | Outcome::Duplicate => format!(
            "was judged {} and stored at position {seq}, {age}",
            event.outcome.as_str()
        ),
    }
}

fn lapse(age: SignedDuration) -> String {
    match age.as_secs() {
        ..120 => format!("{:.3} s", age.as_secs_f64()),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn hypothetical(args: PushArgs, config: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let loaded = settings::load(config)?;
    let (source, envelope) = settings::rules(&loaded)?;
    let path = args.file.context("--file is missing")?;
    let body = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let settings = &loaded.settings;
    let hypothesis = Hypothesis {
        source: &source,
        envelope: &envelope,
        max_body: settings.server.max_body,
        command_max_age: settings.admission.command_max_age,
        max_clock_skew: settings.admission.max_clock_skew,
        now: SystemClock.now(),
    };
    let headers: HeaderMap =
        args.headers
            .into_iter()
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            });
    let route = Route {
        tag: args.tag.map(Into::into),
        query: args.query.filter(|query| !query.is_empty()).map(Into::into),
    };
    let told = match args.peer {
        Some(peer) => hypothesis.judge(&Peer::new(peer, args.proxied), &headers, &route, &body),
        None => hypothesis.read(&body),
    };
    let mut steps = told.steps;
    if told.accepted {
        let arrival = Arrival {
            route,
            source_ip: None,
            peer_ip: None,
            received_at: hypothesis.now,
            origin: Origin::Push,
            trace_parent: None,
            body: body.into(),
        };
        let read = envelope.read(&arrival.body)?;
        let event = arrival.event(read);
        let routing = app::routing(settings);
        steps.extend(match routing.explain(&Words::new(&event)) {
            none if none.is_empty() => {
                vec!["no sink is configured, so it is stored and goes nowhere".to_owned()]
            }
            sentences => sentences,
        });
    }
    Ok(steps)
}

fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("write NAME:VALUE")?;
    let name = name.trim().parse().context("this is no header name")?;
    let mut value: HeaderValue = value.trim().parse().context("this is no header value")?;
    // It may be the secret.
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Seq;

    fn row() -> EventRow {
        EventRow {
            seq: Seq(42),
            event_id: Some("8d6f4a2e".to_owned()),
            event_type: "i_ack".to_owned(),
            event_time: Some(1_777_888_800_000),
            subject: Some("incident:664af".to_owned()),
            outcome: Outcome::Accepted,
            command: false,
            tag: Some("ops".to_owned()),
            query: None,
            source_ip: Some("47.94.95.118".parse().unwrap()),
            peer_ip: Some("10.0.3.7".parse().unwrap()),
            received_at: "2026-05-04T10:00:00.25Z".parse().unwrap(),
            origin: Origin::Push,
            body_bytes: 1400,
            title: None,
            severity: None,
        }
    }

    #[test]
    fn a_stored_event_is_told_from_arrival_to_verdict() {
        insta::assert_snapshot!(story(&row(), "").join("\n"), @r"
        was pushed by 47.94.95.118 through 10.0.3.7, which was trusted to say so, and let in, to route /ops, at 2026-05-04T10:00:00.250Z
        carried i_ack (a change of state), event id 8d6f4a2e, about incident:664af
        was judged accepted and stored at position 42, 0.250 s after the time it gives itself
        ");
    }

    #[test]
    fn a_stale_event_says_why_it_is_stale() {
        let mut stale = row();
        stale.outcome = Outcome::Stale;
        stale.peer_ip = stale.source_ip;
        stale.event_time = Some(1_777_888_800_000 - 3 * 86_400_000);
        let story = story(&stale, " (5m ago)").join("\n");
        assert!(story.contains("by 47.94.95.118 directly"), "{story}");
        assert!(story.contains("10:00:00.250Z (5m ago)\n"), "{story}");
        assert!(story.contains("3 days after the time"), "{story}");
        assert!(
            story.contains("a later event of its subject had been accepted"),
            "{story}"
        );
    }
}
