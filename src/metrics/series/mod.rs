//! The last hour by the minute: pushes by outcome, how long their answers took, and how far behind
//! its own time each event came.
//!
//! A push only adds to counters that never go back; it waits for nothing and allocates nothing. Who
//! comes first in a new minute notes where the counters stood, and what lies between two notes is a
//! minute. So no count is lost or seen twice; one that comes in that very moment may be seen in the
//! minute beside its own.

mod sinks;
mod spread;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::sinks::{Done, SinkSeries};
pub use self::spread::Quantiles;
use self::spread::{Counts, Spread};
use super::PushOutcome;

/// Minutes that are kept, the present one among them.
const MINUTES: u64 = 60;

const MINUTE: Duration = Duration::from_secs(60);
/// For all minutes before the present one, so that noting one never allocates.
const ROOM: usize = 60;
const OUTCOMES: usize = PushOutcome::ALL.len();

/// Counts by the minute.
#[derive(Debug)]
pub struct Series {
    began: Instant,
    /// The minute that is counted now, from the beginning; a copy of `Notes::minute`.
    minute: AtomicU64,
    pushes: [AtomicU64; OUTCOMES],
    /// Microseconds.
    acks: Spread,
    /// Milliseconds.
    lags: Spread,
    notes: Mutex<Notes>,
}

/// One minute of the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    number: u64,
    /// Answered requests to the webhook path, in the order of [`PushOutcome::ALL`].
    pub pushes: [u64; OUTCOMES],
    /// From the first byte to the answer, in microseconds.
    pub acks: Option<Quantiles>,
    /// Received minus event time, in milliseconds.
    pub lags: Option<Quantiles>,
}

/// Where the counters stand.
#[derive(Debug)]
struct Standing {
    pushes: [u64; OUTCOMES],
    acks: Counts,
    lags: Counts,
}

/// What is known of the minutes before, and where the counters stood when the present one began.
#[derive(Debug)]
struct Notes {
    minute: u64,
    /// Those in which something came, oldest first.
    past: VecDeque<Minute>,
    began: Standing,
}

impl Series {
    /// Begins with nothing at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            minute: AtomicU64::new(0),
            pushes: [const { AtomicU64::new(0) }; OUTCOMES],
            acks: Spread::new(),
            lags: Spread::new(),
            notes: Mutex::new(Notes {
                minute: 0,
                past: VecDeque::with_capacity(ROOM),
                began: Standing {
                    pushes: [0; OUTCOMES],
                    acks: Counts::new(),
                    lags: Counts::new(),
                },
            }),
        }
    }

    /// Counts a request that was answered `took` after it began.
    pub(super) fn answered(&self, outcome: PushOutcome, took: Duration, now: Instant) {
        self.turn(now);
        self.pushes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.acks.add(saturated(took.as_micros()));
    }

    /// Counts an event that came `lag` after its own time.
    pub(super) fn lagged(&self, lag: Duration, now: Instant) {
        self.turn(now);
        self.lags.add(saturated(lag.as_millis()));
    }

    /// The last minutes, oldest first and the present one last, each with how long ago it began.
    pub fn last(&self, now: Instant) -> Vec<(Duration, Minute)> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut notes, self.number(now));
        let mut present = Minute::between(notes.minute, &notes.began, &self.standing());
        present.raise(self.acks.most(), self.lags.most());
        // Others may have begun a minute that this caller's `now` does not know of yet.
        let elapsed = now.saturating_duration_since(self.began);
        let first = present.number.saturating_sub(MINUTES - 1);
        let minutes = (first..=present.number).map(|number| {
            let minute = match notes.past.iter().find(|past| past.number == number) {
                _ if number == present.number => present,
                Some(past) => *past,
                None => Minute::empty(number),
            };
            let offset = Duration::from_secs(number.saturating_mul(MINUTE.as_secs()));
            (elapsed.saturating_sub(offset), minute)
        });
        minutes.collect()
    }

    fn number(&self, now: Instant) -> u64 {
        number(self.began, now)
    }

    /// Begins a new minute if it is time to and nobody else is at it.
    fn turn(&self, now: Instant) {
        let number = self.number(now);
        if number <= self.minute.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut notes) = self.notes.try_lock() {
            self.note(&mut notes, number);
        }
    }

    fn note(&self, notes: &mut Notes, number: u64) {
        if number <= notes.minute {
            return;
        }
        // Read once: what comes from here on belongs to the new minute.
        let standing = self.standing();
        let mut past = Minute::between(notes.minute, &notes.began, &standing);
        past.raise(self.acks.take_most(), self.lags.take_most());
        if past.has_something() {
            notes.past.push_back(past);
        }
        let oldest = number.saturating_sub(MINUTES - 1);
        while notes.past.front().is_some_and(|past| past.number < oldest) {
            notes.past.pop_front();
        }
        notes.minute = number;
        notes.began = standing;
        self.minute.store(number, Ordering::Relaxed);
    }

    fn standing(&self) -> Standing {
        Standing {
            pushes: std::array::from_fn(|outcome| self.pushes[outcome].load(Ordering::Relaxed)),
            acks: self.acks.counts(),
            lags: self.lags.counts(),
        }
    }
}

