//! What is asked of the database while nobody waits: transactions that drain the spill, and probes.
//!
//! A row leaves the file only after the database confirmed that it has the event, or, where it will
//! not take it as an event, that it has it as an unreadable push.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::spell::{Flight, LAST_FEW, SECOND, Spell};
use super::{LONG, MAX_BYTES, PATIENCE};
use crate::aside::aside;
use crate::inbox::committer::CommitterOptions;
use crate::inbox::group::Group;
use crate::inbox::spill::{InForce, SpillOptions, Spilled};
use crate::inbox::{Batch, Committed, Inbox, InboxError, Offered, Unreadable};

/// Events that are routed before others may run.
const STRETCH: usize = 64;

/// What was asked has ended.
pub(in crate::inbox::group) enum Landed {
    /// With the time that took.
    Probed(Result<Duration, InboxError>),
    Committed(Box<Transaction>),
}

/// A transaction that has ended.
pub(in crate::inbox::group) struct Transaction {
    pub(super) batch: Arc<Batch>,
    pub(super) committed: Result<Committed, InboxError>,
    /// Whether its events left the file, also for the box of unreadable pushes.
    pub(super) cleared: Result<(), InboxError>,
    pub(super) begun: Instant,
    pub(super) took: Duration,
}

/// Commits `batch`, whose events are not in the file.
pub(super) fn committing(
    options: &CommitterOptions,
    batch: Arc<Batch>,
) -> BoxFuture<'static, Landed> {
    let (inbox, now) = (Arc::clone(&options.inbox), options.clock.now());
    Box::pin(async move {
        let begun = Instant::now();
        let committed = inbox.commit(Arc::clone(&batch), now).await;
        Landed::Committed(Box::new(Transaction {
            batch,
            committed,
            cleared: Ok(()),
            begun,
            took: begun.elapsed(),
        }))
    })
}

/// Finds out whether the database answers, and is known.
pub(super) fn probe(
    inbox: &Arc<dyn Inbox>,
    in_force: &Arc<dyn InForce>,
) -> BoxFuture<'static, Landed> {
    let (inbox, in_force) = (Arc::clone(inbox), Arc::clone(in_force));
    Box::pin(async move {
        let begun = Instant::now();
        let asked = async {
            inbox.probe().await?;
            match in_force.is_known() {
                true => Ok(begun.elapsed()),
                false => Err(InboxError::Away("it is not known yet".to_owned())),
            }
        };
        let silent = || InboxError::Away("it does not answer".to_owned());
        let probed = tokio::time::timeout(SECOND, asked).await;
        Landed::Probed(probed.unwrap_or_else(|_elapsed| Err(silent())))
    })
}

impl Group {
    /// Sends the oldest events off, together with whatever else waits for the database.
    pub(super) fn drain(&mut self, spell: &mut Spell) {
        // A late transaction may have removed some of them.
        let waiting = usize::try_from(spell.waiting()).unwrap_or(usize::MAX);
        spell.suspects = spell.suspects.min(waiting);
        let suspects = spell.suspects > 0;
        let mut rest = Batch::default();
        if !suspects {
            rest.settled = std::mem::take(&mut self.settled);
            rest.recovered = std::mem::take(&mut self.recovered);
            rest.claims = self.claims_while(true);
            self.ride_by = None;
        }
        let nothing =
            rest.settled.is_empty() && rest.recovered.is_empty() && rest.claims.is_empty();
        if nothing && spell.waiting() == 0 {
            return;
        }
        let now = Instant::now();
        let all = spell.is_nearly_empty();
        if all && self.lates.is_empty() {
            // Once, until something was written again: whoever waits does so no longer than this.
            spell.hold_until.get_or_insert(now + PATIENCE);
        }
        let (settled, recovered) = (rest.settled.clone(), rest.recovered.clone());
        let drain = Drain {
            options: self.options.clone(),
            spill: spell.options.clone(),
            count: match (suspects, all) {
                (true, _) => spell.size.min(spell.suspects),
                (false, true) => spell.size.max(LAST_FEW),
                (false, false) => spell.size,
            },
            suspects,
        };
        spell.flight = Some(Flight {
            future: Box::pin(drain.run(rest)),
            end: now + LONG,
            settled,
            recovered,
        });
    }
}

