//! Calls that keep to the rate, wait as they are asked to, and try again a few times.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dispatch::Retry;
use crate::flashduty::{Api, Fault, Identity};
use crate::inbox::Rate;

/// The longest pause that is kept; more would be no pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// How a call that fails is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// So often in all.
    pub most: u32,
    /// The wait after the first failure, which doubles with each.
    pub first: Duration,
    /// The longest wait within a look; where a longer one is asked for, the look ends.
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
        asked.map_or(own, |asked| asked.max(own))
    }
}

/// When calls ended, so that no stretch of time sees more of them than the rate allows, wherever
/// it is measured.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    ended: VecDeque<Instant>,
    /// Who asked to be left alone, and until when.
    pause: Option<(Identity, Instant)>,
    /// What time it was on the other side at the last answer.
    pub(super) there: Option<Timestamp>,
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

    /// Nothing is asked of `whom` before `long` is over, in this look or in another.
    fn rest(&mut self, whom: Identity, long: Duration) {
        let until = Instant::now() + long.min(LONGEST_PAUSE);
        let known = self.pause.filter(|(who, _)| *who == whom);
        let until = known.map_or(until, |(_, known)| known.max(until));
        self.pause = Some((whom, until));
    }

    /// How long `whom` is to be left alone from now on.
    fn rests(&self, whom: Identity) -> Duration {
        let until = self.pause.filter(|(who, _)| *who == whom);
        until.map_or(Duration::ZERO, |(_, until)| {
            until.saturating_duration_since(Instant::now())
        })
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
        let whom = self.api.identity();
        let rests = self.pacer.rests(whom);
        if rests > self.tries.longest {
            let what = "nothing is asked of the API now".to_owned();
            return Err(left_alone(what, rests));
        }
        if !rests.is_zero() {
            sleep(rests).await;
        }
        let mut attempt = 1;
        loop {
            self.pacer.turn(self.rate).await;
            let (answer, there) = self.api.ask_dated(path, body).await;
            self.pacer.ended();
            self.pacer.there = there;
            let asked = match &answer {
                Err(Fault::Throttled { after, .. }) => *after,
                Err(Fault::Transient(_) | Fault::Strange(_)) => None,
                _ => return answer,
            };
            if let Some(asked) = asked {
                self.pacer.rest(whom, asked);
            }
            match answer {
                Err(Fault::Throttled { what, .. }) if asked > Some(self.tries.longest) => {
                    return Err(left_alone(what, self.pacer.rests(whom)));
                }
                answer if attempt >= self.tries.most => return answer,
                Err(fault) => {
                    let wait = self.tries.wait(attempt, asked);
                    tracing::debug!("the sender's history is asked again in {wait:?}: {fault}");
                    sleep(wait).await;
                }
                Ok(data) => return Ok(data),
            }
            attempt += 1;
        }
    }
}

/// The fault that ends a look, and those after it, until the pause is over.
fn left_alone(what: String, rests: Duration) -> Fault {
    let seconds = rests.as_secs() + u64::from(rests.subsec_nanos() > 0);
    let long = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    Fault::Throttled {
        what: format!("{what}; it asked to be left alone for {long:#} more"),
        after: Some(rests),
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
    fn a_wait_doubles_and_is_no_shorter_than_what_is_asked_for() {
        let tries = Tries::default();
        let seconds = |attempt, asked: Option<u64>| {
            tries
                .wait(attempt, asked.map(Duration::from_secs))
                .as_secs()
        };
        assert_eq!([1, 2, 5, 30].map(|at| seconds(at, None)), [1, 2, 16, 120]);
        assert_eq!(seconds(1, Some(30)), 30);
        assert_eq!(seconds(4, Some(0)), 8, "no shorter than its own");
        assert_eq!(seconds(1, Some(119)), 119);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_whom_it_was_asked_by_and_for_a_day_at_most() {
        let api = |key: &str| {
            let patience = crate::recover::PATIENCE;
            let api = Api::new("http://127.0.0.1:1", key.into(), patience);
            api.unwrap().identity()
        };
        let mut pacer = Pacer::default();
        assert_eq!(pacer.rests(api("one")), Duration::ZERO);
        pacer.rest(api("one"), Duration::from_secs(3600));
        // A later, shorter one takes nothing away.
        pacer.rest(api("one"), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(pacer.rests(api("one")), Duration::from_secs(3000));
        assert_eq!(pacer.rests(api("two")), Duration::ZERO);
        pacer.rest(api("one"), Duration::MAX);
        assert_eq!(pacer.rests(api("one")), LONGEST_PAUSE);
    }
}
