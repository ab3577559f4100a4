//! What each sink took and failed to take, by the same minutes.
//!
//! It is counted where deliveries end, which no push waits for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{MINUTES, Minute, number};

/// What a sink did in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Deliveries that it took.
    pub delivered: u64,
    /// Attempts that failed, be they tried again or not.
    pub failed: u64,
}

/// The minutes in which something ended, with their numbers, oldest first.
type Minutes = VecDeque<(u64, Done)>;

/// The last hour of each sink, by the minute.
#[derive(Debug)]
pub struct SinkSeries {
    began: Instant,
    minutes: Mutex<BTreeMap<Arc<str>, Minutes>>,
}

impl SinkSeries {
    /// Begins with nothing at `now`.
    pub(in crate::metrics) fn new(now: Instant) -> Self {
        Self {
            began: now,
            minutes: Mutex::default(),
        }
    }

    /// Counts what `sink` did at `now`.
    pub(in crate::metrics) fn count(&self, sink: &Arc<str>, done: Done, now: Instant) {
        if done == Done::default() {
            return;
        }
        let number = number(self.began, now);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = minutes.entry(Arc::clone(sink)).or_default();
        // Another thread may have begun a later minute by now: then it counts there.
        if kept.back().is_none_or(|(last, _)| *last < number) {
            kept.push_back((number, Done::default()));
        }
        if let Some((_, counted)) = kept.back_mut() {
            counted.delivered += done.delivered;
            counted.failed += done.failed;
        }
        while kept
            .front()
            .is_some_and(|(first, _)| first + MINUTES <= number)
        {
            kept.pop_front();
        }
    }

    /// What each sink did in `minute`, by name, where it did something.
    pub fn of(&self, minute: &Minute) -> BTreeMap<String, Done> {
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let done = minutes.iter().filter_map(|(sink, kept)| {
            let (_, done) = kept.iter().find(|(number, _)| *number == minute.number)?;
            Some((sink.to_string(), *done))
        });
        done.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_minute_has_what_each_sink_did_in_it_for_an_hour() {
        let began = Instant::now();
        let series = SinkSeries::new(began);
        let at = |minutes: u64| began + Duration::from_secs(minutes * 60);
        let done = |delivered, failed| Done { delivered, failed };
        let (log, chat): (Arc<str>, Arc<str>) = ("log".into(), "chat".into());
        series.count(&log, done(3, 0), at(0));
        series.count(&log, done(2, 1), at(0));
        series.count(&chat, done(0, 4), at(2));
        series.count(&chat, done(0, 0), at(3));
        let of = |minute| {
            let done = series.of(&Minute::empty(minute)).into_iter();
            done.map(|(sink, done)| (sink, done.delivered, done.failed))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0), [("log".to_owned(), 5, 1)]);
        assert_eq!(of(1), []);
        assert_eq!(of(2), [("chat".to_owned(), 0, 4)]);
        assert_eq!(of(3), []);
        for minute in 60..200 {
            series.count(&log, done(1, 0), at(minute));
        }
        assert_eq!(of(0), []);
        assert_eq!(series.minutes.lock().unwrap()[&log].len(), 60);
        // Who was held up between the clock and the count loses nothing.
        series.count(&log, done(7, 0), at(150));
        assert_eq!(of(199), [("log".to_owned(), 8, 0)]);
    }
}
