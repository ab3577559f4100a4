//! A complaint about trouble that may last: made when it begins, once a minute while it goes on, and
//! taken back when it is over. Trouble that comes and goes is complained of no more often than that.

use std::time::Duration;

use tokio::time::Instant;

const AGAIN: Duration = Duration::from_secs(60);

/// What was said about one kind of trouble.
#[derive(Debug, Default)]
pub struct Complaint {
    made: Option<Instant>,
    stands: bool,
    suppressed: u64,
}

impl Complaint {
    /// There is trouble. `Some` if it is time to say so, with how often it was not since the last.
    pub fn make(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.made.is_some_and(|made| now < made + AGAIN) {
            self.suppressed += 1;
            return None;
        }
        self.made = Some(now);
        self.stands = true;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// There is none now. Whether that is news to whoever read of it.
    pub fn take_back(&mut self) -> bool {
        std::mem::take(&mut self.stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_when_it_begins_once_a_minute_and_when_it_is_over() {
        let mut complaint = Complaint::default();
        assert!(!complaint.take_back(), "nothing was wrong");
        assert_eq!(complaint.make(), Some(0));
        assert_eq!(complaint.make(), None);
        tokio::time::advance(AGAIN).await;
        assert_eq!(complaint.make(), Some(1));
        assert!(complaint.take_back());
        assert!(!complaint.take_back(), "said already");
        assert_eq!(complaint.make(), None, "it comes and goes");
        assert!(!complaint.take_back(), "nobody knows of it");
        tokio::time::advance(AGAIN).await;
        assert_eq!(complaint.make(), Some(1));
    }
}
