//! Every metric of the service, typed. No label ever comes from a payload or a peer.

mod optional;
mod outcome;
mod pause;
pub mod series;
mod sinks;
mod spans;
mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub use self::optional::OptionalGauge;
pub use self::outcome::{DeliveryOutcome, PushOutcome, RecoveredOutcome, StoreFailure};
pub use self::pause::{Pause, PauseReason};
use self::series::{Series, SinkSeries};
use self::sinks::SinkFamilies;
pub use self::sinks::SinkMetrics;
pub use self::spans::SpanMetrics;
pub use self::tls::{HandshakeOutcome, ListenerTls, TlsMetrics};
use crate::event::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    outcome: PushOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecoveredLabels {
    outcome: RecoveredOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreFailureLabels {
    outcome: StoreFailure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WordLabels {
    outcome: &'static str,
}

/// Seconds; dense around the sender's budget of one second.
const ACK_BUCKETS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 2.0,
];
/// After that the sender does not listen any more.
const BUDGET: Duration = Duration::from_secs(1);
const LAG_BUCKETS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0,
];
const COMMIT_BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.7, 2.0,
];
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

type FloatGauge = Gauge<f64, AtomicU64>;

/// The service's metrics and the registry that prints them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pushes: [Counter; PushOutcome::ALL.len()],
    events: Family<WordLabels, Counter>,
    reloads: Family<WordLabels, Counter>,
    recovered: Family<RecoveredLabels, Counter>,
    store_failures: Family<StoreFailureLabels, Counter>,
    sinks: SinkFamilies,
    /// `flashduty_ack_budget_total`: kept and missed.
    budget: [Counter; 2],
    /// `flashduty_ack_seconds`: first byte of the head to the answer, webhook requests only.
    ack_seconds: Histogram,
    /// `flashduty_event_lag_seconds`: received minus event time.
    event_lag: Histogram,
    /// The last hour of pushes by the minute, which is not printed.
    pub series: Series,
    /// `flashduty_last_push_timestamp_seconds`.
    pub last_push: FloatGauge,
    /// `flashduty_ready`: 1 while a push can be made durable.
    pub ready: Gauge,
    /// `flashduty_inbox_commit_seconds`.
    pub commit_seconds: Histogram,
    /// `flashduty_inbox_batch_events`.
    pub batch_events: Histogram,
    /// `flashduty_inbox_events`: events stored now.
    pub inbox_events: Gauge,
    /// `flashduty_spilled_events`: in the local spill, waiting for the database.
    pub spilled_events: Gauge,
    /// `flashduty_store_bytes`.
    pub store_bytes: Gauge,
    /// `flashduty_store_free_bytes`: free on the file system plus free pages of the file; absent where
    /// nothing bounds the store.
    pub store_free_bytes: OptionalGauge,
    /// `flashduty_store_wanted_free_bytes`: below it history goes early; absent with the one above.
    pub store_wanted_free_bytes: OptionalGauge,
    /// `flashduty_recovery_failing`: 1 from a look into the sender's history that failed until one
    /// that did not.
    pub recovery_failing: Gauge,
    /// `flashduty_unreadable_total`.
    pub unreadable: Counter,
    /// `flashduty_unlisted_source_total`: right secret, address not listed.
    pub unlisted_source: Counter,
    /// `flashduty_log_lines_dropped_total`: operational lines lost to a full queue.
    pub log_lines_dropped: Counter,
    /// `flashduty_connections`: open public connections.
    pub connections: Gauge,
    /// `flashduty_connections_evicted_total`: closed without a complete head to make room.
    pub connections_evicted: Counter,
    /// Of listeners that speak TLS.
    pub tls: TlsMetrics,
    /// `flashduty_otlp_spans_total`: spans for a collector of traces.
    pub spans: SpanMetrics,
}

