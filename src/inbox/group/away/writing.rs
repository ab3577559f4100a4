//! Writes to the spill: those who wait share one, and are answered when it is on disk.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::spell::Spell;
use crate::inbox::committer::{Answer, Refusal, StoreState, Taken};
use crate::inbox::group::hand_out::refuse;
use crate::inbox::group::{Group, PROBE_EVERY};
use crate::inbox::{Batch, InboxError};
use crate::metrics::StoreFailure;

/// A write under way.
pub(super) struct Writing {
    pub(super) done: BoxFuture<'static, Result<(), InboxError>>,
    batch: Arc<Batch>,
    answers: Vec<Answer>,
}

impl Writing {
    pub(super) fn events(&self) -> u64 {
        self.batch.offers.len() as u64
    }
}

impl Group {
    /// Begins to write what was offered, when nothing is being written.
    pub(super) async fn keep_what_waits(&mut self, spell: &mut Spell) -> anyhow::Result<()> {
        if spell.no_room_until.is_some() {
            self.refuse_all(&Refusal::Full);
            return self.look_for_room(spell).await;
        }
        if spell.writing.is_some() || self.offers.is_empty() || spell.holds() {
            return Ok(());
        }
        self.let_others_join().await;
        let batch = Arc::new(Batch {
            offers: std::mem::take(&mut self.offers),
            ..Batch::default()
        });
        self.bytes = 0;
        spell.hold_until = None;
        let (spill, kept) = (Arc::clone(&spell.options.spill), Arc::clone(&batch));
        spell.writing = Some(Writing {
            done: Box::pin(async move { spill.keep(kept).await }),
            batch,
            answers: std::mem::take(&mut self.answers),
        });
        Ok(())
    }

    /// Answers those who waited for the write that ended.
    pub(super) async fn answer_kept(
        &mut self,
        spell: &mut Spell,
        kept: Result<(), InboxError>,
    ) -> anyhow::Result<()> {
        let Some(Writing { batch, answers, .. }) = spell.writing.take() else {
            return Ok(());
        };
        match kept {
            Err(InboxError::Refused(_)) if batch.offers.len() > 1 => {
                self.keep_one_by_one(spell, &batch, answers).await
            }
            kept => self.answer(spell, answers, kept),
        }
    }

    fn answer(
        &mut self,
        spell: &mut Spell,
        answers: Vec<Answer>,
        kept: Result<(), InboxError>,
    ) -> anyhow::Result<()> {
        self.show_spilled(spell);
        match kept {
            Ok(()) => {
                spell.spilled(answers.len() as u64);
                for answer in answers {
                    // A client that hung up has still delivered its event.
                    let _heard = answer.send(Ok(Taken::Spilled));
                }
                Ok(())
            }
            Err(InboxError::Full(what) | InboxError::Away(what)) => {
                self.no_room(spell, &what);
                refuse(answers, &Refusal::Full);
                Ok(())
            }
            Err(InboxError::Refused(reason)) => {
                refuse(answers, &Refusal::Event(reason));
                Ok(())
            }
            Err(error @ (InboxError::Broken(_) | InboxError::Closed)) => {
                let failed = self.fail(error);
                refuse(answers, &Refusal::Failed);
                failed
            }
        }
    }

    /// One bad event must not fail its neighbours.
    async fn keep_one_by_one(
        &mut self,
        spell: &mut Spell,
        batch: &Batch,
        answers: Vec<Answer>,
    ) -> anyhow::Result<()> {
        for (offer, answer) in batch.offers.iter().zip(answers) {
            let alone = Arc::new(Batch {
                offers: vec![offer.clone()],
                ..Batch::default()
            });
            let kept = spell.options.spill.keep(alone).await;
            self.answer(spell, vec![answer], kept)?;
        }
        Ok(())
    }

    fn no_room(&self, spell: &mut Spell, what: &str) {
        let why = "the database is away and the local spill has no room";
        self.options.metrics.store_failed(StoreFailure::full);
        self.shared.turn(StoreState::Away(why));
        if spell.no_room_until.is_none() {
            tracing::error!("{why}, pushes are refused until there is: {what}");
        }
        spell.no_room_until = Some(Instant::now() + PROBE_EVERY);
    }

    async fn look_for_room(&mut self, spell: &mut Spell) -> anyhow::Result<()> {
        if spell
            .no_room_until
            .is_some_and(|until| until > Instant::now())
        {
            return Ok(());
        }
        match spell.options.spill.probe().await {
            Ok(()) => {
                spell.no_room_until = None;
                self.shared.turn(StoreState::Spilling);
                tracing::info!("the local spill has room again");
                Ok(())
            }
            Err(error @ (InboxError::Broken(_) | InboxError::Closed)) => self.fail(error),
            Err(error) => {
                self.no_room(spell, &error.to_string());
                Ok(())
            }
        }
    }

    pub(super) fn show_spilled(&self, spell: &Spell) {
        let waiting = i64::try_from(spell.waiting()).unwrap_or(i64::MAX);
        self.options.metrics.spilled_events.set(waiting);
    }
}
