//! What `status` says beside readiness and counts: sinks, recovery and replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Admin;
use crate::inbox::query::{Counts, SinkCounts};
use crate::inbox::{InboxError, Replica, Space};
use crate::metrics::{Pause, PauseReason};
use crate::recover::LastRun;

/// A sink that is configured, or of which the store knows.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SinkStatus {
    /// Its name.
    pub sink: String,
    /// Whether it is in the configuration and not turned off.
    pub configured: bool,
    /// Why it takes nothing now, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Deliveries not settled. This and what follows is absent while the store does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// When the oldest of them was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending_at: Option<Timestamp>,
    /// How long ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending_seconds: Option<f64>,
    /// Deliveries given up and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<u64>,
}

/// How fetching from the sender's history is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryStatus {
    /// Up to where the history was read by itself; absent before the first time, and while the store
    /// does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// The last look into it since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// A receiver of the store, and whether it still says that it is there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaStatus {
    /// Who it is.
    #[serde(flatten)]
    pub replica: Replica,
    /// The last time it said so, where that is too long ago: it was killed, or does not reach the
    /// database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
}

/// What only the store knows.
pub(super) struct Numbers {
    pub(super) counts: Counts,
    pub(super) space: Space,
    reached: Option<Timestamp>,
    /// Sinks that have used up their rates, and when they have an attempt again.
    exhausted: BTreeMap<String, Timestamp>,
    replicas: Vec<Replica>,
}

/// How long `status` waits for the store.
const WITHIN: Duration = Duration::from_secs(3);

impl Numbers {
    /// What the store says of itself; none while it is away. Who looks at a receiver then does not
    /// wait as long as a query may take.
    pub(super) async fn ask(admin: &Admin) -> Result<Option<Self>, InboxError> {
        match timeout(WITHIN, Self::read(admin)).await {
            Ok(Ok(numbers)) => Ok(Some(numbers)),
            Ok(Err(InboxError::Away(_))) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(error),
        }
    }

    async fn read(admin: &Admin) -> Result<Self, InboxError> {
        let inbox = &admin.inbox;
        let counts = inbox.counts().await?;
        let mark = inbox.recovery_mark().await?;
        Ok(Self {
            space: inbox.space().await?,
            reached: mark.map(|mark| mark.reached),
            exhausted: exhausted(admin, &counts).await?,
            replicas: inbox.replicas().await?,
            counts,
        })
    }
}

/// Of the sinks for which something waits.
async fn exhausted(
    admin: &Admin,
    counts: &Counts,
) -> Result<BTreeMap<String, Timestamp>, InboxError> {
    let mut found = BTreeMap::new();
    let configured = admin.hooks.sinks();
    for SinkCounts { sink, pending, .. } in &counts.sinks {
        let rates = configured.get(sink).filter(|rates| !rates.is_empty());
        let number = admin.hooks.target(sink).map(|target| target.sink);
        if let (Some(rates), Some(number), 1..) = (rates, number, *pending) {
            let (rates, now) = (Arc::clone(rates), admin.clock.now());
            let until = admin.inbox.exhausted(number, rates, now).await?;
            found.extend(until.map(|until| (sink.clone(), until)));
        }
    }
    Ok(found)
}

/// All sinks, by name.
pub(super) fn sinks(admin: &Admin, numbers: Option<&Numbers>) -> Vec<SinkStatus> {
    let now = admin.clock.now();
    let configured = admin.hooks.sinks();
    let counted: BTreeMap<&str, &SinkCounts> = numbers
        .into_iter()
        .flat_map(|numbers| &numbers.counts.sinks)
        .map(|counts| (counts.sink.as_str(), counts))
        .collect();
    let names = configured.keys().map(String::as_str);
    let names: BTreeSet<&str> = names.chain(counted.keys().copied()).collect();
    let status = |name: &str| {
        let counts = counted.get(name);
        let is_configured = configured.contains_key(name);
        let oldest = counts.and_then(|counts| counts.oldest_pending_at);
        let found = Found {
            configured: is_configured,
            shown: admin.metrics.pause_of(name),
            held_until: counts.and_then(|counts| counts.held_until),
            exhausted_until: numbers.and_then(|numbers| numbers.exhausted.get(name).copied()),
        };
        SinkStatus {
            sink: name.to_owned(),
            configured: is_configured,
            paused: found.pause(now),
            pending: counts.map(|counts| counts.pending),
            oldest_pending_at: oldest,
            oldest_pending_seconds: oldest
                .map(|oldest| now.duration_since(oldest).as_secs_f64().max(0.0)),
            dead: counts.map(|counts| counts.dead),
        }
    };
    names.into_iter().map(status).collect()
}

/// What may keep a sink from taking something.
#[derive(Debug, Clone, Copy)]
struct Found {
    configured: bool,
    /// What its deliveries have shown.
    shown: Option<Pause>,
    held_until: Option<Timestamp>,
    exhausted_until: Option<Timestamp>,
}

