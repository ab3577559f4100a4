//! The task of the group commit: it gathers who waits, commits, and hands out what was done.
//!
//! Settled leases ride with the next offers and free slots are claimed on the way, so that under
//! load neither costs a transaction of its own. A transaction that the store refuses is offered
//! again one by one, so that one bad event cannot fail its neighbours.

mod away;
mod due;
mod failing;
mod hand_out;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::away::{Lates, Why};
use crate::inbox::committer::{Answer, CommitterOptions, Message, Shared};
use crate::inbox::{Batch, Claim, Committed, InboxError, Offer, Settled, SinkId};

/// Offers in one transaction.
const MAX_OFFERS: usize = 512;
/// How often a transaction waits for what is just arriving.
const JOIN_ROUNDS: usize = 16;
/// Of these, how many in a row may bring nothing: the other side takes its time, too.
const EMPTY_ROUNDS: usize = 3;
/// Bytes of bodies in one transaction.
const MAX_BYTES: usize = 16 << 20;
/// Settled leases in one transaction.
const MAX_SETTLED: usize = 4096;
/// How long settled leases wait for offers to ride with.
const LINGER: Duration = Duration::from_millis(10);
/// How long nothing is looked at when nothing is said to be due: clocks may be set.
const IDLE: Duration = Duration::from_secs(1);
/// How often a full store is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The task: gathers, commits, hands out.
pub(super) struct Group {
    options: CommitterOptions,
    messages: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    offers: Vec<Offer>,
    answers: Vec<Answer>,
    bytes: usize,
    settled: Vec<Settled>,
    recovered: Vec<SinkId>,
    /// When settled leases are committed even if no offer comes.
    ride_by: Option<Instant>,
    /// While the store is failing: when it is tried again.
    again_at: Option<Instant>,
    /// After the store refused to claim for a sink: when claims are tried again.
    claims_at: Option<Instant>,
    /// Why pushes are to go to the spill, as soon as that is noticed.
    away: Option<Why>,
    /// Transactions that may still be confirmed, although nobody waits for them any more.
    lates: Lates,
}

impl Group {
    pub(super) fn new(
        options: CommitterOptions,
        messages: mpsc::UnboundedReceiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            options,
            messages,
            shared,
            offers: Vec::new(),
            answers: Vec::new(),
            bytes: 0,
            settled: Vec::new(),
            recovered: Vec::new(),
            ride_by: None,
            again_at: None,
            claims_at: None,
            away: None,
            lates: Lates::default(),
        }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        self.look_into_the_spill();
        loop {
            if let Some(why) = self.away.take() {
                match self.do_without(&why).await? {
                    true => continue,
                    false => return Ok(()),
                }
            }
            if !self.gather().await {
                // Closing, and nothing is left to commit.
                return self.close_the_spill().await;
            }
            if self.again_at.is_some() {
                self.refuse_all(&self.shared.refusal());
                self.try_again().await?;
                continue;
            }
            let claims = self.claims();
            if self.offers.is_empty()
                && self.settled.is_empty()
                && self.recovered.is_empty()
                && claims.is_empty()
            {
                // Nothing rides, so there is no time to keep; kept, it would be over at once, again
                // and again.
                self.ride_by = None;
                continue;
            }
            self.commit(claims).await?;
        }
    }

    /// Waits until there is something to commit. False once the service closes and nothing is.
    async fn gather(&mut self) -> bool {
        let finish = self.shared.finish.clone();
        loop {
            while self.has_room()
                && let Ok(message) = self.messages.try_recv()
            {
                self.take(message);
            }
            if !self.offers.is_empty() || self.is_time() {
                self.let_others_join().await;
                return true;
            }
            let wake_at = self.wake_at();
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => self.take(message),
                    None => return false,
                },
                () = tokio::time::sleep_until(wake_at) => {}
                () = finish.cancelled() => {
                    // A store that is full takes nothing more before the end: what was delivered
                    // and cannot be settled is found again by the next process.
                    if self.messages.is_empty() && (self.settled.is_empty() || self.again_at.is_some()) {
                        return false;
                    }
                    self.ride_by = Some(Instant::now());
                }
            }
        }
    }

    /// What is ready to run now gets a chance to join this transaction, and so does what comes
    /// while that runs: under load a larger transaction costs each push less.
    async fn let_others_join(&mut self) {
        let mut empty = 0;
        for _ in 0..JOIN_ROUNDS {
            let before = self.offers.len();
            tokio::task::yield_now().await;
            while self.has_room()
                && let Ok(message) = self.messages.try_recv()
            {
                self.take(message);
            }
            empty = if self.offers.len() == before {
                empty + 1
            } else {
                0
            };
            if empty == EMPTY_ROUNDS {
                return;
            }
        }
    }

    fn has_room(&self) -> bool {
        self.offers.len() < MAX_OFFERS && self.bytes < MAX_BYTES && self.settled.len() < MAX_SETTLED
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Offer(mut offer, answer) => {
                self.mark(&mut offer);
                self.bytes += offer.event.body.len();
                self.offers.push(offer);
                self.answers.push(answer);
            }
            Message::Settled(settled) => {
                self.settled.extend(settled);
                self.ride_by.get_or_insert_with(|| Instant::now() + LINGER);
            }
            Message::Recovered(sink) => {
                self.recovered.push(sink);
                self.ride_by.get_or_insert_with(Instant::now);
            }
            Message::Changed => {
                // Here no commit is under way whose older word on what is due could come after.
                for slots in self.shared.slots().iter() {
                    slots.set_due(Some(Timestamp::MIN));
                }
            }
            Message::Wake => {}
        }
    }

    async fn commit(&mut self, claims: Vec<Claim>) -> anyhow::Result<()> {
        self.route_again();
        let batch = Arc::new(Batch {
            settled: std::mem::take(&mut self.settled),
            recovered: std::mem::take(&mut self.recovered),
            offers: std::mem::take(&mut self.offers),
            claims,
        });
        let answers = std::mem::take(&mut self.answers);
        self.bytes = 0;
        self.ride_by = None;
        match self.apply(&batch).await {
            Ok(committed) => {
                self.hand_out(committed, answers);
                self.note_unclaimed(&batch);
                Ok(())
            }
            Err(InboxError::Refused(reason)) => self.one_by_one(&batch, answers, &reason).await,
            Err(error) => {
                self.settled = batch.settled.clone();
                self.recovered.clone_from(&batch.recovered);
                self.turn_down(&batch.offers, answers, error)
            }
        }
    }

    async fn apply(&mut self, batch: &Arc<Batch>) -> Result<Committed, InboxError> {
        let begun = Instant::now();
        let committed = match &self.options.spill {
            None => {
                let now = self.options.clock.now();
                self.options.inbox.commit(Arc::clone(batch), now).await?
            }
            Some(_) => self.commit_in_time(batch).await?,
        };
        self.measure(begun, batch, &committed);
        Ok(committed)
    }

    fn measure(&self, begun: Instant, batch: &Batch, committed: &Committed) {
        let metrics = &self.options.metrics;
        metrics
            .commit_seconds
            .observe(begun.elapsed().as_secs_f64());
        if !batch.offers.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
            metrics.batch_events.observe(batch.offers.len() as f64);
        }
        for (seq, sink) in &committed.lost {
            tracing::warn!(
                seq = seq.0,
                sink = sink.0,
                "a lease had run out before it was settled"
            );
        }
    }
}
