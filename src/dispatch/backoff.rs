//! How long to wait between attempts.

use std::time::Duration;

/// When a failed delivery is tried again, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The longest wait after the first failure; doubles with each.
    pub initial: Duration,
    /// The longest wait at all.
    pub max: Duration,
    /// A delivery whose event is older than this is given up.
    pub max_elapsed: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(300),
            max_elapsed: Duration::from_secs(86_400),
        }
    }
}

impl Retry {
    /// The wait after `attempt` (from 1) failed: full jitter, so anything from nothing to the
    /// doubled wait, `chance` of it (0 to 1).
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let ceiling = self.initial.saturating_mul(1 << doublings).min(self.max);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// The longest that the waits after `attempts` failures can have been together.
    pub fn waited(&self, attempts: u32) -> Duration {
        let waits = (1..=attempts).map(|attempt| self.delay(attempt, 1.0));
        waits.fold(Duration::ZERO, Duration::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let retry = Retry::default();
        let ceilings: Vec<u64> = [1, 2, 3, 9, 10, 40, u32::MAX]
            .iter()
            .map(|n| retry.delay(*n, 1.0).as_secs())
            .collect();
        assert_eq!(ceilings, [1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn jitter_reaches_from_nothing_to_the_ceiling() {
        let retry = Retry::default();
        assert_eq!(retry.delay(3, 0.0), Duration::ZERO);
        assert_eq!(retry.delay(3, 0.5), Duration::from_secs(2));
    }
}