struct Drain {
    options: CommitterOptions,
    spill: SpillOptions,
    count: usize,
    /// One of these was refused, and it is not known which.
    suspects: bool,
}

impl Drain {
    async fn run(self, mut batch: Batch) -> Landed {
        let begun = Instant::now();
        let rows = self.spill.spill.oldest(self.count, MAX_BYTES).await;
        let (rows, unread) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        for (place, row) in rows.iter().enumerate() {
            if place % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
            let (in_force, event) = (Arc::clone(&self.spill.in_force), Arc::clone(&row.event));
            let bytes = event.body.len() as u64;
            let wanted = aside(bytes, move || in_force.wanted(&event)).await;
            batch.offers.push(row.offer(wanted));
        }
        let batch = Arc::new(batch);
        let (inbox, now) = (&self.options.inbox, self.options.clock.now());
        let committed = match unread {
            None => inbox.commit(Arc::clone(&batch), now).await,
            Some(error) => Err(error),
        };
        let took = begun.elapsed();
        let cleared = match (&committed, &*rows) {
            (Ok(committed), rows) => self.clear(rows, &committed.offered).await,
            (Err(InboxError::Refused(reason)), [row]) if self.suspects => {
                self.put_away(row, reason).await
            }
            (Err(_), _) => Ok(()),
        };
        Landed::Committed(Box::new(Transaction {
            batch,
            committed,
            cleared,
            begun,
            took,
        }))
    }

    /// Removes what is in the database; a body that differs from the first copy's is kept, too.
    async fn clear(&self, rows: &[Spilled], offered: &[Offered]) -> Result<(), InboxError> {
        let differing = rows
            .iter()
            .zip(offered)
            .filter(|(_, offered)| offered.differs);
        let copies = differing.clone().map(|(row, offered)| {
            let reason = format!("a duplicate of event {} with another body", offered.seq);
            Unreadable::of(&row.event, reason)
        });
        match self.keep(copies.collect()).await {
            Err(InboxError::Refused(reason)) => {
                tracing::error!(
                    "what differs from the first copy cannot be kept, so it stays in the spill: {reason}"
                );
                for (row, _) in differing {
                    self.spill.spill.set_aside(row.id).await?;
                }
            }
            kept => kept?,
        }
        match rows.last() {
            Some(last) => self.spill.spill.remove(last.id).await,
            None => Ok(()),
        }
    }

    /// The database takes others, but not this one. It was acknowledged, so it must not be lost.
    async fn put_away(&self, row: &Spilled, reason: &str) -> Result<(), InboxError> {
        let why = format!("refused when it was drained from the spill: {reason}");
        if !self.spill.in_force.unreadable().hold(&row.event.body) {
            tracing::error!(
                event_id = row.event.event_id.as_ref().map(crate::event::Id::as_str),
                "the store refused an acknowledged event ({reason}), and admission.keep_unreadable \
                 has no room for it, so it stays in the spill"
            );
            return self.spill.spill.set_aside(row.id).await;
        }
        tracing::error!(
            event_id = row.event.event_id.as_ref().map(crate::event::Id::as_str),
            event_type = row.event.event_type.as_str(),
            trace_id = row.event.trace_id(),
            "the store refused an acknowledged event, which is kept as unreadable: {reason}"
        );
        match self.keep(vec![Unreadable::of(&row.event, why)]).await {
            Ok(()) => self.spill.spill.remove(row.id).await,
            Err(InboxError::Refused(second)) => {
                tracing::error!("nor can it be kept there, so it stays in the spill: {second}");
                self.spill.spill.set_aside(row.id).await
            }
            Err(error) => Err(error),
        }
    }

    async fn keep(&self, unreadable: Vec<Unreadable>) -> Result<(), InboxError> {
        if unreadable.is_empty() {
            return Ok(());
        }
        let count = unreadable.len() as u64;
        let bounds = self.spill.in_force.unreadable();
        let inbox = &self.options.inbox;
        inbox.keep_unreadable(unreadable, bounds).await?;
        self.options.metrics.unreadable.inc_by(count);
        Ok(())
    }
}
