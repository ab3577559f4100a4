//! From a configured sink to the plan its deliveries are made by.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use secrecy::ExposeSecret as _;

use super::{brokers, wiring};
use crate::clock::Clock;
use crate::config::{
    Delivery, Destination, ExecSink as ExecSettings, Fault, Identity, Loaded, Settings,
    Sink as SinkSettings,
};
use crate::dispatch::{Ages, Plan};
use crate::flashduty::Api;
use crate::sink::Sink;
use crate::sink::exec::comment::{self, Commenter};
use crate::sink::exec::{ExecOptions, ExecSink};
use crate::sink::file::{FileOptions, FileSink};
use crate::sink::http::{Body, HttpOptions, HttpSink};
use crate::sink::log::{LogSink, LogSinkOptions};
use crate::stdout::Stdout;
use crate::trace::Tracer;

/// What is written together, and leased at once.
const BATCH: usize = 256;
const SLOTS: usize = 1024;
/// A reader of stdout, or a disk, may take its time; while it does, no other process takes the
/// lines over.
const LEASE: Duration = Duration::from_secs(600);
/// A hand-over that takes longer stands for a destination that has stopped.
const STALLS_AFTER: Duration = Duration::from_secs(1);
/// What a lease lasts beyond the attempt: to settle it, and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(30);

/// What a sink may take beyond its timeout to say so.
const GRACE: Duration = Duration::from_secs(1);

/// The word by which conditions and templates ask for what earlier answers said.
const REMEMBERED: &str = "remembered";

/// What sinks are made of, beside their settings.
pub(super) struct Parts {
    pub(super) stdout: Stdout,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tracer: Tracer,
}

/// All that a sink's plan is made from: plans of the same identity are the same.
pub(super) fn identity(settings: &Settings, sink: &SinkSettings) -> Identity {
    let shared = format!(
        "{:?} {:?}",
        settings.log.format, settings.admission.command_max_age
    );
    let identity = sink.identity.with(shared.as_bytes());
    match &sink.to {
        Destination::Exec(exec) if exec.comment => {
            let flashduty = &settings.flashduty;
            let key = flashduty.app_key.as_ref().map(|key| key.expose_secret());
            let identity = identity.with(flashduty.base_url.as_bytes());
            identity.with(key.unwrap_or_default().as_bytes())
        }
        _ => identity,
    }
}

/// The plan of one enabled sink.
///
/// # Errors
/// A [`crate::config::ConfigError`] with file, line and key when its settings make no sink.
pub(super) fn plan(
    loaded: &Loaded,
    name: &str,
    sink: &SinkSettings,
    parts: &Parts,
) -> anyhow::Result<Plan> {
    let settings = &loaded.settings;
    let delivery = &sink.delivery;
    let mut longest = None;
    let made = match &sink.to {
        Destination::Log(log) => {
            let options = LogSinkOptions {
                labels: log.labels.clone(),
                format: wiring::format(settings),
            };
            let (stdout, clock) = (parts.stdout.clone(), Arc::clone(&parts.clock));
            Ok((Arc::new(LogSink::new(options, stdout, clock)) as _, false))
        }
        Destination::Http(http) => {
            let options = http.options(delivery);
            let options = options.map_err(|faults| blame(loaded, name, &faults))?;
            let remembers = remembers(&options);
            http_sink(options, parts).map(|sink| (sink, remembers))
        }
        Destination::Exec(exec) => {
            let options = exec.options(delivery);
            let options = options.map_err(|faults| blame(loaded, name, &faults))?;
            longest = Some(options.longest_attempt());
            exec_sink(options, settings, exec, parts).map(|sink| (sink, false))
        }
        Destination::File(file) => {
            let options = file.options();
            let options = options.map_err(|faults| blame(loaded, name, &faults))?;
            Ok((file_sink(options, parts), false))
        }
        Destination::Nats(nats) => brokers::nats(nats, delivery).map(|sink| (sink, false)),
        Destination::Redis(redis) => brokers::redis(redis, delivery).map(|sink| (sink, false)),
        Destination::Kafka(kafka) => brokers::kafka(kafka, delivery).map(|sink| (sink, false)),
    };
    let (made, remembers) = made.map_err(|error: anyhow::Error| {
        loaded.problem(
            &format!("sink.{name}"),
            format!("cannot be made: {error:#}"),
        )
    })?;
    let pace = Pace::of(sink);
    Ok(Plan {
        sink: made,
        batch: pace.batch,
        concurrency: pace.concurrency,
        slots: pace.slots,
        lease: pace.lease,
        timeout: longest.or(pace.timeout),
        stalls_after: pace.stalls_after,
        rates: Arc::clone(&delivery.rate),
        remembers,
        ages: Ages {
            command: settings.admission.command_max_age,
            event: delivery.max_age,
        },
        retry: delivery.retry.into(),
        once: delivery.once(),
    })
}

