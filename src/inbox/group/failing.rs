//! A store that takes nothing: refused with, and tried again.

use tokio::time::Instant;

use super::away::Why;
use super::hand_out::refuse;
use super::{Group, PROBE_EVERY};
use crate::inbox::committer::{Answer, Refusal, StoreState};
use crate::inbox::{InboxError, Offer};
use crate::metrics::StoreFailure;

impl Group {
    /// What becomes of offers whose transaction ended with `error`: with a spill they wait for it.
    pub(super) fn turn_down(
        &mut self,
        offers: &[Offer],
        answers: Vec<Answer>,
        error: InboxError,
    ) -> anyhow::Result<()> {
        if let InboxError::Away(why) = &error
            && self.options.spill.is_some()
        {
            self.options.metrics.store_failed(StoreFailure::away);
            self.wait_for_the_spill(offers, answers);
            self.away.get_or_insert_with(|| Why::Away(why.clone()));
            return Ok(());
        }
        let failed = self.fail(error);
        let refusal = match failed {
            Ok(()) => self.shared.refusal(),
            Err(_) => Refusal::Failed,
        };
        refuse(answers, &refusal);
        failed
    }

    pub(super) fn fail(&mut self, error: InboxError) -> anyhow::Result<()> {
        self.options.metrics.store_failed(match &error {
            InboxError::Full(_) => StoreFailure::full,
            InboxError::Away(_) => StoreFailure::away,
            _ => StoreFailure::failed,
        });
        match error {
            InboxError::Full(what) => {
                self.shared.turn(StoreState::Full(what.clone()));
                if self.again_at.is_none() {
                    tracing::error!(
                        "the store has no room, pushes are refused until there is: {what}"
                    );
                }
                self.again_at = Some(Instant::now() + PROBE_EVERY);
                self.ride_by = None;
                Ok(())
            }
            InboxError::Away(why) if self.options.spill.is_some() => {
                self.away.get_or_insert(Why::Away(why));
                Ok(())
            }
            InboxError::Away(what) => {
                self.shared.turn(StoreState::Away("the database is away"));
                if self.again_at.is_none() {
                    tracing::error!(
                        "the database is away, pushes are refused until it answers: {what}"
                    );
                }
                self.again_at = Some(Instant::now() + PROBE_EVERY);
                self.ride_by = None;
                Ok(())
            }
            error => {
                let what = match &error {
                    InboxError::Broken(what) => what.clone(),
                    other => other.to_string(),
                };
                self.shared.turn(StoreState::Broken(what));
                self.refuse_all(&Refusal::Failed);
                Err(error.into())
            }
        }
    }

    pub(super) async fn try_again(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.again_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        // A store without room for events may have some for this, and it is what makes room: only
        // what was delivered can be removed as history.
        let claims = self.claims();
        if !self.settled.is_empty() || !claims.is_empty() {
            self.commit(claims).await?;
            if self.again_at.is_none_or(|at| at > now) {
                return Ok(());
            }
        }
        match self.options.inbox.probe().await {
            Ok(()) => {
                match self.shared.refusal() {
                    Refusal::Away => tracing::info!("the database answers again"),
                    _ => tracing::info!("the store has room again"),
                }
                self.shared.turn(StoreState::Working);
                self.again_at = None;
                self.ride_by = Some(now);
                Ok(())
            }
            Err(InboxError::Refused(what)) => self.fail(InboxError::Full(what)),
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn refuse_all(&mut self, refusal: &Refusal) {
        self.offers.clear();
        self.bytes = 0;
        refuse(std::mem::take(&mut self.answers), refusal);
    }
}
