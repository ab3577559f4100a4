//! Whether a sink is worth trying: a circuit breaker.
//!
//! It opens when many attempts failed in a row and they were for several subjects: one poisoned
//! event, which holds up its own subject alone, does not stop the others, and neither does a sink
//! that takes most of what it gets. While it is open nothing is attempted,
//! and so nothing is counted as an attempt. Then one delivery at a time finds out whether the sink
//! works again.

use std::time::Duration;

use tokio::time::Instant;

/// So many subjects must have failed, with nothing delivered in between.
const SUBJECTS: usize = 3;
/// So many attempts must have failed in a row. Where one in five fails, that is one in ten million.
const ATTEMPTS: usize = 10;
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
    /// Which subjects failed since the last success, and how often they did in all.
    Closed {
        failed: Vec<String>,
        attempts: usize,
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
        Self::Closed {
            failed: Vec::new(),
            attempts: 0,
        }
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
            State::Closed { failed, attempts } => {
                *attempts += 1;
                if failed.len() < SUBJECTS && !failed.iter().any(|known| known == subject) {
                    failed.push(subject.to_owned());
                }
                if failed.len() < SUBJECTS || *attempts < ATTEMPTS {
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

    /// Fails as often as it takes, and says what the last one turned.
    fn fail_until_open(breaker: &mut Breaker) -> Option<Turn> {
        for attempt in 1..ATTEMPTS {
            let subject = ["a", "b", "c"][attempt % 3];
            assert_eq!(breaker.failed(subject), None);
        }
        breaker.failed("a")
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_many_attempts_for_several_subjects_failed_in_a_row() {
        let mut breaker = Breaker::default();
        assert_eq!(fail_until_open(&mut breaker), Some(Turn::Opened(FIRST)));
        assert_eq!(breaker.probe_at(), Some(Instant::now() + FIRST));
        assert_eq!(breaker.failed("d"), None, "it was under way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_takes_one_of_ten_is_not_paused() {
        let mut breaker = Breaker::default();
        for attempt in 0..1_000 {
            let turn = match attempt % ATTEMPTS {
                0 => breaker.answered(),
                _ => breaker.failed(["a", "b", "c", "d"][attempt % 4]),
            };
            assert_eq!(turn, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_for_longer_and_one_that_works_closes_it() {
        let mut breaker = Breaker::default();
        fail_until_open(&mut breaker);
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
