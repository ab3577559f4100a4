//! Every metric of the service, typed. No label ever comes from a payload or a peer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::event::Outcome;

/// What became of one request to the webhook path, by the answer given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the words of the log's `outcome` field")]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum PushOutcome {
    accepted,
    duplicate,
    stale,
    denied,
    unauthorized,
    invalid,
    too_large,
    timeout,
    aborted,
    overloaded,
    late,
}

impl PushOutcome {
    /// Every outcome, so that each is exported from the start.
    pub const ALL: [Self; 11] = [
        Self::accepted,
        Self::duplicate,
        Self::stale,
        Self::denied,
        Self::unauthorized,
        Self::invalid,
        Self::too_large,
        Self::timeout,
        Self::aborted,
        Self::overloaded,
        Self::late,
    ];

    /// The word used in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::accepted => "accepted",
            Self::duplicate => "duplicate",
            Self::stale => "stale",
            Self::denied => "denied",
            Self::unauthorized => "unauthorized",
            Self::invalid => "invalid",
            Self::too_large => "too_large",
            Self::timeout => "timeout",
            Self::aborted => "aborted",
            Self::overloaded => "overloaded",
            Self::late => "late",
        }
    }
}

impl From<Outcome> for PushOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::accepted,
            Outcome::Duplicate => Self::duplicate,
            Outcome::Stale => Self::stale,
        }
    }
}

impl fmt::Display for PushOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a delivery went on or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the delivery states of the documentation")]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum DeliveryOutcome {
    delivered,
    retried,
    dead,
    superseded,
    expired,
    dropped,
    replayed,
}

impl DeliveryOutcome {
    const ALL: [Self; 7] = [
        Self::delivered,
        Self::retried,
        Self::dead,
        Self::superseded,
        Self::expired,
        Self::dropped,
        Self::replayed,
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    outcome: PushOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WordLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    sink: Arc<str>,
    outcome: DeliveryOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: Arc<str>,
}

/// Seconds; dense around the sender's budget of one second.
const ACK_BUCKETS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 2.0,
];
const LAG_BUCKETS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0,
];
const COMMIT_BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.7, 2.0,
];
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

type FloatGauge = Gauge<f64, AtomicU64>;

/// The metrics of one sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    name: Arc<str>,
    deliveries: Family<DeliveryLabels, Counter>,
    /// `flashduty_delivery_seconds`: one attempt, from its start to its end.
    pub seconds: Histogram,
    /// `flashduty_sink_pending_deliveries`.
    pub pending: Gauge,
    /// `flashduty_sink_oldest_pending_seconds`.
    pub oldest_pending: FloatGauge,
    /// `flashduty_sink_paused`: 1 while the sink takes nothing.
    pub paused: Gauge,
}

impl SinkMetrics {
    /// Counts `count` deliveries that ended, or went on, as `outcome`.
    pub fn count(&self, outcome: DeliveryOutcome, count: u64) {
        let labels = DeliveryLabels {
            sink: Arc::clone(&self.name),
            outcome,
        };
        self.deliveries.get_or_create(&labels).inc_by(count);
    }
}

/// The service's metrics and the registry that prints them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pushes: [Counter; PushOutcome::ALL.len()],
    events: Family<WordLabels, Counter>,
    reloads: Family<WordLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    delivery_seconds: Family<SinkLabels, Histogram>,
    sink_pending: Family<SinkLabels, Gauge>,
    sink_oldest: Family<SinkLabels, FloatGauge>,
    sink_paused: Family<SinkLabels, Gauge>,
    /// `flashduty_ack_seconds`: first byte of the head to the answer, webhook requests only.
    pub ack_seconds: Histogram,
    /// `flashduty_event_lag_seconds`: received minus event time.
    pub event_lag: Histogram,
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
    /// `flashduty_store_bytes`.
    pub store_bytes: Gauge,
    /// `flashduty_store_free_bytes`: free on the file system plus free pages of the file.
    pub store_free_bytes: Gauge,
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
}

