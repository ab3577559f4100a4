//! A spill whose receiver is gone, drained by somebody else.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Spilled;
use crate::event::{Event, Outcome};
use crate::inbox::{Batch, Inbox, InboxError, Offer, Taken, Unreadable, UnreadableBounds, Wanted};

/// What became of events that were drained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drained {
    /// New, and on the way to the sinks.
    pub accepted: u64,
    /// New, but overtaken by what came later.
    pub stale: u64,
    /// In the store already.
    pub duplicate: u64,
    /// Kept as unreadable pushes: refused by the store, or never understood.
    pub unreadable: u64,
}

impl Drained {
    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
        self.unreadable += other.unreadable;
    }

    /// Counts `row`, and says what is left of a duplicate with another body.
    pub fn count(&mut self, row: &Spilled, taken: &Taken) -> Option<Unreadable> {
        match taken.outcome() {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Stale => self.stale += 1,
            Outcome::Duplicate => self.duplicate += 1,
        }
        let first = taken.seq().filter(|_| taken.differs())?;
        let reason = format!("a duplicate of event {first} with another body");
        Some(Unreadable::of(&row.event, reason))
    }

    /// Counts `row`, which the store does not take, and says what is kept of it.
    ///
    /// # Errors
    /// What to do, where `bounds` leave no room for it: it was acknowledged, and stays where it is.
    pub fn refuse(
        &mut self,
        row: &Spilled,
        bounds: UnreadableBounds,
        reason: &str,
    ) -> Result<Unreadable, String> {
        if !bounds.hold(&row.event.body) {
            return Err(format!(
                "the store refuses an event of the spill ({reason}), and admission.keep_unreadable \
                 and admission.keep_unreadable_bytes leave no room to keep it: raise them"
            ));
        }
        self.unreadable += 1;
        let reason = format!("refused when it was drained from the spill: {reason}");
        Ok(Unreadable::of(&row.event, reason))
    }
}

/// Offers `rows` to `inbox`, in their order; once it returns, all are durable there but for what is given back, which
/// the caller keeps as unreadable. Offered again, they are duplicates.
///
/// # Errors
/// When the store takes nothing now, or what it refuses has no room within `bounds`; some of the rows may be in
/// it.
pub async fn admit(
    inbox: &dyn Inbox,
    bounds: UnreadableBounds,
    rows: &[Spilled],
    wanted: &(dyn Fn(&Event) -> Arc<[Wanted]> + Sync),
    now: Timestamp,
) -> Result<(Drained, Vec<Unreadable>), InboxError> {
    let offers: Vec<Offer> = rows
        .iter()
        .map(|row| row.offer(wanted(&row.event)))
        .collect();
    let batch = |offers: &[Offer]| {
        Arc::new(Batch {
            offers: offers.to_vec(),
            ..Batch::default()
        })
    };
    let mut drained = Drained::default();
    let mut unusable = Vec::new();
    match inbox.commit(batch(&offers), now).await {
        Ok(committed) => {
            for (row, offered) in rows.iter().zip(committed.offered) {
                unusable.extend(drained.count(row, &Taken::Judged(offered)));
            }
        }
        Err(InboxError::Refused(_)) => {
            // One bad event must not fail its neighbours.
            for (row, offer) in rows.iter().zip(&offers) {
                match inbox.commit(batch(std::slice::from_ref(offer)), now).await {
                    Ok(committed) => {
                        for offered in committed.offered {
                            unusable.extend(drained.count(row, &Taken::Judged(offered)));
                        }
                    }
                    Err(InboxError::Refused(reason)) => {
                        let kept = drained.refuse(row, bounds, &reason);
                        unusable.push(kept.map_err(InboxError::Refused)?);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok((drained, unusable))
}