/// The error for the first of `faults`; all of them were told when the configuration was loaded.
pub(super) fn blame(loaded: &Loaded, name: &str, faults: &[Fault]) -> anyhow::Error {
    match faults.first() {
        Some(fault) => loaded
            .problem(&format!("sink.{name}.{}", fault.key), fault.what.clone())
            .into(),
        None => anyhow!("sink.{name} cannot be made"),
    }
}

/// Whether what answers said is of any use.
fn remembers(options: &HttpOptions) -> bool {
    let body = match &options.body {
        Body::Template(template) => template.references(REMEMBERED),
        Body::Push | Body::CloudEventsBinary | Body::CloudEventsStructured => false,
    };
    let skip = options.skip_when.as_ref();
    body || options.method.references(REMEMBERED)
        || options.url.references(REMEMBERED)
        || skip.is_some_and(|skip| skip.references(REMEMBERED))
}

/// How much a sink takes at a time, and how long that may last.
#[derive(Debug, PartialEq, Eq)]
struct Pace {
    batch: usize,
    concurrency: usize,
    slots: usize,
    lease: Duration,
    timeout: Option<Duration>,
    stalls_after: Option<Duration>,
}

impl Pace {
    fn of(sink: &SinkSettings) -> Self {
        let Delivery {
            concurrency,
            timeout,
            ..
        } = sink.delivery;
        let (concurrency, attempt) = (concurrency.unwrap_or(1), timeout.unwrap_or_default());
        // The sink keeps the time itself and can say how far it got; this one is for a sink that
        // does not come back at all.
        let timeout = timeout.map(|attempt| attempt + GRACE);
        let one_each = Self {
            batch: 1,
            concurrency,
            slots: concurrency,
            lease: attempt + MARGIN,
            timeout,
            stalls_after: None,
        };
        let in_batches = Self {
            batch: BATCH,
            concurrency: 1,
            slots: SLOTS,
            lease: LEASE,
            timeout: None,
            stalls_after: Some(STALLS_AFTER),
        };
        match &sink.to {
            Destination::Http(_) => one_each,
            // The sink ends the command itself, which takes longer than forgetting it.
            Destination::Exec(exec) => Self {
                lease: attempt + exec.kill_after + MARGIN,
                timeout: None,
                ..one_each
            },
            Destination::Log(_) | Destination::File(_) => in_batches,
            // Leases wait while the batches before theirs are under way.
            Destination::Nats(_) | Destination::Redis(_) | Destination::Kafka(_) => Self {
                slots: BATCH,
                lease: attempt + MARGIN,
                timeout,
                ..in_batches
            },
        }
    }
}

fn http_sink(options: HttpOptions, parts: &Parts) -> anyhow::Result<Arc<dyn Sink>> {
    let sink = HttpSink::new(options, Arc::clone(&parts.clock))?;
    Ok(Arc::new(sink))
}

fn exec_sink(
    options: ExecOptions,
    settings: &Settings,
    exec: &ExecSettings,
    parts: &Parts,
) -> anyhow::Result<Arc<dyn Sink>> {
    let flashduty = &settings.flashduty;
    let commenter = match &flashduty.app_key {
        Some(key) if exec.comment => {
            let api = Api::new(&flashduty.base_url, key.clone(), comment::PATIENCE)?;
            Some(Arc::new(api) as Arc<dyn Commenter>)
        }
        _ => None,
    };
    let sink = ExecSink::new(options, Arc::clone(&parts.clock)).with_commenter(commenter);
    Ok(Arc::new(sink))
}

fn file_sink(options: FileOptions, parts: &Parts) -> Arc<dyn Sink> {
    Arc::new(FileSink::new(options, Arc::clone(&parts.clock)))
}
