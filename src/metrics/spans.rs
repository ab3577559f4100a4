//! What became of spans that were made for a collector of traces.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{Registrar, WordLabels};

/// `flashduty_otlp_spans_total`.
#[derive(Debug, Clone)]
pub struct SpanMetrics {
    /// The collector took them.
    pub exported: Counter,
    /// There was no room for them, or nowhere to send them to any more.
    pub dropped: Counter,
    /// The collector refused them, or was not reached for too long.
    pub failed: Counter,
}

impl SpanMetrics {
    pub(super) fn new(add: &mut Registrar<'_>) -> Self {
        let family: Family<WordLabels, Counter> =
            add.metric("otlp_spans", "Spans for the collector of traces");
        let of = |outcome| family.get_or_create(&WordLabels { outcome }).clone();
        Self {
            exported: of("exported"),
            dropped: of("dropped"),
            failed: of("failed"),
        }
    }
}
