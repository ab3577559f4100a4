//! Latencies in constant memory, and what people read off them.
//!
//! Buckets are log-linear: 128 equal steps per power of two, so that a percentile is never more
//! than 0.8 % above the true value and never below it. The maximum is exact.

use std::time::Duration;

const STEP_BITS: u32 = 7;
const STEPS: u64 = 1 << STEP_BITS;
/// Longer latencies (about 18 minutes) share the last bucket.
const MAX_EXPONENT: u32 = 40;

/// How often each latency was seen.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

/// One line of the histogram for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Latencies above the bar before and up to this one, to within a bucket.
    pub upto: Duration,
    /// So many of them.
    pub count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let buckets = bucket_of(1 << MAX_EXPONENT) + 1;
        Self {
            counts: vec![0; buckets],
            total: 0,
            max: Duration::ZERO,
        }
    }
}

impl Latencies {
    /// Counts one latency. Allocates nothing.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos.min(1 << MAX_EXPONENT))] += 1;
        self.total += 1;
        self.max = self.max.max(latency);
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The latency that `per_mille` of 1000 did not exceed; zero when none was counted.
    pub fn percentile(&self, per_mille: u64) -> Duration {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).min(self.max);
            }
        }
        self.max
    }

    /// The distribution over the steps 1, 2, 5, 10, 20 … microseconds, from the first bar that has
    /// any to the last, empty ones between them included.
    pub fn bars(&self) -> Vec<Bar> {
        let mut edges = [1, 2, 5]
            .into_iter()
            .cycle()
            .zip([1, 1, 1, 10, 10, 10, 100, 100, 100].into_iter().cycle())
            .enumerate()
            .map(|(i, (digit, scale))| {
                let thousands = u32::try_from(i / 9).expect("a handful of decades");
                Duration::from_micros(digit * scale * 1000_u64.pow(thousands))
            });
        let mut bars: Vec<Bar> = Vec::new();
        let mut edge = edges.next().expect("an endless series");
        let mut count = 0;
        let mut left = self.total;
        for (bucket, seen) in self.counts.iter().enumerate() {
            if left == 0 {
                break;
            }
            while lower_edge(bucket) > edge {
                if count > 0 || !bars.is_empty() {
                    bars.push(Bar { upto: edge, count });
                }
                count = 0;
                edge = edges.next().expect("an endless series");
            }
            count += seen;
            left -= seen;
        }
        if count > 0 {
            bars.push(Bar { upto: edge, count });
        }
        bars
    }
}

fn bucket_of(nanos: u64) -> usize {
    let exponent = nanos.max(1).ilog2();
    let bucket = if exponent <= STEP_BITS {
        nanos
    } else {
        let shift = exponent - STEP_BITS;
        u64::from(shift + 1) * STEPS + (nanos >> shift) - STEPS
    };
    usize::try_from(bucket).expect("a few thousand buckets")
}

/// The smallest latency that falls into the bucket.
fn lower_edge(bucket: usize) -> Duration {
    match bucket.checked_sub(1) {
        None => Duration::ZERO,
        Some(before) => upper_edge(before) + Duration::from_nanos(1),
    }
}

/// The largest latency that falls into the bucket.
fn upper_edge(bucket: usize) -> Duration {
    let bucket = u64::try_from(bucket).expect("a few thousand buckets");
    if bucket < 2 * STEPS {
        return Duration::from_nanos(bucket);
    }
    let shift = bucket / STEPS - 1;
    let base = bucket % STEPS + STEPS;
    Duration::from_nanos(((base + 1) << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for millis in millis {
            latencies.record(Duration::from_millis(millis));
        }
        latencies
    }

    #[test]
    fn percentiles_of_one_to_a_thousand_are_their_ranks() {
        let latencies = of(1..=1000);
        for (per_mille, millis) in [(500, 500), (900, 900), (990, 990), (999, 999)] {
            let found = latencies.percentile(per_mille).as_secs_f64() * 1000.0;
            let wanted = f64::from(millis);
            assert!(
                found >= wanted && found <= wanted * 1.008,
                "{per_mille}: {found} ms"
            );
        }
        assert_eq!(latencies.max(), Duration::from_secs(1));
        assert_eq!(latencies.percentile(1000), Duration::from_secs(1));
    }

    #[test]
    fn nothing_recorded_has_no_latency_and_no_bars() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentile(990), Duration::ZERO);
        assert!(latencies.bars().is_empty());
    }

    #[test]
    fn a_latency_beyond_the_last_bucket_keeps_its_maximum() {
        let latencies = of([1, 10_000_000]);
        assert_eq!(latencies.max(), Duration::from_secs(10_000));
        assert_eq!(latencies.len(), 2);
    }

    #[test]
    fn bars_run_from_the_first_to_the_last_that_has_any() {
        let bars = of([3, 4, 30]).bars();
        let millis: Vec<_> = bars.iter().map(|b| (b.upto.as_millis(), b.count)).collect();
        assert_eq!(millis, [(5, 2), (10, 0), (20, 0), (50, 1)]);
    }

    proptest! {
        #[test]
        fn each_latency_lies_in_its_bucket_within_one_percent(nanos in 0_u64..(1 << MAX_EXPONENT)) {
            let bucket = bucket_of(nanos);
            let upper = u64::try_from(upper_edge(bucket).as_nanos()).unwrap();
            prop_assert!(upper >= nanos);
            prop_assert!(upper - nanos <= nanos / 127);
            prop_assert!(bucket == 0 || upper_edge(bucket - 1).as_nanos() < u128::from(nanos));
        }

        #[test]
        fn bars_count_every_latency_once(nanos in proptest::collection::vec(0_u64..(1 << 36), 1..200)) {
            let mut latencies = Latencies::default();
            for nanos in &nanos {
                latencies.record(Duration::from_nanos(*nanos));
            }
            let counted: u64 = latencies.bars().iter().map(|bar| bar.count).sum();
            prop_assert_eq!(counted, latencies.len());
        }
    }
}
