//! The right to attempt a delivery: how it is claimed, and how it ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::SinkId;
use crate::event::{Event, Seq};
use crate::trace::Context;

/// The right to attempt one delivery until the lease ends. Consumed by settling it.
#[derive(Debug)]
pub struct Lease {
    /// The event's position.
    pub seq: Seq,
    /// The sink it goes to.
    pub sink: SinkId,
    /// The event to deliver.
    pub event: Arc<Event>,
    /// Whether it was stored as stale.
    pub stale: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether an attempt before this one began and its end is unknown.
    pub interrupted: bool,
    /// Whether a person asked for it again.
    pub replay: bool,
    /// What earlier answers of this sink said about the subject, by name; empty unless asked for.
    pub remembered: Vec<(String, String)>,
    /// The span of the attempt, where one is recorded.
    pub trace: Option<Context>,
    /// Another worker may take it after this.
    pub expires_at: Timestamp,
    /// What orders it: positive for a subject, negative for a delivery of its own.
    pub(super) lane: i64,
    pub(super) token: i64,
    /// Whether it counts against a rate.
    pub(super) rated: bool,
}

impl Lease {
    /// Whether the event may have been delivered before: an earlier attempt began, or may have begun.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1 || self.interrupted
    }

    /// How long the lease still lasts at `now`; zero once it has run out.
    pub fn time_left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.expires_at.duration_since(now)).unwrap_or_default()
    }

    /// The `traceparent` that goes with the event: the attempt's own, or else the event's.
    pub fn trace_parent(&self) -> Option<Cow<'_, str>> {
        match &self.trace {
            Some(context) => Some(context.own.to_string().into()),
            None => self.event.trace_parent.as_deref().map(Cow::from),
        }
    }

    /// Ends the lease with `settlement`.
    pub fn settle(self, settlement: Settlement) -> Settled {
        self.settle_with(settlement, None)
    }

    /// Ends the lease with `settlement` and what there is to say about the attempt.
    pub fn settle_with(self, settlement: Settlement, report: Option<Box<Report>>) -> Settled {
        Settled {
            seq: self.seq,
            sink: self.sink,
            lane: self.lane,
            token: self.token,
            expires_at: self.expires_at,
            attempt: self.attempt,
            interrupted: self.interrupted,
            rated: self.rated,
            settlement,
            report,
        }
    }
}

/// A lease on its way back, with how the attempt ended.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The event's position.
    pub seq: Seq,
    /// The sink it went to.
    pub sink: SinkId,
    /// How the attempt ended.
    pub settlement: Settlement,
    /// What there is to say about it.
    pub report: Option<Box<Report>>,
    pub(super) lane: i64,
    pub(super) token: i64,
    pub(super) expires_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) interrupted: bool,
    pub(super) rated: bool,
}

impl Settled {
    /// Which lease it was.
    pub(super) fn of(&self) -> (Seq, SinkId, i64) {
        (self.seq, self.sink, self.token)
    }

    /// The number of the attempt whose end this tells: of an interrupted one, that of the lease before.
    pub(super) fn attempt_ended(&self) -> u32 {
        let found = matches!(&self.settlement, Settlement::Dead(reason) if reason == INTERRUPTED);
        self.attempt.saturating_sub(u32::from(found)).max(1)
    }
}

/// Why a delivery is dead whose earlier attempt has an end that is not known. Nothing is begun under the
/// lease that finds this out.
pub const INTERRUPTED: &str = "interrupted";

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The sink took it.
    Delivered,
    /// Try again, no sooner than this.
    RetryAt(Timestamp, String),
    /// The attempt was not begun; it does not count, and what is unknown of an earlier one stays so.
    Released,
    /// Given up and kept for a person to look at, with the reason.
    Dead(String),
    /// Not needed, with the reason.
    Superseded(String),
    /// Older than the sink wants.
    Expired,
}

/// What there is to say about an attempt beside how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// When it began.
    pub began: Option<Timestamp>,
    /// The answer's status, or the exit code.
    pub status: Option<i64>,
    /// The beginning of the answer, or of the output.
    pub answer: Option<String>,
    /// Whether the attempt is kept although it worked.
    pub keep: bool,
    /// Whether it had an effect is not known, and its answer would be needed: a later event must not
    /// take its place.
    pub unsure: bool,
    /// Names and values to remember of the sink and the event's subject.
    pub remember: Vec<(String, String)>,
    /// The whole sink takes nothing before this.
    pub hold_until: Option<Timestamp>,
}

impl Report {
    /// Of an attempt nothing is known but when it began.
    pub fn begun(at: Timestamp) -> Self {
        Self {
            began: Some(at),
            ..Self::default()
        }
    }
}

/// At most so many attempts in any stretch of time of such a length, over all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Attempts.
    pub count: u32,
    /// The length of the stretch.
    pub window: Duration,
}

/// Claims on one sink's due deliveries.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which sink.
    pub sink: SinkId,
    /// At most so many.
    pub slots: usize,
    /// No further one once the bodies claimed take this many bytes.
    pub bytes: usize,
    /// How long each lease lasts.
    pub ttl: Duration,
    /// An attempt counts until this long after its end, so that the other side counts no more.
    pub rates: Arc<[Rate]>,
    /// Whether leases carry what is remembered of their subjects.
    pub remembered: bool,
    /// Whether to find out if the sink works again: a delivery that waits for its retry is due, too.
    pub probe: bool,
}

impl Claim {
    /// Claims without rates or memory.
    pub fn new(sink: SinkId, slots: usize, ttl: Duration) -> Self {
        Self {
            sink,
            slots,
            bytes: usize::MAX,
            ttl,
            rates: Arc::default(),
            remembered: false,
            probe: false,
        }
    }
}

#[cfg(test)]
impl Lease {
    /// A first attempt at `event` that no store knows of.
    pub(crate) fn sample(seq: i64, event: Event) -> Self {
        Self {
            seq: Seq(seq),
            sink: SinkId(1),
            event: Arc::new(event),
            stale: false,
            attempt: 1,
            interrupted: false,
            replay: false,
            remembered: Vec::new(),
            trace: None,
            expires_at: Timestamp::MAX,
            lane: -seq,
            token: 1,
            rated: false,
        }
    }
}
