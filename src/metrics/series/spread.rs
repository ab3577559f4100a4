//! How numbers are spread, exact to an eighth of their size, in buckets that are only ever added to.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A power of two is split into so many buckets of the same width; below it each number has its own.
const EACH: u32 = 8;
/// `EACH` is two to the power of this.
const BITS: u32 = 3;
const BUCKETS: usize = ((u32::BITS - BITS + 1) * EACH) as usize;

/// Counts numbers by their size.
#[derive(Debug)]
pub(super) struct Spread {
    counts: [AtomicU64; BUCKETS],
    /// The greatest since [`Spread::take_most`].
    most: AtomicU32,
}

/// How many numbers there were of each size.
#[derive(Debug)]
pub(super) struct Counts([u64; BUCKETS]);

/// What a share of the numbers does not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of them.
    pub p50: u32,
    /// Ninety-nine of a hundred.
    pub p99: u32,
    /// All of them.
    pub max: u32,
    /// The least that `max` can be.
    least: u32,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            most: AtomicU32::new(0),
        }
    }

    pub(super) fn add(&self, number: u32) {
        self.counts[bucket(number)].fetch_add(1, Ordering::Relaxed);
        // Few numbers are the greatest so far, and looking is cheaper than writing.
        if number > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(number, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|bucket| {
            self.counts[bucket].load(Ordering::Relaxed)
        }))
    }

    /// The greatest number.
    pub(super) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// The greatest number, which is looked for anew from now on.
    pub(super) fn take_most(&self) -> u32 {
        self.most.swap(0, Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        Self([0; BUCKETS])
    }

    /// How the numbers between `before` and now are spread; `None` when there are none.
    pub(super) fn since(&self, before: &Self) -> Option<Quantiles> {
        let counts: [u64; BUCKETS] =
            std::array::from_fn(|bucket| self.0[bucket].saturating_sub(before.0[bucket]));
        let filled = || (0_u32..).zip(&counts).filter(|(_, count)| **count > 0);
        let (highest, _) = filled().last()?;
        let total: u64 = counts.iter().sum();
        let share = |percent: u64| {
            let wanted = (total * percent).div_ceil(100);
            let mut seen = 0;
            let reached = filled().find(|(_, count)| {
                seen += **count;
                seen >= wanted
            });
            reached.map_or(highest, |(bucket, _)| bucket)
        };
        Some(Quantiles {
            p50: highest_of(share(50)),
            p99: highest_of(share(99)),
            max: highest_of(highest),
            least: lowest_of(highest),
        })
    }
}

impl Quantiles {
    /// The same with `most` for the greatest number, unless that is some other minute's.
    pub(super) fn up_to(self, most: u32) -> Self {
        let max = most.clamp(self.least, self.max);
        Self {
            p50: self.p50.min(max),
            p99: self.p99.min(max),
            max,
            least: self.least,
        }
    }
}

fn bucket(number: u32) -> usize {
    if number < EACH {
        return number as usize;
    }
    let shift = number.ilog2() - BITS;
    let within = (number >> shift) % EACH;
    ((shift + 1) * EACH + within) as usize
}

/// The smallest number of a bucket.
fn lowest_of(bucket: u32) -> u32 {
    if bucket < EACH {
        return bucket;
    }
    (EACH + bucket % EACH) << (bucket / EACH - 1)
}

/// The greatest number of a bucket.
fn highest_of(bucket: u32) -> u32 {
    if bucket < EACH {
        return bucket;
    }
    lowest_of(bucket) + ((1 << (bucket / EACH - 1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_without_a_gap_up_to_the_greatest_number() {
        let mut next = 0;
        for bucket_number in 0..u32::try_from(BUCKETS).unwrap() {
            let (low, high) = (lowest_of(bucket_number), highest_of(bucket_number));
            assert_eq!(low, next, "bucket {bucket_number}");
            for number in [low, high] {
                assert_eq!(bucket(number), bucket_number as usize, "{number}");
            }
            assert!(high - low <= low / EACH, "bucket {bucket_number}");
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with the greatest number");
    }

    #[test]
    fn shares_are_of_what_came_since_and_never_beyond_the_greatest() {
        let spread = Spread::new();
        assert_eq!(spread.counts().since(&Counts::new()), None);
        spread.add(1_000_000);
        let before = spread.counts();
        assert_eq!(spread.take_most(), 1_000_000);
        assert_eq!(spread.counts().since(&before), None);
        for number in [3, 3, 3, 1001] {
            spread.add(number);
        }
        let seen = spread.counts().since(&before).unwrap();
        let exact = seen.up_to(spread.most());
        assert_eq!((exact.p50, exact.p99, exact.max), (3, 1001, 1001));
        // A greater number that was counted in another minute.
        assert!(seen.up_to(1_000_000).max < 1100);
        // One that was counted and is not yet the greatest.
        assert!((900..=1001).contains(&seen.up_to(0).max));
    }
}
