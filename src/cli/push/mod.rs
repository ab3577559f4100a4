//! `push`: plays the sender, once or as a load.
//!
//! Everything runs on the current thread, so that the generator can be pinned to one core while
//! the receiver is measured on another.

pub mod connection;
pub mod latency;
pub mod load;
pub mod report;
pub mod tally;
pub mod template;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http::{HeaderName, HeaderValue};

use self::load::{Pace, Plan};
use self::report::Report;
use self::template::{Body, Template};
use super::Exit;
use super::interrupt::Interrupt;
use super::printer::Printer;
use super::target::Target;
use super::tls::TlsArgs;
use crate::clock::{Clock as _, SystemClock};
use crate::lifecycle::Lifecycle;

/// The timer rounds up to a millisecond, and so does the wait for the sockets: a sleep may end two
/// milliseconds late, and this is a little more. See [`Pace::spin`].
const SPIN: Duration = Duration::from_micros(2200);

/// What to push, where, how often.
#[derive(Debug, Args)]
pub struct PushArgs {
    #[arg(
        help = "Where to, such as http://127.0.0.1:8080/webhook; without a path, /webhook is meant"
    )]
    url: String,
    /// How many pushes; 1 unless --duration is given
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// Begin no push after this long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Pushes a second, due at fixed times whatever the answers take (open loop); without it each
    /// connection pushes as soon as it has its answer (closed loop)
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Keep-alive connections to spread the pushes over
    #[arg(long, short = 'c', value_name = "N", default_value = "1")]
    connections: NonZeroUsize,
    /// Event types, taken in turn; those that begin with a_ push an alert
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', default_value = "i_new",
        value_parser = event_type, conflicts_with = "file")]
    types: Vec<String>,
    /// Rotate over so many incidents; by default each push is about an incident of its own
    #[arg(long, value_name = "N")]
    incidents: Option<NonZeroU64>,
    /// Push this body, byte for byte, instead of the sample
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With --file: give each push an event id, event time and incident or alert id of its own
    #[arg(long, requires = "file")]
    fresh: bool,
    /// Pad the sample to so many bytes
    #[arg(long, value_name = "BYTES", conflicts_with = "file")]
    body_size: Option<usize>,
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE", value_parser = header,
        help = "A header to send, such as the secret; a value file:PATH is read from that file")]
    headers: Vec<Header>,
    /// How long an answer may take; the sender waits one second
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Shown below `push --help`.
pub const EXAMPLES: &str = "\
Examples:
  One event, to see it arrive:
    flashduty-receiver push http://127.0.0.1:8080/webhook \\
      -H 'X-Flashduty-Token: s3cret'
  The same push twice; the second is answered \"duplicate\":
    flashduty-receiver push http://127.0.0.1:8080/webhook --file body.json -n 2
  A minute of steady load, as real as it gets:
    flashduty-receiver push http://127.0.0.1:8080/webhook --rate 2000 \\
      --duration 60s -c 64 --type i_new,i_ack,i_rslv --incidents 500
  As fast as it goes:
    flashduty-receiver push http://127.0.0.1:8080/webhook --duration 10s \\
      -c 64 --json

With a rate, latency counts from the moment a push was due, so a stall shows in every push it held \
up. A later event of an incident may overtake an earlier one on another connection: the earlier one \
is then answered \"stale\", as it would be for the sender. Exits with 1 when any push got no 200 in \
time.";

