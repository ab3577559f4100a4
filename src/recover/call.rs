//! Calls that keep to the rate, wait as they are asked to, and try again a few times.

use std::collections::VecDeque;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dispatch::Retry;
use crate::flashduty::{Api, Fault};
use crate::inbox::Rate;

/// How a call that fails is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// So often in all.
    pub most: u32,
    /// The wait after the first failure, which doubles with each.
    pub first: Duration,
    /// The longest wait, also when a longer one is asked for.
    pub longest: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            most: 6,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(120),
        }
    }
}

impl Tries {
    /// The wait after the `attempt`th failure, from 1; `asked` for by the other side.
    fn wait(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let backoff = Retry {
            initial: self.first,
            max: self.longest,
            ..Retry::default()
        };
        let own = backoff.delay(attempt, 1.0);
        asked.map_or(own, |asked| asked.max(own).min(self.longest))
    }
}

/// When calls ended, so that no stretch of time sees more of them than the rate allows, wherever
/// it is measured.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    ended: VecDeque<Instant>,
}

impl Pacer {
    async fn turn(&mut self, rate: Rate) {
        let most = usize::try_from(rate.count).unwrap_or(usize::MAX).max(1);
        while self.ended.len() >= most {
            if let Some(first) = self.ended.pop_front() {
                sleep_until(first + rate.window).await;
            }
        }
    }

    fn ended(&mut self) {
        self.ended.push_back(Instant::now());
    }
}

/// Calls the API, one at a time.
pub(super) struct Caller<'a> {
    pub(super) api: &'a Api,
    pub(super) rate: Rate,
    pub(super) tries: Tries,
    pub(super) pacer: &'a mut Pacer,
}

impl Caller<'_> {
    /// Asks until there is an answer, or no sense in asking again.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<T, Fault> {
        let mut attempt = 1;
        loop {
            self.pacer.turn(self.rate).await;
            let answer = self.api.ask(path, body).await;
            self.pacer.ended();
            let asked = match &answer {
                Err(Fault::Throttled { after, .. }) => *after,
                Err(Fault::Transient(_)) => None,
                _ => return answer,
            };
            if attempt >= self.tries.most {
                return answer;
            }
            let wait = self.tries.wait(attempt, asked);
            if let Err(fault) = &answer {
                tracing::debug!("the sender's history is asked again in {wait:?}: {fault}");
            }
            sleep(wait).await;
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_stretch_of_time_sees_more_calls_than_the_rate_allows() {
        let rate = Rate {
            count: 5,
            window: Duration::from_secs(1),
        };
        let mut pacer = Pacer::default();
        let mut begun = Vec::new();
        for call in 0..40_u64 {
            pacer.turn(rate).await;
            begun.push(Instant::now());
            // Some take long, some no time at all.
            sleep(Duration::from_millis(call * 37 % 300)).await;
            pacer.ended();
        }
        for six in begun.windows(6) {
            assert!(six[5] - six[0] >= rate.window, "{:?}", six[5] - six[0]);
        }
    }

    #[test]
    fn a_wait_doubles_and_what_is_asked_for_counts_within_bounds() {
        let tries = Tries::default();
        let seconds = |attempt, asked: Option<u64>| {
            tries
                .wait(attempt, asked.map(Duration::from_secs))
                .as_secs()
        };
        assert_eq!([1, 2, 5, 30].map(|at| seconds(at, None)), [1, 2, 16, 120]);
        assert_eq!(seconds(1, Some(30)), 30);
        assert_eq!(seconds(4, Some(0)), 8, "no shorter than its own");
        assert_eq!(seconds(1, Some(86_400)), 120);
    }
}