impl Metrics {
    /// Registers everything, with every known label value at zero.
    pub fn new() -> Arc<Self> {
        let (began, mut registry) = (Instant::now(), Registry::with_prefix("flashduty"));
        let mut add = Registrar(&mut registry);
        Self {
            pushes: add.pushes(),
            events: add.events(),
            reloads: add.reloads(),
            recovered: add.recovered(),
            store_failures: add.store_failures(),
            sinks: SinkFamilies::new(&mut add, began),
            budget: add.budget(),
            ack_seconds: add.histogram(
                "ack_seconds",
                "First byte to answer of a push",
                ACK_BUCKETS,
            ),
            event_lag: add.histogram(
                "event_lag_seconds",
                "Received minus event time",
                LAG_BUCKETS,
            ),
            series: Series::new(began),
            last_push: add.metric(
                "last_push_timestamp_seconds",
                "When the last trusted push came",
            ),
            ready: add.metric("ready", "1 while a push can be made durable"),
            commit_seconds: add.histogram(
                "inbox_commit_seconds",
                "One transaction of the inbox",
                COMMIT_BUCKETS,
            ),
            batch_events: add.histogram(
                "inbox_batch_events",
                "Events offered in one transaction",
                BATCH_BUCKETS,
            ),
            inbox_events: add.metric("inbox_events", "Events stored"),
            spilled_events: add.metric(
                "spilled_events",
                "Events in the local spill, waiting for the database",
            ),
            store_bytes: add.metric("store_bytes", "Size of the store"),
            store_free_bytes: add.metric("store_free_bytes", "Room left for the store, if bounded"),
            store_wanted_free_bytes: add
                .metric("store_wanted_free_bytes", "History goes early below it"),
            recovery_failing: add.metric("recovery_failing", "1 while looks into the history fail"),
            unreadable: add.metric(
                "unreadable",
                "Pushes kept because they could not be understood",
            ),
            unlisted_source: add.metric(
                "unlisted_source",
                "Pushes with the right secret from an unlisted address",
            ),
            log_lines_dropped: add.metric(
                "log_lines_dropped",
                "Operational log lines lost to a full queue",
            ),
            connections: add.metric("connections", "Open public connections"),
            connections_evicted: add.metric(
                "connections_evicted",
                "Connections without a complete head closed to make room",
            ),
            tls: TlsMetrics::new(&mut add),
            spans: SpanMetrics::new(&mut add),
            registry,
        }
        .into()
    }

    /// Counts one webhook request that was answered `took` after its first byte.
    pub fn push(&self, outcome: PushOutcome, took: Duration) {
        if let Some(missed) = missed(outcome, took) {
            self.budget[usize::from(missed)].inc();
        }
        self.head(outcome, took);
    }

    /// The same of a head that became no request: whose it is nobody knows, so it costs no budget.
    pub fn head(&self, outcome: PushOutcome, took: Duration) {
        self.pushes[outcome as usize].inc();
        self.ack_seconds.observe(took.as_secs_f64());
        self.series.answered(outcome, took, Instant::now());
    }

    /// Counts an event that came `lag` after its own time.
    pub fn lagged(&self, lag: Duration) {
        self.event_lag.observe(lag.as_secs_f64());
        self.series.lagged(lag, Instant::now());
    }

    /// How many webhook requests were answered with `outcome`.
    pub fn pushed(&self, outcome: PushOutcome) -> u64 {
        self.pushes[outcome as usize].get()
    }

    /// Counts committed events.
    pub fn events(&self, outcome: Outcome, count: u64) {
        let labels = WordLabels {
            outcome: outcome.as_str(),
        };
        self.events.get_or_create(&labels).inc_by(count);
    }

    /// Counts a reload; `applied` or refused.
    pub fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.reloads.get_or_create(&WordLabels { outcome }).inc();
    }

    /// Counts pushes that the sender's history gave.
    pub fn recovered(&self, outcome: RecoveredOutcome, count: u64) {
        let labels = RecoveredLabels { outcome };
        self.recovered.get_or_create(&labels).inc_by(count);
    }

    /// Counts a transaction, or a look whether one is possible, that the store did not take.
    pub fn store_failed(&self, outcome: StoreFailure) {
        let labels = StoreFailureLabels { outcome };
        self.store_failures.get_or_create(&labels).inc();
    }

    /// The metrics of the sink called `name`, created at zero.
    pub fn sink(&self, name: &Arc<str>) -> SinkMetrics {
        self.sinks.of(name)
    }

    /// Why the sink called `name` takes nothing, as far as its deliveries have shown.
    pub fn pause_of(&self, name: &str) -> Option<Pause> {
        self.sinks.pause_of(name)
    }

    /// The last hour of what sinks took, by the minutes of [`Metrics::series`].
    pub fn sink_series(&self) -> &SinkSeries {
        self.sinks.series()
    }

    /// The registry, for encoding.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Whether the sender went without the answer it needs in time; `None` for whoever may not push, who