impl Found {
    /// The first of the reasons that holds; one that is over by now is none.
    fn pause(self, now: Timestamp) -> Option<Pause> {
        let pause = |reason, until| Pause {
            reason,
            since: None,
            until,
        };
        if !self.configured {
            return Some(pause(PauseReason::Parked, None));
        }
        let to_come = |until: Option<Timestamp>| until.filter(|until| *until > now);
        let shown = self.shown.and_then(|shown| {
            let until = to_come(shown.until);
            let is_over = shown.reason == PauseReason::Held && until.is_none();
            (!is_over).then_some(Pause { until, ..shown })
        });
        let held = to_come(self.held_until).map(|until| pause(PauseReason::Held, Some(until)));
        let exhausted = to_come(self.exhausted_until);
        let exhausted = exhausted.map(|until| pause(PauseReason::Rate, Some(until)));
        shown.or(held).or(exhausted)
    }
}

pub(super) fn recovery(admin: &Admin, numbers: Option<&Numbers>) -> RecoveryStatus {
    RecoveryStatus {
        reached: numbers.and_then(|numbers| numbers.reached),
        last_run: admin.hooks.last_recovery(),
    }
}

/// Three signs of life are missing.
const SILENT: SignedDuration = SignedDuration::from_secs(30);

/// This receiver, and those that share its store.
pub(super) fn replicas(admin: &Admin, numbers: Option<&Numbers>) -> Vec<ReplicaStatus> {
    let known = numbers.map(|numbers| numbers.replicas.as_slice());
    told(known.unwrap_or_default(), admin.hooks.replica())
}

/// The times in the store are by its own clock, so the last sign of life there says how late it is:
/// this receiver gives some as well.
fn told(known: &[Replica], me: Replica) -> Vec<ReplicaStatus> {
    let latest = known.iter().map(|one| one.seen_at).max();
    let others = known.iter().filter(|one| one.name != me.name);
    let others = others.map(|one| ReplicaStatus {
        silent_since: latest
            .filter(|latest| latest.duration_since(one.seen_at) > SILENT)
            .map(|_| one.seen_at),
        replica: one.clone(),
    });
    let mut all: Vec<ReplicaStatus> = others.collect();
    all.push(ReplicaStatus {
        replica: me,
        silent_since: None,
    });
    all.sort_by(|a, b| a.replica.name.cmp(&b.replica.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_receiver_that_is_silent_is_shown_with_its_last_sign_of_life() {
        let replica = |name: &str, seen| Replica {
            name: name.to_owned(),
            started_at: at(0),
            seen_at: at(seen),
            version: "1.2.3".to_owned(),
        };
        // By the clock of the database, which is behind that of this receiver.
        let known = [replica("b", 100), replica("a", 70), replica("c", 69)];
        let all = told(&known, replica("b", 500));
        let shown: Vec<_> = all
            .iter()
            .map(|one| (&*one.replica.name, one.silent_since))
            .collect();
        assert_eq!(shown, [("a", None), ("b", None), ("c", Some(at(69)))]);
        assert_eq!(all[1].replica.seen_at, at(500));
        assert_eq!(told(&[], replica("b", 500)).len(), 1);
    }

    const WORKING: Found = Found {
        configured: true,
        shown: None,
        held_until: None,
        exhausted_until: None,
    };

    fn shown(reason: PauseReason, until: Option<i64>) -> Found {
        let pause = Pause {
            reason,
            since: Some(at(5)),
            until: until.map(at),
        };
        Found {
            shown: Some(pause),
            ..WORKING
        }
    }

    #[test]
    fn why_a_sink_takes_nothing_is_told_with_the_time_while_that_is_to_come() {
        use PauseReason::{Blocked, Failing, Held, Parked, Rate};
        let later = Some(at(20));
        for (found, wanted) in [
            (WORKING, None),
            (shown(Failing, Some(20)), Some((Failing, later))),
            (shown(Failing, Some(9)), Some((Failing, None))),
            (shown(Blocked, None), Some((Blocked, None))),
            (shown(Held, Some(20)), Some((Held, later))),
            (shown(Held, Some(9)), None),
            (
                Found {
                    held_until: later,
                    ..shown(Held, Some(9))
                },
                Some((Held, later)),
            ),
            (
                Found {
                    exhausted_until: later,
                    ..WORKING
                },
                Some((Rate, later)),
            ),
            (
                Found {
                    configured: false,
                    held_until: later,
                    ..WORKING
                },
                Some((Parked, None)),
            ),
        ] {
            let told = found.pause(at(10));
            let told = told.map(|pause| (pause.reason, pause.until));
            assert_eq!(told, wanted, "{found:?}");
        }
        let failing = shown(Failing, None).pause(at(10));
        assert_eq!(failing.and_then(|pause| pause.since), Some(at(5)));
    }
}