impl Minute {
    fn empty(number: u64) -> Self {
        Self {
            number,
            pushes: [0; OUTCOMES],
            acks: None,
            lags: None,
        }
    }

    fn between(number: u64, began: &Standing, ended: &Standing) -> Self {
        let pushes = |outcome: usize| ended.pushes[outcome].saturating_sub(began.pushes[outcome]);
        Self {
            number,
            pushes: std::array::from_fn(pushes),
            acks: ended.acks.since(&began.acks),
            lags: ended.lags.since(&began.lags),
        }
    }

    /// Makes the greatest numbers exact.
    fn raise(&mut self, acks: u32, lags: u32) {
        self.acks = self.acks.map(|spread| spread.up_to(acks));
        self.lags = self.lags.map(|spread| spread.up_to(lags));
    }

    fn has_something(&self) -> bool {
        self.pushes.iter().any(|count| *count > 0) || self.acks.is_some() || self.lags.is_some()
    }
}

/// Which minute from the beginning `now` is in.
fn number(began: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(began).as_secs() / MINUTE.as_secs()
}

fn saturated(value: u128) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A series and a way to say when something comes, in seconds from its beginning.
    fn begun() -> (Series, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        let at = move |seconds| began + Duration::from_secs(seconds);
        (Series::new(began), at)
    }

    fn counts(series: &Series, now: Instant) -> Vec<u64> {
        let minutes = series.last(now).into_iter();
        minutes
            .map(|(_, minute)| minute.pushes.iter().sum())
            .collect()
    }

    #[test]
    fn each_minute_has_what_came_in_it_and_a_quiet_one_has_nothing() {
        let (series, at) = begun();
        series.answered(PushOutcome::accepted, MILLI, at(1));
        series.answered(PushOutcome::accepted, MILLI, at(59));
        series.answered(PushOutcome::denied, MILLI, at(60));
        series.answered(PushOutcome::stale, MILLI, at(245));
        assert_eq!(counts(&series, at(250)), [2, 1, 0, 0, 1]);
        assert_eq!(counts(&series, at(300)), [2, 1, 0, 0, 1, 0]);
        let minutes = series.last(at(300));
        let (ago, second) = minutes[1];
        assert_eq!(ago, Duration::from_secs(240));
        let denied = PushOutcome::denied as usize;
        assert_eq!(second.pushes[denied], 1);
        assert!(minutes[2].1.acks.is_none());
    }

    #[test]
    fn an_hour_is_kept_and_nothing_of_before() {
        let (series, at) = begun();
        for minute in 0..200 {
            series.answered(PushOutcome::accepted, MILLI, at(minute * 60));
        }
        let seen = series.last(at(199 * 60 + 30));
        assert_eq!(seen.len(), 60);
        assert_eq!(seen[0].0, Duration::from_secs(59 * 60 + 30));
        assert!(seen.iter().all(|(_, minute)| minute.pushes[0] == 1));
        assert_eq!(series.notes.lock().unwrap().past.len(), 59);
        assert_eq!(counts(&series, at(400 * 60)), [0; 60]);
    }

    #[test]
    fn a_minute_tells_how_long_answers_took_and_how_late_events_came() {
        let (series, at) = begun();
        for millis in 1..=100 {
            let took = Duration::from_millis(millis);
            series.answered(PushOutcome::accepted, took, at(0));
            series.lagged(took * 10, at(0));
        }
        series.answered(PushOutcome::late, Duration::from_secs(4000), at(60));
        let minutes = series.last(at(60));
        let acks = minutes[0].1.acks.unwrap();
        assert_eq!(acks.max, 100_000);
        assert!((50_000..=57_000).contains(&acks.p50), "{acks:?}");
        assert!((99_000..=100_000).contains(&acks.p99), "{acks:?}");
        assert_eq!(minutes[0].1.lags.unwrap().max, 1000);
        let acks = minutes[1].1.acks.unwrap();
        assert_eq!(acks.max, 4_000_000_000, "the minute before is forgotten");
        assert!(acks.p50 > 3_500_000_000, "{acks:?}");
        assert!(minutes[1].1.lags.is_none());
    }

    #[test]
    fn nothing_is_lost_or_seen_twice_while_minutes_pass_under_many_threads() {
        const EACH: u64 = 20_000;
        let (series, _) = begun();
        let began = series.began;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for number in 0..EACH {
                            // Fifty minutes go by.
                            let now = began + Duration::from_millis(number * 150);
                            series.answered(PushOutcome::accepted, MILLI, now);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _looked = series.last(began);
                }
            });
            for thread in pushing {
                thread.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let end = began + Duration::from_secs(51 * 60);
        assert_eq!(counts(&series, end).iter().sum::<u64>(), 4 * EACH);
    }
}
