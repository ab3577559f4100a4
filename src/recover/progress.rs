//! What a look into the history has found so far.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verdict;

/// What a look into the history has found so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Whether it goes on.
    pub running: bool,
    /// Nothing is stored; what would be is counted all the same.
    pub dry_run: bool,
    /// Attempts that went well are looked at, too.
    pub all: bool,
    /// From where it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Up to where it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Records of ours in that time, each attempt one.
    pub records: u64,
    /// Dealt with before.
    pub known: u64,
    /// New, and in time.
    pub accepted: u64,
    /// Overtaken by a later event of their subject.
    pub stale: u64,
    /// In the inbox already.
    pub duplicate: u64,
    /// Duplicates whose body is not that of the first copy.
    pub differs: u64,
    /// Kept among the unreadable pushes.
    pub unreadable: u64,
    /// Commands among those accepted.
    pub commands: u64,
    /// Pushed to a URL that is no webhook of ours.
    pub misrouted: u64,
    /// Listed, but the sender does not give the push itself.
    pub missing: u64,
    /// Pushed to other URLs than `recover.endpoint`; not among the records of ours.
    #[serde(default)]
    pub elsewhere: u64,
    /// How long after the event the latest of those accepted or stale came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_late_seconds: Option<f64>,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Progress {
    pub(super) fn count(&mut self, verdict: &Verdict, late: Option<f64>) {
        match verdict {
            Verdict::Accepted { command } => {
                self.accepted += 1;
                self.commands += u64::from(*command);
            }
            Verdict::Stale => self.stale += 1,
            Verdict::Duplicate { differs } => {
                self.duplicate += 1;
                self.differs += u64::from(*differs);
            }
            Verdict::Unreadable(_) => self.unreadable += 1,
            Verdict::Misrouted(_) => self.misrouted += 1,
        }
        if matches!(verdict, Verdict::Accepted { .. } | Verdict::Stale) {
            let longest = self.most_late_seconds.unwrap_or_default();
            self.most_late_seconds = late
                .map(|late| late.max(longest))
                .or(self.most_late_seconds);
        }
    }

    /// Whether there was something, and none of it ours: the endpoint may be a wrong one.
    pub fn is_all_elsewhere(&self) -> bool {
        self.elsewhere > 0 && self.records == 0
    }

    /// The one line of a run that found something.
    pub(super) fn tell(&self, by_hand: bool) {
        let found = self.accepted + self.stale + self.duplicate + self.unreadable;
        if found == 0 || self.dry_run {
            return;
        }
        tracing::info!(
            by_hand = by_hand.then_some(true),
            since = self.since.map(tracing::field::display),
            until = self.until.map(tracing::field::display),
            records = self.records,
            accepted = self.accepted,
            stale = self.stale,
            duplicate = self.duplicate,
            unreadable = self.unreadable,
            commands = self.commands,
            elsewhere = self.elsewhere,
            most_late_seconds = self.most_late_seconds,
            "the sender's history gave {} events that had not come in",
            self.accepted + self.stale
        );
    }
}
