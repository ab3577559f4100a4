//! Limits how often one kind of line is logged, so that nobody can fill the disk from outside.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of line: at most one every ten seconds, unless another time is given.
#[derive(Debug)]
pub(super) struct Throttle {
    interval: Duration,
    state: Mutex<State>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::every(INTERVAL)
    }
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    silenced: u64,
}

impl Throttle {
    /// At most one line every `interval`.
    pub(super) fn every(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    /// `Some` if the line may be logged now, with the number of lines left out since the last.
    pub(super) fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock().expect("no panic while counting");
        if state.last.is_some_and(|last| now < last + self.interval) {
            state.silenced += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.silenced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_line_tells_how_many_were_left_out() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
        assert_eq!(throttle.pass(), None);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.pass(), Some(2));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.pass(), Some(0));
    }
}
