//! Arguments that choose rows, read strictly: a misspelt filter must not match everything.

use std::convert::Infallible;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::clock::{Clock as _, SystemClock};
use crate::event::{Outcome, Route, Subject};
use crate::inbox::Rate;
use crate::inbox::query::DeliveryState;
use crate::inbox::search::{Needle, TEXT};
use crate::source::networks::parse_allow;

/// How an event was judged; duplicates are not stored.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[expect(
    missing_docs,
    reason = "the outcomes of `event::Outcome` that are stored"
)]
pub enum StoredOutcome {
    Accepted,
    Stale,
}

impl From<StoredOutcome> for Outcome {
    fn from(outcome: StoredOutcome) -> Self {
        match outcome {
            StoredOutcome::Accepted => Self::Accepted,
            StoredOutcome::Stale => Self::Stale,
        }
    }
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[expect(missing_docs, reason = "the states of `DeliveryState`")]
pub enum State {
    Pending,
    Leased,
    Delivered,
    Dead,
    Superseded,
    Expired,
    Dropped,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Leased => Self::Leased,
            State::Delivered => Self::Delivered,
            State::Dead => Self::Dead,
            State::Superseded => Self::Superseded,
            State::Expired => Self::Expired,
            State::Dropped => Self::Dropped,
        }
    }
}

/// Which deliveries; all that is given must match.
#[derive(Debug, Args)]
pub struct Selector {
    /// To this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// In this state
    #[arg(long)]
    pub state: Option<State>,
    /// Of events about this incident or alert: incident:ID or alert:ID
    #[arg(long, value_parser = subject)]
    pub subject: Option<Subject>,
    /// Of events received since then: a time, or how long ago (90m, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Of events received before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Of the event with this id
    #[arg(long, value_name = "ID")]
    pub event_id: Option<String>,
    /// Of events of this type
    #[arg(
        long = "type",
        value_name = "TYPE",
        help = "Of events of this type, such as i_ack"
    )]
    pub event_type: Option<String>,
}

/// Reads `incident:<id>` or `alert:<id>`.
pub fn subject(text: &str) -> anyhow::Result<Subject> {
    Subject::parse(text).context("write incident:ID or alert:ID")
}

/// Reads the end of a route's URL, as it is shown: `TAG`, `?QUERY`, `TAG?QUERY`, with or without the
/// slash; empty for the bare path.
///
/// # Errors
/// Never: every text is the end of some URL.
pub fn route(text: &str) -> Result<Route, Infallible> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let (tag, query) = text.split_once('?').unwrap_or((text, ""));
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    Ok(Route {
        tag: some(tag),
        query: some(query),
    })
}

/// Reads an address, or a block of them.
pub fn source(text: &str) -> anyhow::Result<IpNet> {
    let blocks = parse_allow(&[text.to_owned()])?;
    blocks.into_iter().next().context("write an address")
}

/// Reads a text to look for.
pub fn text(text: &str) -> anyhow::Result<Needle> {
    Needle::new(text).with_context(|| format!("write {TEXT}"))
}

/// Reads an RFC 3339 time, or how long ago: `90m`, `7d`.
pub fn moment(text: &str) -> anyhow::Result<Timestamp> {
    moment_before(text, SystemClock.now())
}

fn moment_before(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    const FORM: &str = "write a time such as 2026-05-04T10:00:00Z, or how long ago, such as 90m";
    let span: Span = text.parse().context(FORM)?;
    let ago = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .context(FORM)?;
    if ago.is_negative() {
        bail!(FORM);
    }
    Ok(now.checked_sub(ago)?)
}

/// Reads how many in what time: `20/1s`.
pub fn rate(text: &str) -> anyhow::Result<Rate> {
    const FORM: &str = "write how many in what time, such as 20/1s or 100/1m";
    let (count, window) = text.split_once('/').context(FORM)?;
    let count: u32 = count.parse().context(FORM)?;
    let span: Span = window.parse().context(FORM)?;
    let window = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .context(FORM)?;
    let window = std::time::Duration::try_from(window).context(FORM)?;
    if count == 0 || window.is_zero() {
        bail!(FORM);
    }
    Ok(Rate { count, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_as_long_ago_as_it_says() {
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("2026-05-01T08:00:00+08:00", "2026-05-01T00:00:00Z"),
            ("90m", "2026-05-04T08:30:00Z"),
            ("7d", "2026-04-27T10:00:00Z"),
        ] {
            assert_eq!(moment_before(text, now).unwrap().to_string(), wanted);
        }
        for text in ["", "yesterday", "5", "-5m", "1mo"] {
            assert!(moment_before(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let twenty = rate("20/1s").unwrap();
        assert_eq!((twenty.count, twenty.window.as_secs()), (20, 1));
        for text in ["", "20", "0/1s", "20/0s", "20/-1s", "x/1s", "20/second"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_route_is_read_as_it_is_shown() {
        for (text, tag, query) in [
            ("", None, None),
            ("/", None, None),
            ("ops", Some("ops"), None),
            ("/ops?team=a", Some("ops"), Some("team=a")),
            ("?team=a?", None, Some("team=a?")),
        ] {
            let route = route(text).unwrap();
            assert_eq!((route.tag.as_deref(), route.query.as_deref()), (tag, query));
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_whole_block() {
        assert_eq!(
            source("47.94.95.118").unwrap().to_string(),
            "47.94.95.118/32"
        );
        assert_eq!(
            source("2001:db8::/32").unwrap().to_string(),
            "2001:db8::/32"
        );
        for text in ["", "47.94", "47.94.95.118/24", "private_ranges"] {
            assert!(source(text).is_err(), "{text}");
        }
        assert!(super::text("").is_err());
    }

    #[test]
    fn a_subject_needs_its_kind() {
        assert!(subject("incident:664af").is_ok());
        assert!(subject("664af").is_err());
    }
}
