//! From a configured sink to the plan its deliveries are made by.

use std::sync::Arc;
use std::time::Duration;

use super::wiring;
use crate::clock::Clock;
use crate::config::{LogSink as LogSettings, Settings, Sink};
use crate::dispatch::{Ages, Plan, Retry};
use crate::sink::log::{LogSink, LogSinkOptions};
use crate::stdout::Stdout;

/// Lines written together, and deliveries leased at once.
const BATCH: usize = 256;
const SLOTS: usize = 1024;
/// A reader of stdout may take its time; while it does, no other process takes the lines over.
const LEASE: Duration = Duration::from_secs(600);
/// A hand-over to the log that takes longer stands for a reader that has stopped.
const STALLS_AFTER: Duration = Duration::from_secs(1);

/// What sinks are made of, beside their settings.
pub(super) struct Parts {
    pub(super) stdout: Stdout,
    pub(super) clock: Arc<dyn Clock>,
}

/// The plan of one enabled sink.
pub(super) fn plan(settings: &Settings, sink: &Sink, parts: &Parts) -> Plan {
    match sink {
        Sink::Log(log) => log_plan(settings, log, parts),
    }
}

fn log_plan(settings: &Settings, log: &LogSettings, parts: &Parts) -> Plan {
    let options = LogSinkOptions {
        labels: log.labels.clone(),
        format: wiring::format(settings),
    };
    let (stdout, clock) = (parts.stdout.clone(), Arc::clone(&parts.clock));
    Plan {
        sink: Arc::new(LogSink::new(options, stdout, clock)),
        batch: BATCH,
        concurrency: 1,
        slots: SLOTS,
        lease: LEASE,
        timeout: None,
        stalls_after: Some(STALLS_AFTER),
        rates: Arc::default(),
        remembers: false,
        ages: Ages {
            command: settings.admission.command_max_age,
            event: log.max_age,
        },
        retry: Retry::default(),
        once: false,
    }
}
