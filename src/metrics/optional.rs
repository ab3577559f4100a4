//! A gauge that is left out while its value is not known: a number in its place would be a lie.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;

/// What stands for an unknown value; those that are known are never negative.
const UNKNOWN: i64 = -1;

/// A gauge that may have no value; it has none at first.
#[derive(Debug, Clone)]
pub struct OptionalGauge(Gauge);

impl OptionalGauge {
    /// Shows `value`, or nothing.
    pub fn set(&self, value: Option<u64>) {
        let value = value.map_or(UNKNOWN, |value| i64::try_from(value).unwrap_or(i64::MAX));
        self.0.set(value);
    }
}

impl Default for OptionalGauge {
    fn default() -> Self {
        let gauge: Gauge = Gauge::default();
        gauge.set(UNKNOWN);
        Self(gauge)
    }
}

impl EncodeMetric for OptionalGauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.0.get() {
            UNKNOWN => Ok(()),
            known => encoder.encode_gauge(&known),
        }
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }

    fn is_empty(&self) -> bool {
        self.0.get() == UNKNOWN
    }
}
