//! The service's own log: operational lines, one JSON object each, in the shape event lines have.
//!
//! A line that nobody reads in time is dropped and counted; writing one never blocks.

mod fields;

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use self::fields::Fields;
use crate::clock::Clock;
use crate::sink::log::Format;
use crate::stdout::Stdout;

/// The longest line, in bytes: container runtimes split longer ones.
const MAX_LINE: usize = 15 << 10;

/// What the targets begin with of the pool of connections to a database.
const POOL: &str = "deadpool";

/// What the targets begin with of the client of NATS. Its finer lines show URLs of servers with the logins
/// in them, so nobody gets them, whatever the filter says.
const NATS: &str = "async_nats";

/// What a reload may change.
#[derive(Debug)]
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    format: Arc<ArcSwap<Format>>,
}

/// Why logging cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "log.level {level:?} is no level and no filter ({what}); allowed: error, warn, info, debug, trace, or a filter such as \"info,flashduty_receiver=debug\""
    )]
    Filter {
        /// What was given.
        level: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another subscriber is there already.
    #[error("a log subscriber is already set")]
    Taken,
}

impl Telemetry {
    /// Sends this process's tracing events to `stdout` from now on.
    pub fn install(
        level: &str,
        format: Format,
        stdout: Stdout,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(filter(level)?);
        let format = Arc::new(ArcSwap::from_pointee(format));
        let lines = Lines {
            stdout,
            clock,
            format: Arc::clone(&format),
        };
        let subscriber = Registry::default().with(filter).with(lines);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Taken)?;
        Ok(Self {
            filter: handle,
            format,
        })
    }

    /// Changes level and format.
    pub fn change(&self, level: &str, format: Format) -> Result<(), TelemetryError> {
        let filter = filter(level)?;
        self.filter
            .reload(filter)
            .map_err(|_| TelemetryError::Taken)?;
        self.format.store(Arc::new(format));
        Ok(())
    }
}

/// Parses a level or a filter.
///
/// The pool warns of each connection that is lost. What that comes to is said by lines of our own, so
/// the pool is heard only where the filter names it.
pub fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|error| TelemetryError::Filter {
            level: level.to_owned(),
            what: error.to_string(),
        })?;
    if level.contains(POOL) {
        return Ok(filter);
    }
    let silence = format!("{POOL}=off").parse().expect("a target and a level");
    Ok(filter.add_directive(silence))
}

struct Lines {
    stdout: Stdout,
    clock: Arc<dyn Clock>,
    format: Arc<ArcSwap<Format>>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        if meta.target().starts_with(NATS) && *meta.level() > Level::INFO {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let timestamp = format!("{:.6}", self.clock.now());
        let mut line = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _infallible = match **self.format.load() {
            Format::Json => {
                let head = write!(
                    line,
                    "{{\"timestamp\":\"{timestamp}\",\"level\":\"{}\",\"target\":\"{}\",\"message\":",
                    meta.level(),
                    meta.target()
                );
                fields.write_json(&mut line, MAX_LINE);
                head
            }
            Format::Pretty => {
                let head = write!(line, "{timestamp} {:>5} {} ", meta.level(), meta.target());
                fields.write_pretty(&mut line);
                head
            }
        };
        line.push('\n');
        self.stdout.line(line.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::metrics::Metrics;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            "2026-04-12T12:00:00Z".parse().unwrap()
        }
    }

    async fn lines_of(format: Format, log: impl FnOnce()) -> String {
        logged(format, "info", log).await
    }

    async fn logged(format: Format, level: &str, log: impl FnOnce()) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let stdout = Stdout::start_on(file.try_clone().unwrap(), Metrics::new()).unwrap();
        let lines = Lines {
            stdout: stdout.clone(),
            clock: Arc::new(Noon),
            format: Arc::new(ArcSwap::from_pointee(format)),
        };
        let subscriber = Registry::default().with(filter(level).unwrap()).with(lines);
        tracing::subscriber::with_default(subscriber, log);
        stdout.flush(Duration::from_secs(5)).await;
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn a_line_is_one_json_object_without_absent_fields() {
        let text = lines_of(Format::Json, || {
            tracing::info!(target: "flashduty::push", outcome = "stale", tag = None::<&str>, seq = 7, ok = true, "push {}", "stale");
        })
        .await;
        insta::assert_snapshot!(text.trim_end(), @r#"{"timestamp":"2026-04-12T12:00:00.000000Z","level":"INFO","target":"flashduty::push","message":"push stale","outcome":"stale","seq":7,"ok":true}"#);
    }

    #[tokio::test]
    async fn hostile_text_cannot_break_out_of_its_line() {
        let text = lines_of(Format::Json, || {
            tracing::warn!(
                hint = "a\n{\"level\":\"ERROR\"}\u{1b}[31m\u{85}\u{2028}",
                "x\"y"
            );
        })
        .await;
        assert_eq!(text.lines().count(), 1);
        assert!(
            text.bytes()
                .all(|byte| byte == b'\n' || (0x20..0x7F).contains(&byte)),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "x\"y");
    }

    #[tokio::test]
    async fn a_line_is_never_longer_than_runtimes_take() {
        let long = "é".repeat(40_000);
        let text = lines_of(Format::Json, || tracing::warn!(long, "too much of it")).await;
        assert!(text.len() <= MAX_LINE, "{}", text.len());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["truncated"], serde_json::json!(["long"]));
    }

    #[tokio::test]
    async fn a_person_gets_the_same_facts_without_the_braces() {
        let text = lines_of(Format::Pretty, || tracing::warn!(seq = 3, "hello")).await;
        insta::assert_snapshot!(text.trim_end(), @"2026-04-12T12:00:00.000000Z  WARN flashduty_receiver::telemetry::tests hello seq=3");
    }

    #[tokio::test]
    async fn the_pool_of_connections_is_heard_only_by_who_names_it() {
        let pool = logged(Format::Json, "debug,flashduty_receiver=trace", || {
            tracing::warn!(target: "deadpool.postgres", "Connection error: closed");
        });
        assert_eq!(pool.await, "");
        let named = logged(Format::Json, "info,deadpool.postgres=warn", || {
            tracing::warn!(target: "deadpool.postgres", "Connection error: closed");
        });
        assert!(named.await.contains("Connection error: closed"));
        let off = logged(Format::Json, "off", || tracing::error!("anything"));
        assert_eq!(off.await, "", "silencing one target opens no other");
    }

    #[tokio::test]
    async fn no_line_shows_the_login_to_a_broker_whatever_the_filter_says() {
        for level in ["debug", "async_nats=trace"] {
            let text = logged(Format::Json, level, || {
                let server = "nats://me:s3cret@h:4222";
                tracing::debug!(target: "async_nats::connector", server, "attempting connection");
                tracing::info!(target: "async_nats::connector", "connected successfully");
            });
            let text = text.await;
            assert!(text.contains("connected successfully"), "{text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_wrong_filter_says_what_is_allowed() {
        let error = filter("info,=,=").unwrap_err().to_string();
        assert!(error.contains("allowed: error, warn"), "{error}");
    }
}
