//! Whether a sink is worth trying: a circuit breaker.
//!
//! It opens when attempts for several subjects failed in a row, so that one poisoned event, which
//! holds up its own subject alone, does not stop the others. While it is open nothing is attempted,
//! and so nothing is counted as an attempt. Then one delivery at a time finds out whether the sink
//! works again.

use std::time::Duration;

use tokio::time::Instant;

/// So many subjects must have failed, with nothing delivered in between.
const SUBJECTS: usize = 3;
/// The first time it stays open for; doubles while probes fail.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// A sink's circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Which subjects failed since the last success.
    Closed {
        failed: Vec<String>,
    },
    Open {
        until: Instant,
        opened: u32,
    },
    HalfOpen {
        opened: u32,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failed: Vec::new() }
    }
}

/// What changed, for the log and the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing is attempted for so long.
    Opened(Duration),
    /// The sink works again.
    Closed,
}

impl Breaker {
    /// The sink answered, though perhaps it refused.
    pub(super) fn answered(&mut self) -> Option<Turn> {
        let was = std::mem::take(&mut self.state);
        matches!(was, State::HalfOpen { .. } | State::Open { .. }).then_some(Turn::Closed)
    }

    /// An attempt for `subject` failed in a way that says nothing about its event.
    pub(super) fn failed(&mut self, subject: &str) -> Option<Turn> {
        let opened = match &mut self.state {
            State::Closed { failed } => {
                if !failed.iter().any(|known| known == subject) {
                    failed.push(subject.to_owned());
                }
                if failed.len() < SUBJECTS {
                    return None;
                }
                0
            }
            // Attempts that were under way when it opened.
            State::Open { .. } => return None,
            State::HalfOpen { opened } => *opened,
        };
        let pause = FIRST.saturating_mul(1 << opened.min(10)).min(LONGEST);
        self.state = State::Open {
            until: Instant::now() + pause,
            opened: opened + 1,
        };
        Some(Turn::Opened(pause))
    }

    /// Whether attempts may be begun.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When a probe may be made.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Lets one delivery find out.
    pub(super) fn half_open(&mut self) {
        if let State::Open { opened, .. } = self.state {
            self.state = State::HalfOpen { opened };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_subject_that_fails_and_fails_opens_nothing() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.failed("a"), None);
            assert_eq!(breaker.failed("b"), None);
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_several_subjects_failed_and_nothing_worked_in_between() {
        let mut breaker = Breaker::default();
        for subject in ["a", "b"] {
            assert_eq!(breaker.failed(subject), None);
        }
        assert_eq!(breaker.answered(), None);
        for subject in ["a", "b"] {
            assert_eq!(breaker.failed(subject), None);
        }
        assert_eq!(breaker.failed("c"), Some(Turn::Opened(FIRST)));
        assert_eq!(breaker.probe_at(), Some(Instant::now() + FIRST));
        assert_eq!(breaker.failed("d"), None, "it was under way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_for_longer_and_one_that_works_closes_it() {
        let mut breaker = Breaker::default();
        for subject in ["a", "b", "c"] {
            breaker.failed(subject);
        }
        let mut pauses = Vec::new();
        for _ in 0..6 {
            breaker.half_open();
            assert!(!breaker.is_open());
            if let Some(Turn::Opened(pause)) = breaker.failed("a") {
                pauses.push(pause.as_secs());
            }
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
        breaker.half_open();
        assert_eq!(breaker.answered(), Some(Turn::Closed));
        assert_eq!(breaker.failed("a"), None, "it counts from the beginning");
    }
}
