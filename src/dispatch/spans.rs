//! What a dispatcher tells a collector of traces: each attempt, below the span by which its event came in.

use jiff::Timestamp;

use super::Dispatcher;
use super::attempt::outcome;
use crate::inbox::{Lease, Settled, Settlement};
use crate::trace::{Kind, Span};

/// One name for all: which sink it was, an attribute says.
const NAME: &str = "deliver";

impl Dispatcher {
    /// Begins an attempt at each of `leases`: where its trace is recorded, its span has a place there
    /// from now on, which sinks hand on.
    pub(super) fn begin_traces(&self, leases: &mut [Lease]) -> Timestamp {
        let Some(tracer) = self.tracer.as_ref().filter(|tracer| tracer.is_on()) else {
            return Timestamp::UNIX_EPOCH;
        };
        for lease in leases {
            lease.trace = tracer.below(lease.event.trace_parent.as_deref());
        }
        self.clock.now()
    }

    /// What is known of the attempt under `lease` that began then and is over now.
    pub(super) fn traced(&self, lease: &Lease, began: Timestamp) -> Option<Span> {
        let context = lease.trace?;
        let span = Span::new(context, NAME, Kind::Client, (began, self.clock.now()));
        let flag = |is_so: bool| is_so.then_some(true);
        Some(
            span.of_event(&lease.event)
                .at(Some(lease.seq))
                .with("flashduty.sink", &*self.name)
                .with("flashduty.attempt", i64::from(lease.attempt))
                .with_some("flashduty.redelivered", flag(lease.redelivered()))
                .with_some("flashduty.replay", flag(lease.replay)),
        )
    }

    /// Records an attempt with how its lease ends; `None` when that is kept, its destination being gone.
    pub(super) fn end_trace(&self, span: Option<Span>, end: Option<&Settled>) {
        let (Some(tracer), Some(span)) = (&self.tracer, span) else {
            return;
        };
        let Some(end) = end else {
            tracer.record(span.failed("the sink is gone"));
            return;
        };
        let status = end.report.as_ref().and_then(|report| report.status);
        let span = span.with_some("flashduty.status", status);
        let Some(outcome) = outcome(&end.settlement) else {
            return;
        };
        let span = span.with("flashduty.outcome", outcome.as_str());
        tracer.record(match &end.settlement {
            Settlement::RetryAt(_, reason) | Settlement::Dead(reason) => span.failed(reason),
            _ => span,
        });
    }

    /// What is known of a delivery to which no attempt is begun any more.
    pub(super) fn unattempted(&self, lease: &mut Lease) -> Option<Span> {
        let began = self.begin_traces(std::slice::from_mut(lease));
        self.traced(lease, began)
    }
}
