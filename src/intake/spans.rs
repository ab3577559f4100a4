//! What a push tells a collector of traces of itself, once it is over.
//!
//! Only those who may push have a trace: what strangers send is not theirs to fill a collector with.

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Intake;
use super::receive::Push;
use crate::event::Event;
use crate::inbox::{Refusal, Taken};
use crate::metrics::PushOutcome;
use crate::trace::{Context, Kind, Span, TraceParent};

/// The trace of a push that may push.
pub(super) struct Trace {
    context: Context,
    /// The answer.
    status: Option<StatusCode>,
    /// What is known of the event, in a span that has no end yet.
    known: Option<Span>,
}

impl Trace {
    /// Goes on with the trace of `parent`, or begins one; `None` while nothing is traced.
    pub(super) fn begin(intake: &Intake, parent: Option<TraceParent>) -> Option<Self> {
        if !intake.tracer.is_on() {
            return None;
        }
        let context = intake.tracer.begin(parent)?;
        Some(Self {
            context,
            status: None,
            known: None,
        })
    }

    /// The push's own span, for those who go on with it.
    pub(super) fn parent(&self) -> TraceParent {
        self.context.own
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// It is understood.
    pub(super) fn is_about(&mut self, event: &Event) {
        if self.context.own.sampled {
            let times = (event.received_at, event.received_at);
            let span = Span::new(self.context, "receive", Kind::Server, times);
            self.known = Some(span.of_event(event));
        }
    }

    /// The store was given the event.
    pub(super) fn commit(&self, intake: &Intake) -> Option<Commit> {
        let context = intake.tracer.child(self.context.own)?;
        Some(Commit {
            context,
            began: intake.clock.now(),
        })
    }

    /// The push began at `start` and is over now, with `outcome`.
    fn end(self, push: &Push, outcome: PushOutcome) {
        if !self.context.own.sampled {
            return;
        }
        let times = since(&push.intake, push.start);
        let span = match self.known {
            Some(known) => Span {
                began: times.0,
                ended: times.1,
                ..known
            },
            None => Span::new(self.context, "receive", Kind::Server, times),
        };
        let status = self.status.map(|status| i64::from(status.as_u16()));
        let span = span
            .with("http.request.method", "POST")
            .with_some("http.response.status_code", status)
            .with_some(
                "client.address",
                push.source_ip.map(|address| address.to_string()),
            )
            .with("flashduty.outcome", outcome.as_str());
        let failed = self.status.is_none_or(|status| status.is_server_error());
        push.intake.tracer.record(match failed {
            true => span.failed(outcome.as_str()),
            false => span,
        });
    }
}

impl Push {
    /// What whoever goes on with the trace is told: of the push's own span, or where none is made, of
    /// the one it came from.
    pub(super) fn trace_parent(&self) -> Option<TraceParent> {
        let own = self.trace.as_ref().map(Trace::parent);
        own.or(self.came_from)
    }

    /// Tells that it is over.
    pub(super) fn end_trace(&mut self, outcome: PushOutcome) {
        if let Some(trace) = self.trace.take() {
            trace.end(self, outcome);
        }
    }
}

/// The wait for the store, which may go on when the push is over.
pub(super) struct Commit {
    context: Context,
    began: Timestamp,
}

impl Commit {
    /// The store has answered.
    pub(super) fn end(self, intake: &Intake, answer: &Result<Taken, Refusal>) {
        let times = (self.began, intake.clock.now());
        let span = Span::new(self.context, "commit", Kind::Internal, times);
        intake.tracer.record(match answer {
            Ok(taken @ Taken::Judged(_)) => span
                .with("flashduty.outcome", taken.outcome().as_str())
                .at(taken.seq()),
            Ok(Taken::Spilled) => span.with("flashduty.spilled", true),
            Err(refusal) => span.failed(&refusal.to_string()),
        });
    }
}

/// The one trace context of a request.
pub(super) fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all("traceparent").iter();
    let (first, second) = (given.next()?, given.next());
    match second {
        None => TraceParent::parse(first.to_str().ok()?),
        Some(_) => None,
    }
}

/// From then until now.
fn since(intake: &Intake, start: Instant) -> (Timestamp, Timestamp) {
    let now = intake.clock.now();
    (now.checked_sub(start.elapsed()).unwrap_or(now), now)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_push_goes_on_with_the_one_trace_that_it_names() {
        let one = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let named = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for &value in values {
                headers.append("traceparent", HeaderValue::from_static(value));
            }
            parent(&headers).map(|parent| parent.to_string())
        };
        assert_eq!(named(&[one]).as_deref(), Some(one));
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["whatever"]), None);
        // Of several nobody knows which is meant.
        assert_eq!(named(&[one, one]), None);
    }
}
