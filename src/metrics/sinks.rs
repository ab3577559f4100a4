//! What is measured of each sink.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::pause::{Pause, Pauses};
use super::series::{Done, SinkSeries};
use super::{ACK_BUCKETS, DeliveryOutcome, FloatGauge, Registrar};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    sink: Arc<str>,
    outcome: DeliveryOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: Arc<str>,
}

/// The metrics of one sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    name: Arc<str>,
    deliveries: Family<DeliveryLabels, Counter>,
    pauses: Arc<Pauses>,
    series: Arc<SinkSeries>,
    /// `flashduty_delivery_seconds`: one attempt, from its start to its end.
    pub seconds: Histogram,
    /// `flashduty_sink_pending_deliveries`.
    pub pending: Gauge,
    /// `flashduty_sink_oldest_pending_seconds`.
    pub oldest_pending: FloatGauge,
    /// `flashduty_sink_dead_deliveries`.
    pub dead: Gauge,
    /// `flashduty_sink_paused`: 1 while the sink takes nothing.
    pub paused: Gauge,
    /// `flashduty_filter_errors_total`: events its filter could not judge, though they have what it asks for; it does
    /// not get them.
    pub filter_errors: Counter,
}

impl SinkMetrics {
    /// Counts `count` deliveries that ended, or went on, as `outcome`.
    pub fn count(&self, outcome: DeliveryOutcome, count: u64) {
        let done = match outcome {
            DeliveryOutcome::delivered => Done {
                delivered: count,
                failed: 0,
            },
            DeliveryOutcome::retried | DeliveryOutcome::dead => Done {
                delivered: 0,
                failed: count,
            },
            _ => Done::default(),
        };
        self.series.count(&self.name, done, Instant::now());
        let labels = DeliveryLabels {
            sink: Arc::clone(&self.name),
            outcome,
        };
        self.deliveries.get_or_create(&labels).inc_by(count);
    }

    /// The sink takes nothing, for this reason.
    pub fn pause(&self, pause: Pause) {
        self.pauses.begin(&self.name, pause);
        self.paused.set(1);
    }

    /// It takes something again.
    pub fn resume(&self) {
        if self.paused.set(0) != 0 {
            self.pauses.end(&self.name);
        }
    }
}

/// What is measured of every sink.
#[derive(Debug)]
pub(super) struct SinkFamilies {
    deliveries: Family<DeliveryLabels, Counter>,
    seconds: Family<SinkLabels, Histogram>,
    pending: Family<SinkLabels, Gauge>,
    oldest_pending: Family<SinkLabels, FloatGauge>,
    dead: Family<SinkLabels, Gauge>,
    paused: Family<SinkLabels, Gauge>,
    pauses: Arc<Pauses>,
    series: Arc<SinkSeries>,
    filter_errors: Family<SinkLabels, Counter>,
}

impl SinkFamilies {
    pub(super) fn new(add: &mut Registrar<'_>, began: Instant) -> Self {
        let seconds: Family<SinkLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(ACK_BUCKETS));
        add.0
            .register_with_unit("delivery", "One attempt", Unit::Seconds, seconds.clone());
        Self {
            deliveries: add.metric("deliveries", "Deliveries by sink and outcome"),
            seconds,
            pending: add.metric("sink_pending_deliveries", "Deliveries not settled"),
            oldest_pending: add.metric(
                "sink_oldest_pending_seconds",
                "Age of the oldest delivery not settled",
            ),
            dead: add.metric(
                "sink_dead_deliveries",
                "Deliveries given up and kept for a person to decide",
            ),
            paused: add.metric("sink_paused", "1 while the sink takes nothing"),
            pauses: Arc::default(),
            series: Arc::new(SinkSeries::new(began)),
            filter_errors: add.metric(
                "filter_errors",
                "Events that have what a sink's filter asks for, and that it could not judge",
            ),
        }
    }

    pub(super) fn of(&self, name: &Arc<str>) -> SinkMetrics {
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
            pauses: Arc::clone(&self.pauses),
            series: Arc::clone(&self.series),
            seconds: self.seconds.get_or_create(&labels).clone(),
            pending: self.pending.get_or_create(&labels).clone(),
            oldest_pending: self.oldest_pending.get_or_create(&labels).clone(),
            dead: self.dead.get_or_create(&labels).clone(),
            paused: self.paused.get_or_create(&labels).clone(),
            filter_errors: self.filter_errors.get_or_create(&labels).clone(),
        }
    }

    pub(super) fn series(&self) -> &SinkSeries {
        &self.series
    }

    /// Why the sink takes nothing, as far as its deliveries have shown.
    pub(super) fn pause_of(&self, name: &str) -> Option<Pause> {
        self.pauses.of(name)
    }
}