impl Metrics {
    /// Registers everything, with every known label value at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("flashduty");
        let r = &mut registry;
        let pushes = Family::<PushLabels, Counter>::default();
        let push_counters =
            PushOutcome::ALL.map(|outcome| pushes.get_or_create(&PushLabels { outcome }).clone());
        r.register("pushes", "Requests to the webhook path, by answer", pushes);
        let events = add(
            r,
            "events",
            "Events committed, by outcome",
            Family::default(),
        );
        let reloads = add(
            r,
            "config_reloads",
            "Configuration reloads",
            Family::default(),
        );
        for outcome in [Outcome::Accepted, Outcome::Duplicate, Outcome::Stale] {
            let _created = Family::get_or_create(
                &events,
                &WordLabels {
                    outcome: outcome.as_str(),
                },
            );
        }
        for outcome in ["applied", "refused"] {
            let _created = Family::get_or_create(&reloads, &WordLabels { outcome });
        }
        let deliveries = add(
            r,
            "deliveries",
            "Deliveries by sink and outcome",
            Family::default(),
        );
        let delivery_seconds: Family<SinkLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(ACK_BUCKETS));
        r.register_with_unit(
            "delivery",
            "One attempt",
            Unit::Seconds,
            delivery_seconds.clone(),
        );
        Self {
            pushes: push_counters,
            events,
            reloads,
            deliveries,
            delivery_seconds,
            sink_pending: add(
                r,
                "sink_pending_deliveries",
                "Deliveries not settled",
                Family::default(),
            ),
            sink_oldest: add(
                r,
                "sink_oldest_pending_seconds",
                "Age of the oldest delivery not settled",
                Family::default(),
            ),
            sink_paused: add(
                r,
                "sink_paused",
                "1 while the sink takes nothing",
                Family::default(),
            ),
            ack_seconds: add(
                r,
                "ack_seconds",
                "First byte to answer of a push",
                Histogram::new(ACK_BUCKETS),
            ),
            event_lag: add(
                r,
                "event_lag_seconds",
                "Received minus event time",
                Histogram::new(LAG_BUCKETS),
            ),
            last_push: add(
                r,
                "last_push_timestamp_seconds",
                "When the last trusted push came",
                FloatGauge::default(),
            ),
            ready: add(
                r,
                "ready",
                "1 while a push can be made durable",
                Gauge::default(),
            ),
            commit_seconds: add(
                r,
                "inbox_commit_seconds",
                "One transaction of the inbox",
                Histogram::new(COMMIT_BUCKETS),
            ),
            batch_events: add(
                r,
                "inbox_batch_events",
                "Events offered in one transaction",
                Histogram::new(BATCH_BUCKETS),
            ),
            inbox_events: add(r, "inbox_events", "Events stored", Gauge::default()),
            store_bytes: add(r, "store_bytes", "Size of the store", Gauge::default()),
            store_free_bytes: add(
                r,
                "store_free_bytes",
                "Room left for the store",
                Gauge::default(),
            ),
            unreadable: add(
                r,
                "unreadable",
                "Pushes kept because they could not be understood",
                Counter::default(),
            ),
            unlisted_source: add(
                r,
                "unlisted_source",
                "Pushes with the right secret from an unlisted address",
                Counter::default(),
            ),
            log_lines_dropped: add(
                r,
                "log_lines_dropped",
                "Operational log lines lost to a full queue",
                Counter::default(),
            ),
            connections: add(
                r,
                "connections",
                "Open public connections",
                Gauge::default(),
            ),
            connections_evicted: add(
                r,
                "connections_evicted",
                "Connections without a complete head closed to make room",
                Counter::default(),
            ),
            registry,
        }
        .into()
    }

    /// Counts one answered webhook request.
    pub fn push(&self, outcome: PushOutcome) {
        self.pushes[outcome as usize].inc();
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

    /// The metrics of the sink called `name`, created at zero.
    pub fn sink(&self, name: &Arc<str>) -> SinkMetrics {
        let labels = SinkLabels {
            sink: Arc::clone(name),
        };
        for outcome in DeliveryOutcome::ALL {
            let _created = self.deliveries.get_or_create(&DeliveryLabels {
                sink: Arc::clone(name),
                outcome,
            });
        }
        SinkMetrics {
            name: Arc::clone(name),
            deliveries: self.deliveries.clone(),
            seconds: self.delivery_seconds.get_or_create(&labels).clone(),
            pending: self.sink_pending.get_or_create(&labels).clone(),
            oldest_pending: self.sink_oldest.get_or_create(&labels).clone(),
            paused: self.sink_paused.get_or_create(&labels).clone(),
        }
    }

    /// The registry, for encoding.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

fn add<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}
