//! Counts of how pushes ended.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::Deserialize;

use super::connection::Answer;
use super::latency::Latencies;

/// What became of all pushes so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// 200, stored as new.
    pub accepted: u64,
    /// 200, seen before.
    pub duplicate: u64,
    /// 200, overtaken by a later event of its subject.
    pub stale: u64,
    /// 200 from something that does not say an outcome.
    pub other_ok: u64,
    /// Any other status, with what the first such answer said.
    pub refused: BTreeMap<u16, Refused>,
    /// No answer in time.
    pub timed_out: u64,
    /// No connection, or one that broke before the answer.
    pub broken: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Of answered and timed-out pushes, the latter as far as they were waited for.
    pub latencies: Latencies,
    /// From the first push to the end of the last.
    pub elapsed: Duration,
}

/// Answers of one status other than 200.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// What the first one's problem document gave as its detail.
    pub detail: Option<String>,
}

/// How one push ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// With an answer.
    Answered(Answer<'a>),
    /// Without one in time.
    TimedOut,
    /// With a connection that could not be made or broke.
    Broken(&'a io::Error),
}

impl Tally {
    /// Counts one push.
    pub fn record(&mut self, ending: Ending<'_>, latency: Duration) {
        match ending {
            Ending::Answered(answer) => self.answered(answer),
            Ending::TimedOut => self.timed_out += 1,
            Ending::Broken(error) => {
                self.broken += 1;
                self.first_error.get_or_insert_with(|| error.to_string());
                return;
            }
        }
        self.latencies.record(latency);
    }

    /// All pushes.
    pub fn pushes(&self) -> u64 {
        let ok = self.accepted + self.duplicate + self.stale + self.other_ok;
        ok + self.failed()
    }

    /// Pushes the sender would count as lost: it takes 200 in time, and nothing else.
    pub fn failed(&self) -> u64 {
        let refused: u64 = self.refused.values().map(|refused| refused.count).sum();
        refused + self.timed_out + self.broken
    }

    fn answered(&mut self, answer: Answer<'_>) {
        if answer.status != 200 {
            let refused = self.refused.entry(answer.status).or_default();
            refused.count += 1;
            if refused.count == 1 {
                refused.detail = detail(answer.body);
            }
            return;
        }
        match outcome(answer.body) {
            Some("accepted") => self.accepted += 1,
            Some("duplicate") => self.duplicate += 1,
            Some("stale") => self.stale += 1,
            _ => self.other_ok += 1,
        }
    }
}

fn outcome(body: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Said<'a> {
        outcome: &'a str,
    }
    let said: Said<'_> = serde_json::from_slice(body).ok()?;
    Some(said.outcome)
}

fn detail(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(problem.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Ending<'_> {
        Ending::Answered(Answer {
            status,
            body: body.as_bytes(),
        })
    }

    #[test]
    fn each_push_is_counted_once_by_its_ending() {
        let mut tally = Tally::default();
        let broken = io::Error::from(io::ErrorKind::ConnectionRefused);
        for ending in [
            answer(200, r#"{"outcome":"accepted","event_id":"a","seq":1}"#),
            answer(200, r#"{"outcome":"duplicate","event_id":"a","seq":1}"#),
            answer(200, r#"{"outcome":"stale","event_id":"b","seq":2}"#),
            answer(200, "ok"),
            answer(403, r#"{"detail":"1.2.3.4 may not push"}"#),
            answer(403, r#"{"detail":"something else"}"#),
            answer(201, ""),
            Ending::TimedOut,
            Ending::Broken(&broken),
        ] {
            tally.record(ending, Duration::from_millis(1));
        }
        assert_eq!((tally.pushes(), tally.failed()), (9, 5));
        let counts = (tally.accepted, tally.duplicate, tally.stale, tally.other_ok);
        assert_eq!(counts, (1, 1, 1, 1));
        assert_eq!(tally.refused[&403].count, 2);
        let detail = tally.refused[&403].detail.as_deref();
        assert_eq!(detail, Some("1.2.3.4 may not push"));
        assert_eq!((tally.timed_out, tally.broken), (1, 1));
        assert_eq!(tally.latencies.len(), 8, "a broken push has no latency");
    }
}
