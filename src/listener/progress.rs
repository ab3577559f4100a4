//! How far one connection has come, and until when it must come further.
//!
//! ```text
//!            first byte         head complete        answer written
//!   Silent ─────────────▶ Head ──────────────▶ Busy ───────▶ Idle
//!                          ▲                     ▲            │ │
//!                          └────── first byte ───│────────────┘ │
//!                                                └─ pipelined ──┘
//!   any ─▶ Ending: our last byte is sent, the peer's are thrown away until it closes too
//! ```
//!
//! While Busy, the request's body may still be arriving; the routers keep the time of that, unless
//! the farewell is brief.
//!
//! The socket's wrappers, the service and the connection's own task report to it; all of them run
//! in that one task, so the lock is never contended.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::ListenerOptions;
use super::seats::{Class, Full, Seat, SeatId};
use crate::lifecycle::Farewell;

/// How long a connection without a request may still send one after closing began: its bytes may
/// be on the way.
pub(super) const LAST_CALL: Duration = Duration::from_millis(500);

/// The same, and for what is sent in part, where the next process waits for the socket. Who is cut
/// off then finds that one when it tries again.
pub(super) const SHORT_CALL: Duration = Duration::from_millis(100);

/// How long a peer has to close after our last byte. Closing first, with bytes of the peer
/// unread, would make the kernel reset the connection and destroy the answer.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The deadlines of one connection, as they were when it was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
    pub(super) farewell: Farewell,
}

impl From<&ListenerOptions> for Limits {
    fn from(options: &ListenerOptions) -> Self {
        Self {
            header: options.header_timeout,
            idle: options.idle_timeout,
            write: options.write_timeout,
            farewell: options.farewell,
        }
    }
}

#[derive(Debug)]
pub(super) struct Progress {
    limits: Limits,
    seat: Seat,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Since when the peer has taken nothing of what we have for it.
    stalled: Option<Instant>,
    closing: Option<Instant>,
    /// Whether the body of the request in work is still coming.
    receiving: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Silent(Instant),
    Head(Instant),
    Busy,
    /// The answer's last byte is produced but not yet written.
    Flushing,
    Idle(Instant),
    Ending(Instant),
}

impl Progress {
    pub(super) fn new(limits: Limits, seat: Seat) -> Self {
        let state = Mutex::new(State {
            phase: Phase::Silent(Instant::now()),
            stalled: None,
            closing: None,
            receiving: false,
        });
        Self {
            limits,
            seat,
            state,
        }
    }

    pub(super) fn seat(&self) -> SeatId {
        self.seat.id()
    }

    /// The client is known, before its first request; see [`Seat::name`].
    pub(super) fn name(&self, class: Class, max_connections: usize) -> (Result<(), Full>, bool) {
        self.seat.name(class, max_connections)
    }

    /// Bytes came. While a head is awaited they begin it; later ones do not extend its time.
    pub(super) fn arrived(&self) {
        let mut state = self.state();
        if let Phase::Silent(_) | Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// What came so far was no head but the line before it: the wait begins anew.
    pub(super) fn restart(&self) {
        self.state().phase = Phase::Silent(Instant::now());
    }

    /// A head is complete. Tells when it began, or `None` if the connection was just chosen to
    /// make room, and its request must not start.
    pub(super) fn begin_request(&self) -> Option<Instant> {
        let mut state = self.state();
        let began = match state.phase {
            Phase::Head(began) => began,
            _ => Instant::now(),
        };
        state.phase = Phase::Busy;
        state.receiving = true;
        self.seat.busy().then_some(began)
    }

    /// Whether what is written now can be no request's answer, because none has begun.
    pub(super) fn is_before_request(&self) -> bool {
        matches!(
            self.state().phase,
            Phase::Silent(_) | Phase::Head(_) | Phase::Idle(_)
        )
    }

    /// When the first byte of the head came that is awaited, or that went wrong.
    pub(super) fn head_began(&self) -> Instant {
        match self.state().phase {
            Phase::Head(began) => began,
            _ => Instant::now(),
        }
    }

    /// The request's body is complete, or nobody wants the rest of it.
    pub(super) fn received(&self) {
        self.state().receiving = false;
    }

    /// The answer's body is at its end.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if let Phase::Busy = state.phase {
            state.phase = Phase::Flushing;
        }
    }

    /// All that was produced is written.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if let Phase::Flushing = state.phase {
            state.phase = Phase::Idle(Instant::now());
            self.seat.waiting();
        }
    }

    /// The peer took bytes.
    pub(super) fn written(&self) {
        self.state().stalled = None;
    }

    /// The peer takes no more bytes for now.
    pub(super) fn blocked(&self) {
        self.state().stalled.get_or_insert_with(Instant::now);
    }

    /// Our side of the connection is shut.
    pub(super) fn ending(&self) {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Ending(_)) {
            state.phase = Phase::Ending(Instant::now());
            self.seat.waiting();
        }
    }

    /// The service is closing.
    pub(super) fn closing(&self) {
        self.state().closing.get_or_insert_with(Instant::now);
    }

    /// When the connection must be cut unless it comes further; `None` while that is not the
    /// peer's duty.
    pub(super) fn due(&self) -> Option<Instant> {
        let state = self.state();
        let Limits {
            header,
            idle,
            write,
            farewell,
        } = self.limits;
        let last_call = state.closing.map(|closing| closing + LAST_CALL);
        let brief = farewell == Farewell::Brief;
        let short_call = state.closing.filter(|_| brief);
        let short_call = short_call.map(|closing| closing + SHORT_CALL);
        let due = match state.phase {
            Phase::Silent(since) => sooner(Some(since + header), sooner(last_call, short_call)),
            Phase::Idle(since) => sooner(Some(since + idle), sooner(last_call, short_call)),
            Phase::Head(since) => sooner(Some(since + header), short_call),
            Phase::Ending(since) => sooner(Some(since + LINGER), short_call),
            Phase::Busy if state.receiving => short_call,
            Phase::Busy | Phase::Flushing => None,
        };
        sooner(due, state.stalled.map(|since| since + write))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic between two states")
    }
}

fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ListenerMetrics;
    use super::super::seats::Seats;
    use super::*;

    const HEADER: Duration = Duration::from_secs(5);
    const IDLE: Duration = Duration::from_secs(120);
    const WRITE: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    fn progress() -> Progress {
        progress_with(Farewell::Patient)
    }

    fn progress_with(farewell: Farewell) -> Progress {
        let seats = Seats::new(ListenerMetrics::default());
        let (seat, _) = seats.admit(Class::MayPush, 1);
        let limits = Limits {
            header: HEADER,
            idle: IDLE,
            write: WRITE,
            farewell,
        };
        Progress::new(limits, seat.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_time_from_its_first_byte_and_no_byte_extends_it() {
        let progress = progress();
        let accepted = Instant::now();
        assert_eq!(progress.due(), Some(accepted + HEADER));
        tokio::time::advance(4 * SECOND).await;
        let first_byte = Instant::now();
        progress.arrived();
        assert_eq!(progress.due(), Some(first_byte + HEADER));
        tokio::time::advance(SECOND).await;
        progress.arrived();
        assert_eq!(progress.due(), Some(first_byte + HEADER));
        assert_eq!(progress.begin_request(), Some(first_byte));
        assert_eq!(progress.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_runs_from_the_written_answer() {
        let progress = progress();
        progress.arrived();
        let _began = progress.begin_request();
        progress.flushed();
        assert_eq!(
            progress.due(),
            None,
            "flushing within an answer ends nothing"
        );
        progress.answered();
        assert_eq!(progress.due(), None);
        tokio::time::advance(SECOND).await;
        progress.flushed();
        assert_eq!(progress.due(), Some(Instant::now() + IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipelined_request_begins_when_it_is_its_turn() {
        let progress = progress();
        progress.arrived();
        let _began = progress.begin_request();
        progress.answered();
        progress.flushed();
        tokio::time::advance(SECOND).await;
        assert_eq!(progress.begin_request(), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_of_its_answer_is_due_and_one_that_takes_some_is_not() {
        let progress = progress();
        progress.arrived();
        let _began = progress.begin_request();
        let stalled = Instant::now();
        progress.blocked();
        tokio::time::advance(SECOND).await;
        progress.blocked();
        assert_eq!(progress.due(), Some(stalled + WRITE));
        progress.written();
        assert_eq!(progress.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_call_only_a_begun_head_may_go_on() {
        let progress = progress();
        let closing = Instant::now();
        progress.closing();
        assert_eq!(progress.due(), Some(closing + LAST_CALL));
        progress.arrived();
        assert_eq!(progress.due(), Some(closing + HEADER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_brief_farewell_waits_for_a_complete_request_and_for_nothing_else() {
        let progress = progress_with(Farewell::Brief);
        let closing = Instant::now();
        progress.closing();
        let cut = Some(closing + SHORT_CALL);
        assert_eq!(progress.due(), cut, "silent");
        progress.arrived();
        assert_eq!(progress.due(), cut, "half a head");
        let _began = progress.begin_request();
        assert_eq!(progress.due(), cut, "half a body");
        progress.received();
        assert_eq!(progress.due(), None, "complete");
        progress.answered();
        progress.flushed();
        assert_eq!(progress.due(), cut, "idle");
        progress.ending();
        assert_eq!(progress.due(), cut, "ours is said");
    }
}