/// One header, its value not shown to anyone.
#[derive(Clone)]
struct Header {
    name: HeaderName,
    value: String,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// Pushes and reports; Ctrl-C ends the load early and still reports.
///
/// # Errors
/// When the arguments do not make sense together or a file cannot be read.
pub async fn run(args: PushArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let connections = args.connections.get();
    let rate = args.rate;
    let plan = plan(args)?;
    let lifecycle = Lifecycle::default();
    let load = load::run(plan, &lifecycle);
    tokio::pin!(load);
    let mut interrupt = Interrupt::listen();
    let mut seconds = 0;
    let tally = loop {
        tokio::select! {
            tally = &mut load => break tally?,
            () = interrupt.or_after(Duration::from_secs(1)) => {}
        }
        if interrupt.came() {
            lifecycle.drain();
            break load.await?;
        }
        seconds += 1;
        printer.progress(&format!(
            "pushing for {seconds} s; Ctrl-C ends it and reports"
        ))?;
    };
    let failed = tally.failed();
    let report = Report::new(tally, connections, rate);
    if printer.json() {
        printer.object(&report)?;
    } else {
        printer.line(report.to_string().trim_end())?;
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn plan(args: PushArgs) -> anyhow::Result<Plan<Target>> {
    let target = Target::parse(&args.url, "/webhook", &args.tls.known()?)?;
    let headers = args
        .headers
        .into_iter()
        .map(Header::resolve)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let bodies = match &args.file {
        None => args
            .types
            .iter()
            .map(|event_type| Template::sample(event_type, args.body_size))
            .collect::<anyhow::Result<Vec<_>>>()?,
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
            vec![if args.fresh {
                Body::fresh(bytes).with_context(|| format!("renew {}", path.display()))?
            } else {
                Body::fixed(bytes)
            }]
        }
    };
    let count = match (args.count, args.duration) {
        (None, None) => Some(1),
        (count, _) => count,
    };
    let now = SystemClock.now().as_millisecond();
    Ok(Plan {
        templates: bodies
            .iter()
            .map(|body| Template::new(&target, &headers, body))
            .collect(),
        dial: target,
        incidents: args.incidents,
        pace: Pace {
            count,
            duration: args.duration,
            per_second: args.rate,
            spin: SPIN,
        },
        connections: args.connections.get(),
        timeout: args.timeout,
        epoch_millis: u64::try_from(now).context("the clock stands before 1970")?,
    })
}

impl Header {
    fn resolve(self) -> anyhow::Result<(HeaderName, HeaderValue)> {
        let text = match self.value.strip_prefix("file:") {
            None => self.value,
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
                text.strip_suffix('\n').unwrap_or(&text).to_owned()
            }
        };
        let mut value = HeaderValue::from_str(&text)
            .with_context(|| format!("the value of --header {} holds a line end", self.name))?;
        value.set_sensitive(true);
        Ok((self.name, value))
    }
}

fn header(text: &str) -> anyhow::Result<Header> {
    let Some((name, value)) = text.split_once(':') else {
        bail!("write NAME:VALUE");
    };
    Ok(Header {
        name: name.trim().parse().context("this is no header name")?,
        value: value.trim().to_owned(),
    })
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let rate: f64 = text.parse()?;
    if !(rate.is_finite() && rate > 0.0 && rate <= 1e7) {
        bail!("give a number of pushes a second, above 0");
    }
    Ok(rate)
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let span: jiff::SignedDuration = text
        .parse()
        .context("write a number and a unit, such as 900ms, 10s or 5m")?;
    let duration = Duration::try_from(span).context("give a time above zero")?;
    if duration.is_zero() {
        bail!("give a time above zero");
    }
    Ok(duration)
}

/// Types go into the sample unescaped by anything but JSON; a line end in one is a mistake.
fn event_type(text: &str) -> anyhow::Result<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        bail!("give an event type such as i_new");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::printer::tests::captured;
    use clap::Parser as _;

    fn args(line: &str) -> PushArgs {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Some(crate::cli::Command::Push(args)) = cli.command else {
            panic!("another command")
        };
        *args
    }

    /// Answers one connection's requests with `answer` until it closes.
    async fn answer_all(listener: TcpListener, answer: &str) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while stream.read_buf(&mut seen).await.unwrap() > 0 {
            if seen.ends_with(b"}") {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        seen
    }

    #[tokio::test]
    async fn a_refused_push_is_reported_with_its_reason_and_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook/a", listener.local_addr().unwrap());
        let body = r#"{"status":403,"detail":"127.0.0.1 is not in source.allow"}"#;
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (mut printer, out, _) = captured(false);
        let args = args(&format!(
            "flashduty-receiver push {url} -H X-Secret:hunter2 -n 2"
        ));
        let (exit, seen) = tokio::join!(run(args, &mut printer), answer_all(listener, &answer));
        assert_eq!(exit.unwrap(), Exit::Failed);
        let text = out.text();
        assert!(
            text.contains("2  answered 403: 127.0.0.1 is not in source.allow"),
            "{text}"
        );
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen.matches("POST /webhook/a HTTP/1.1\r\n").count(), 2);
        assert_eq!(seen.matches("x-secret: hunter2\r\n").count(), 2);
    }

    #[test]
    fn a_secret_header_is_not_shown_by_debug() {
        let args = args("flashduty-receiver push http://h/ -H X-Secret:hunter2");
        assert!(!format!("{args:?}").contains("hunter2"));
    }

    #[test]
    fn a_push_is_made_once_unless_told_otherwise() {
        let count = |line: &str| plan(args(line)).unwrap().pace.count;
        assert_eq!(count("flashduty-receiver push http://h/"), Some(1));
        assert_eq!(count("flashduty-receiver push http://h/ -n 7"), Some(7));
        assert_eq!(
            count("flashduty-receiver push http://h/ --duration 5s"),
            None
        );
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for line in [
            "flashduty-receiver push",
            "flashduty-receiver push http://h/ --rate 0",
            "flashduty-receiver push http://h/ --rate NaN",
            "flashduty-receiver push http://h/ --timeout 0s",
            "flashduty-receiver push http://h/ --timeout 5",
            "flashduty-receiver push http://h/ -c 0",
            "flashduty-receiver push http://h/ -H nocolon",
            "flashduty-receiver push http://h/ --fresh",
            "flashduty-receiver push http://h/ --file x --type i_ack",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
