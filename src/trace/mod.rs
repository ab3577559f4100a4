//! Traces: one from a push to its last settled delivery, for a collector that speaks OTLP.
//!
//! A span is made when what it tells is over, from facts that are known by then, and put into a bounded
//! queue; one task encodes what is there and sends it. Whoever makes a span never waits: what finds no
//! room is dropped and counted. While tracing is off, that costs one comparison.
//!
//! A trace is carried by its `traceparent`, which is stored with the event: so it goes on over restarts,
//! retries, replays and replicas.

mod context;
mod destination;
mod encode;
mod export;
mod span;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use self::context::{Context, SpanId, TraceId, TraceParent};
pub use self::destination::{BadDestination, Destination, DestinationOptions};
pub use self::export::Exporter;
pub use self::span::{Kind, Span, Value};
use crate::event::{Event, Outcome, Seq};
use crate::metrics::SpanMetrics;

/// How many spans may wait to be sent; each takes one or two KiB.
const QUEUE: usize = 2048;

/// Stands for a share where nothing is traced at all; a share is at most 2 to the power of 63.
const OFF: u64 = u64::MAX;

/// All traces.
const ALL: u64 = 1 << 63;

/// What spans are made with. Clones share everything.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Of the traces that begin here, those are recorded whose draw is below this; or [`OFF`].
    share: AtomicU64,
    queue: mpsc::Sender<Span>,
    destination: watch::Sender<Option<Arc<Destination>>>,
    finishing: CancellationToken,
    dropped: Counter,
    /// Numbers that never come again, hashed with a key of this process, are its random numbers: no
    /// call of the system is made for them.
    key: RandomState,
    next: AtomicU64,
}

impl Tracer {
    /// A tracer that is off, and what sends its spans once it is on.
    pub fn new(metrics: &SpanMetrics) -> (Self, Exporter) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (destination, to) = watch::channel(None);
        let finishing = CancellationToken::new();
        let exporter = Exporter::new(waiting, to, finishing.clone(), metrics.clone());
        let shared = Shared {
            share: AtomicU64::new(OFF),
            queue,
            destination,
            finishing,
            dropped: metrics.dropped.clone(),
            key: RandomState::new(),
            next: AtomicU64::new(0),
        };
        (Self(Arc::new(shared)), exporter)
    }

    /// From now on spans go there, or are not made. One that stays has nothing happen to it.
    pub fn change(&self, destination: Option<Arc<Destination>>) {
        let share = destination.as_ref().map_or(OFF, |to| share(to.ratio()));
        self.0.destination.send_if_modified(|now| {
            let stays = match (&*now, &destination) {
                (Some(now), Some(new)) => Arc::ptr_eq(now, new),
                (None, None) => true,
                _ => false,
            };
            if !stays {
                *now = destination;
            }
            !stays
        });
        self.0.share.store(share, Ordering::Relaxed);
    }

    /// Where spans go now, if these options lead there.
    pub fn destination_by(&self, options: &DestinationOptions) -> Option<Arc<Destination>> {
        let now = self.0.destination.borrow();
        now.as_ref().filter(|now| now.is_by(options)).cloned()
    }

    /// What waits is sent once, and nothing after it.
    pub fn finish(&self) {
        self.0.finishing.cancel();
    }

    /// Whether spans are made.
    pub fn is_on(&self) -> bool {
        self.0.share.load(Ordering::Relaxed) != OFF
    }

    /// A span that goes on with the trace of `parent`, or begins one; `None` while tracing is off.
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Context> {
        let share = self.0.share.load(Ordering::Relaxed);
        if share == OFF {
            return None;
        }
        let (trace, sampled) = match parent {
            // It was decided where the trace began.
            Some(parent) => (parent.trace, parent.sampled),
            None => {
                let trace = TraceId::new(self.random(), self.random());
                (trace, trace.draw() < share)
            }
        };
        let own = TraceParent {
            trace,
            span: SpanId::new(self.random()),
            sampled,
        };
        Some(Context {
            own,
            parent: parent.map(|parent| parent.span),
        })
    }

    /// A span below the one that `parent` was written by; `None` where it is not recorded.
    pub fn below(&self, parent: Option<&str>) -> Option<Context> {
        if !self.is_on() {
            return None;
        }
        self.child(TraceParent::parse(parent?)?)
    }

    /// A span below `parent`; `None` where it is not recorded.
    pub fn child(&self, parent: TraceParent) -> Option<Context> {
        if !parent.sampled {
            return None;
        }
        self.begin(Some(parent))
    }

    /// Begins the trace of an event that no push brings; `None` while tracing is off.
    pub fn adopt(&self, event: &mut Arc<Event>) -> Option<Context> {
        let context = self.begin(None)?;
        Arc::make_mut(event).trace_parent = Some(context.own.to_string().into());
        Some(context)
    }

    /// Records that an event came in by the way called `name`, and how it was judged, from the first of
    /// the two times to the second.
    pub fn came_in(
        &self,
        context: Context,
        name: &'static str,
        (event, seq, outcome): (&Event, Option<Seq>, Outcome),
        times: (Timestamp, Timestamp),
    ) {
        if context.own.sampled {
            let span = Span::new(context, name, Kind::Internal, times);
            let span = span.of_event(event).at(seq);
            self.record(span.with("flashduty.outcome", outcome.as_str()));
        }
    }

    /// Has a span sent, some time. Never waits.
    pub fn record(&self, span: Span) {
        if self.0.queue.try_send(span).is_err() {
            self.0.dropped.inc();
        }
    }

    fn random(&self) -> u64 {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.key.hash_one(number)
    }
}

/// Below which draw a trace belongs to the share `ratio`, from 0 to 1, of all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product lies between 0 and 2 to the power of 63"
)]
fn share(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * ALL as f64) as u64
}