/// could use up the budget otherwise.
fn missed(outcome: PushOutcome, took: Duration) -> Option<bool> {
    match outcome {
        PushOutcome::denied | PushOutcome::unauthorized => None,
        PushOutcome::overloaded | PushOutcome::late => Some(true),
        _ => Some(took > BUDGET),
    }
}

/// Gives each metric its name and its help as it is made.
struct Registrar<'r>(&'r mut Registry);

impl Registrar<'_> {
    fn pushes(&mut self) -> [Counter; PushOutcome::ALL.len()] {
        let family: Family<PushLabels, Counter> =
            self.metric("pushes", "Requests to the webhook path, by answer");
        PushOutcome::ALL.map(|outcome| family.get_or_create(&PushLabels { outcome }).clone())
    }

    fn events(&mut self) -> Family<WordLabels, Counter> {
        let outcomes = [Outcome::Accepted, Outcome::Duplicate, Outcome::Stale];
        self.words(
            "events",
            "Events committed, by outcome",
            outcomes.map(Outcome::as_str),
        )
    }

    fn reloads(&mut self) -> Family<WordLabels, Counter> {
        self.words(
            "config_reloads",
            "Configuration reloads",
            ["applied", "refused"],
        )
    }

    fn budget(&mut self) -> [Counter; 2] {
        let family: Family<WordLabels, Counter> = self.metric(
            "ack_budget",
            "Pushes of those who may push, by whether they were taken within the sender's second",
        );
        ["kept", "missed"].map(|outcome| family.get_or_create(&WordLabels { outcome }).clone())
    }

    fn recovered(&mut self) -> Family<RecoveredLabels, Counter> {
        let family: Family<RecoveredLabels, Counter> =
            self.metric("recovered", "Pushes found in the sender's history");
        for outcome in RecoveredOutcome::ALL {
            let _created = family.get_or_create(&RecoveredLabels { outcome });
        }
        family
    }

    fn store_failures(&mut self) -> Family<StoreFailureLabels, Counter> {
        let family: Family<StoreFailureLabels, Counter> =
            self.metric("store_failures", "What the store did not take, by reason");
        for outcome in StoreFailure::ALL {
            let _created = family.get_or_create(&StoreFailureLabels { outcome });
        }
        family
    }

    /// Counters by word, each word at zero.
    fn words<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        words: [&'static str; N],
    ) -> Family<WordLabels, Counter> {
        let family: Family<WordLabels, Counter> = self.metric(name, help);
        for outcome in words {
            let _created = family.get_or_create(&WordLabels { outcome });
        }
        family
    }

    fn histogram<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        buckets: [f64; N],
    ) -> Histogram {
        self.register(name, help, Histogram::new(buckets))
    }

    fn metric<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.register(name, help, M::default())
    }

    fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_missed_by_what_is_not_taken_in_time_and_untouched_by_strangers() {
        let (soon, second) = (Duration::from_millis(3), Duration::from_secs(1));
        let long = second + Duration::from_millis(1);
        for (outcome, took, expected) in [
            (PushOutcome::accepted, soon, Some(false)),
            (PushOutcome::duplicate, second, Some(false)),
            (PushOutcome::accepted, long, Some(true)),
            (PushOutcome::aborted, soon, Some(false)),
            (PushOutcome::timeout, long, Some(true)),
            (PushOutcome::late, soon, Some(true)),
            (PushOutcome::overloaded, soon, Some(true)),
            (PushOutcome::denied, long, None),
            (PushOutcome::unauthorized, long, None),
        ] {
            assert_eq!(missed(outcome, took), expected, "{outcome} after {took:?}");
        }
    }
}
