//! What something costs the pushes: measured with it and without it, by turns.
//!
//! Each of a pair is a receiver of its own, on the same machine within the same minute; the median pair
//! counts, so that a neighbour who makes one of them slow is no finding.

use std::time::{Duration, Instant};

use crate::load::{Load, Plan, Tally};
use crate::receiver::{Receiver, count};

/// How much worse the median pair may be.
pub(crate) const BEARABLE: f64 = 1.25;
/// With few pairs of a few seconds each, one sync of a neighbour's is no finding.
const BEARABLE_AT_LEAST: Duration = Duration::from_millis(100);

/// What `reach` gives with it and without it, in so many pairs. Neither of the two always comes first.
pub(crate) fn by_turns<T>(pairs: usize, reach: impl Fn(bool) -> T) -> Vec<(T, T)> {
    let one = |pair: usize| {
        if pair.is_multiple_of(2) {
            let with = reach(true);
            (with, reach(false))
        } else {
            let without = reach(false);
            (reach(true), without)
        }
    };
    (0..pairs).map(one).collect()
}

/// What comes of pushes at a steady rate, for so many seconds after one that warms the receiver up, and
/// the 99th percentile of those seconds.
pub(crate) fn steady(receiver: &Receiver, rate: u32, seconds: usize) -> (Tally, Duration) {
    let load = Load::start(&Plan::of_sender(receiver.public, rate));
    let begun = Instant::now() + Duration::from_secs(1);
    std::thread::sleep(Duration::from_secs(1 + seconds as u64));
    let ended = Instant::now();
    let tally = load.stop();
    assert_eq!(tally.failed, [""; 0]);
    let p99 = tally.steady_p99(begun, ended);
    (tally, p99)
}

/// How many times as late answers are in the median pair, which has to be bearable, and what there is to
/// `tell` of each.
pub(crate) fn times_as_late<T>(
    pairs: &[(T, T)],
    p99: impl Fn(&T) -> Duration,
    tell: impl Fn(&T, &T) -> String,
) -> (f64, Vec<String>) {
    let later = times_as_long(
        pairs
            .iter()
            .map(|(with, without)| (p99(with), p99(without))),
    );
    let told = pairs.iter().map(|(with, without)| tell(with, without));
    let told: Vec<String> = told.collect();
    assert!(
        later <= BEARABLE,
        "pushes are {later:.2} times as slow: {told:?}"
    );
    (later, told)
}

/// How many times as long the first of the median pair takes.
fn times_as_long(pairs: impl Iterator<Item = (Duration, Duration)>) -> f64 {
    let least = match count(0, 1) {
        0 => BEARABLE_AT_LEAST,
        _ => Duration::ZERO,
    };
    let seconds = |took: Duration| took.max(least).as_secs_f64();
    median(pairs.map(|(with, without)| seconds(with) / seconds(without)))
}

pub(crate) fn median(ratios: impl Iterator<Item = f64>) -> f64 {
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
