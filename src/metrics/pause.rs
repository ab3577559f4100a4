//! Why a sink takes nothing now: for people, beside the number that is printed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a sink takes nothing, or less than it would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PauseReason {
    /// It failed again and again: the circuit breaker is open, or one delivery finds out.
    Failing,
    /// Its other side asked to be left alone.
    Held,
    /// It had as many attempts as its rate allows.
    Rate,
    /// What was handed over is not taken: nobody reads, or the disk does not write.
    Blocked,
    /// Its destination is gone until a restart.
    Gone,
    /// It is not configured, or is off, and keeps its backlog.
    Parked,
}

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// Since when; absent where nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When something is tried again; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The pauses of sinks, by name.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<BTreeMap<Arc<str>, Pause>>);

impl Pauses {
    /// One that goes on for the same reason has lasted since its beginning.
    pub(super) fn begin(&self, name: &Arc<str>, pause: Pause) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pauses
            .get(name)
            .filter(|before| before.reason == pause.reason);
        let since = before.and_then(|before| before.since).or(pause.since);
        pauses.insert(Arc::clone(name), Pause { since, ..pause });
    }

    pub(super) fn end(&self, name: &str) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.remove(name);
    }

    pub(super) fn of(&self, name: &str) -> Option<Pause> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use PauseReason::{Failing, Held};

    use super::*;

    #[test]
    fn a_pause_lasts_since_its_reason_first_held() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (pauses, name) = (Pauses::default(), Arc::from("chat"));
        let begin = |reason, since| {
            let pause = Pause {
                reason,
                since: Some(at(since)),
                until: Some(at(since + 5)),
            };
            pauses.begin(&name, pause);
            pauses.of(&name).unwrap()
        };
        assert_eq!(begin(Failing, 1).since, Some(at(1)));
        let again = begin(Failing, 9);
        assert_eq!((again.since, again.until), (Some(at(1)), Some(at(14))));
        assert_eq!(begin(Held, 10).since, Some(at(10)));
        pauses.end(&name);
        assert_eq!(begin(Held, 20).since, Some(at(20)));
    }
}
