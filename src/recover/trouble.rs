//! Records that are listed and cannot be had, and whether that is their trouble or the API's.
//!
//! What fails while another record can be had is the record's own. Only that counts against it, and
//! only in time: an API that is in trouble costs no record. What fails while nothing else can be had
//! is under suspicion until then, and waits behind the first that still fails.

use std::time::Duration;

use tokio::time::Instant;

use super::recent::Recent;
use crate::inbox::RecordId;

/// A record is passed over after so long, so that the rest is not held up.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// And after so many failures of its own, where looks are rare.
const PROOFS: u32 = 3;
/// So many failures in a row, of records not known for it, are the API's.
const API: usize = 2;

/// What has to be done about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Ask,
    /// A later look asks, since it failed for long.
    Wait,
    /// A later look asks: it failed before, and another that did so fails still.
    Doubt,
    /// Only a person has it asked for.
    Pass,
}

/// Since when a record cannot be had.
#[derive(Debug)]
struct Trouble {
    /// Since it was known to be its own; before that, since the first failure.
    since: Instant,
    asked: Instant,
    /// How often it failed while others could be had.
    proved: u32,
    given_up: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Troubles(Recent<Trouble>);

/// What failed in one look since another record could be had.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    suspects: Vec<RecordId>,
    known: Vec<RecordId>,
    /// Others wait for what comes of that.
    is_waited_for: bool,
    by_hand: bool,
}

impl Doubt {
    /// Of a look; one by hand gives up nothing.
    pub(super) fn new(by_hand: bool) -> Self {
        Self {
            by_hand,
            ..Self::default()
        }
    }

    /// Whether one failed, and it is not known why.
    pub(super) fn is_open(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether one failed and others that did before waited, so that it may be the API.
    pub(super) fn remains(&self) -> bool {
        self.is_waited_for
    }
}

impl Troubles {
    pub(super) fn next(&self, id: &RecordId, doubt: &mut Doubt) -> Next {
        let Some(trouble) = self.0.get(id) else {
            return Next::Ask;
        };
        if trouble.proved == 0 {
            // Another tells whether it is the API.
            doubt.is_waited_for |= !doubt.suspects.is_empty();
            return match doubt.suspects.is_empty() {
                true => Next::Ask,
                false => Next::Doubt,
            };
        }
        let lasted = trouble.asked.duration_since(trouble.since);
        match doubt.by_hand {
            true => Next::Ask,
            false if trouble.given_up => Next::Pass,
            // In an API's trouble, each costs a minute.
            false if doubt.suspects.len() + doubt.known.len() >= API => Next::Wait,
            // The longer it lasts, the less often it is asked for.
            false if trouble.asked.elapsed() < lasted / 4 => Next::Wait,
            false => Next::Ask,
        }
    }

    /// A record could be had, which says something of those that could not.
    pub(super) fn had(&mut self, id: &RecordId, doubt: &mut Doubt) {
        self.0.remove(id);
        self.answered(doubt);
    }

    /// The API answered, and not with the record; whether that is given up now.
    pub(super) fn lacks(&mut self, id: RecordId, doubt: &mut Doubt) -> bool {
        self.answered(doubt);
        self.blame(id, doubt)
    }

    /// A record cannot be had, and the API has nothing to do with it; whether it is given up now.
    pub(super) fn blame(&mut self, id: RecordId, doubt: &Doubt) -> bool {
        let now = Instant::now();
        let (trouble, _) = self.0.meet(id, Trouble::new(now));
        if trouble.proved == 0 {
            trouble.since = now;
        }
        trouble.asked = now;
        trouble.proved = trouble.proved.saturating_add(1);
        let is_old = now.duration_since(trouble.since) >= PATIENCE && trouble.proved >= PROOFS;
        trouble.given_up |= is_old && !doubt.by_hand;
        trouble.given_up
    }

    /// The API did not answer for a record; whether that is the API's own trouble.
    pub(super) fn failed(&mut self, id: RecordId, doubt: &mut Doubt) -> bool {
        let now = Instant::now();
        let (trouble, _) = self.0.meet(id, Trouble::new(now));
        trouble.asked = now;
        match trouble.proved {
            0 => doubt.suspects.push(id),
            _ => doubt.known.push(id),
        }
        doubt.suspects.len() >= API
    }

    /// Whether the record failed before, and it was not the API.
    pub(super) fn knows(&self, id: &RecordId) -> bool {
        self.0.get(id).is_some_and(|trouble| trouble.proved > 0)
    }

    fn answered(&mut self, doubt: &mut Doubt) {
        let suspects = std::mem::take(&mut doubt.suspects);
        let known = std::mem::take(&mut doubt.known);
        doubt.is_waited_for = false;
        for id in suspects.into_iter().chain(known) {
            self.blame(id, doubt);
        }
    }
}

impl Trouble {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            asked: now,
            proved: 0,
            given_up: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn record(number: i64) -> RecordId {
        RecordId::new(number, "")
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_given_up_after_hours_of_failures_of_its_own() {
        let (mut troubles, mut doubt) = (Troubles::default(), Doubt::new(false));
        for _ in 0..100 {
            assert!(!troubles.lacks(record(1), &mut doubt), "it counts time");
        }
        advance(HOUR * 5).await;
        assert!(!troubles.lacks(record(1), &mut doubt));
        assert_eq!(troubles.next(&record(1), &mut doubt), Next::Wait);
        advance(HOUR * 2).await;
        assert_eq!(troubles.next(&record(1), &mut doubt), Next::Ask);
        assert!(!troubles.lacks(record(1), &mut Doubt::new(true)), "by hand");
        assert!(troubles.lacks(record(1), &mut doubt));
        assert_eq!(troubles.next(&record(1), &mut doubt), Next::Pass);
        assert_eq!(troubles.next(&record(1), &mut Doubt::new(true)), Next::Ask);
        troubles.had(&record(1), &mut doubt);
        assert_eq!(troubles.next(&record(1), &mut doubt), Next::Ask);
        // Looks are rare: hours alone are not enough.
        assert!(!troubles.lacks(record(2), &mut doubt));
        advance(HOUR * 24).await;
        assert!(!troubles.lacks(record(2), &mut doubt));
        advance(HOUR * 24).await;
        assert!(troubles.lacks(record(2), &mut doubt));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_is_in_trouble_for_days_costs_no_record() {
        let mut troubles = Troubles::default();
        for look in 2..1000 {
            let mut doubt = Doubt::new(false);
            assert_eq!(troubles.next(&record(1), &mut doubt), Next::Ask);
            assert!(!troubles.failed(record(1), &mut doubt));
            assert_eq!(troubles.next(&record(look), &mut doubt), Next::Ask);
            assert!(troubles.failed(record(look), &mut doubt), "the API's");
            advance(HOUR / 10).await;
        }
        let mut doubt = Doubt::new(false);
        for number in 1..1000 {
            assert_eq!(troubles.next(&record(number), &mut doubt), Next::Ask);
            troubles.had(&record(number), &mut doubt);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn neighbours_that_always_fail_hold_up_nobody_for_long() {
        let mut troubles = Troubles::default();
        let mut passed = Vec::new();
        for look in 0..4 {
            let mut doubt = Doubt::new(false);
            for number in 0..5 {
                if troubles.next(&record(number), &mut doubt) != Next::Ask {
                    continue;
                }
                if number == 4 {
                    troubles.had(&record(number), &mut doubt);
                    passed.push(look);
                } else if troubles.failed(record(number), &mut doubt) {
                    break;
                }
            }
        }
        assert_eq!(passed.first(), Some(&3), "{passed:?}");
    }
}
