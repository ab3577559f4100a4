//! A transaction that the store refused, in parts: one bad event must not fail its neighbours.

use std::sync::Arc;

use tokio::time::Instant;

use super::hand_out::refuse;
use super::{Group, PROBE_EVERY};
use crate::inbox::committer::{Answer, Refusal};
use crate::inbox::{Batch, InboxError};

impl Group {
    /// The store refused the batch: every part of it gets a transaction of its own.
    pub(super) async fn one_by_one(
        &mut self,
        batch: &Batch,
        answers: Vec<Answer>,
        reason: &str,
    ) -> anyhow::Result<()> {
        tracing::warn!(
            offers = batch.offers.len(),
            settled = batch.settled.len(),
            "the store refused a transaction ({reason}); its parts are tried one by one"
        );
        for settled in &batch.settled {
            if self.away.is_some() {
                self.settled.push(settled.clone());
                continue;
            }
            let alone = Arc::new(Batch {
                settled: vec![settled.clone()],
                ..Batch::default()
            });
            match self.apply(&alone).await {
                Ok(committed) => self.hand_out(committed, Vec::new()),
                Err(InboxError::Refused(reason)) => tracing::error!(
                    seq = settled.seq.0,
                    "a delivery could not be settled and will be repeated: {reason}"
                ),
                Err(error) => {
                    self.settled.push(settled.clone());
                    self.fail(error)?;
                }
            }
        }
        for (offer, answer) in batch.offers.iter().zip(answers) {
            if self.away.is_some() {
                self.wait_for_the_spill(std::slice::from_ref(offer), vec![answer]);
                continue;
            }
            let alone = Arc::new(Batch {
                offers: vec![offer.clone()],
                ..Batch::default()
            });
            match self.apply(&alone).await {
                Ok(committed) => self.hand_out(committed, vec![answer]),
                Err(InboxError::Refused(reason)) => {
                    refuse(vec![answer], &Refusal::Event(reason));
                }
                Err(error) => self.turn_down(&alone.offers, vec![answer], error)?,
            }
        }
        // Nothing was claimed on the way.
        self.note_unclaimed(&Batch::default());
        self.recover_alone(batch).await?;
        for claim in &batch.claims {
            if self.away.is_some() {
                return Ok(());
            }
            let alone = Arc::new(Batch {
                claims: vec![claim.clone()],
                ..Batch::default()
            });
            match self.apply(&alone).await {
                Ok(committed) => self.hand_out(committed, Vec::new()),
                Err(InboxError::Refused(reason)) => {
                    tracing::error!(
                        sink = claim.sink.0,
                        "deliveries cannot be claimed: {reason}"
                    );
                    self.claims_at = Some(Instant::now() + PROBE_EVERY);
                }
                Err(error) => self.fail(error)?,
            }
        }
        Ok(())
    }

    /// What waits for sinks that work again is due, before anything is claimed of it.
    async fn recover_alone(&mut self, batch: &Batch) -> anyhow::Result<()> {
        if batch.recovered.is_empty() {
            return Ok(());
        }
        let alone = Arc::new(Batch {
            recovered: batch.recovered.clone(),
            ..Batch::default()
        });
        let done = match self.away {
            Some(_) => Err(None),
            None => self.apply(&alone).await.map_err(Some),
        };
        match done {
            Ok(committed) => self.hand_out(committed, Vec::new()),
            Err(Some(InboxError::Refused(reason))) => {
                tracing::error!("what waits for sinks that work again is not due yet: {reason}");
            }
            Err(error) => {
                self.recovered.clone_from(&batch.recovered);
                error.map_or(Ok(()), |error| self.fail(error))?;
            }
        }
        Ok(())
    }
}
