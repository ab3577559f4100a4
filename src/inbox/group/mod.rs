//! The task of the group commit: it gathers who waits, commits, and hands out what was done.
//!
//! Settled leases ride with the next offers and free slots are claimed on the way, so that under
//! load neither costs a transaction of its own. A transaction that the store refuses is offered
//! again one by one, so that one bad event cannot fail its neighbours.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::inbox::committer::{CommitterOptions, Message, Refusal, Shared, StoreState};
use crate::inbox::{
    Batch, Claim, Committed, InboxError, Lease, Offer, Offered, Settled, Settlement, SinkId,
};

/// Offers in one transaction.
const MAX_OFFERS: usize = 512;
/// How often a transaction waits for what is just arriving.
const JOIN_ROUNDS: usize = 8;
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
    answers: Vec<oneshot::Sender<Result<Offered, Refusal>>>,
    bytes: usize,
    settled: Vec<Settled>,
    recovered: Vec<SinkId>,
    /// When settled leases are committed even if no offer comes.
    ride_by: Option<Instant>,
    /// While the store is failing: when it is tried again.
    again_at: Option<Instant>,
    /// After the store refused to claim for a sink: when claims are tried again.
    claims_at: Option<Instant>,
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
        }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            if !self.gather().await {
                // Closing, and nothing is left to commit.
                return Ok(());
            }
            if self.again_at.is_some() {
                self.refuse_all(&Refusal::Full);
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
        for _ in 0..JOIN_ROUNDS {
            let before = self.offers.len();
            tokio::task::yield_now().await;
            while self.has_room()
                && let Ok(message) = self.messages.try_recv()
            {
                self.take(message);
            }
            if self.offers.len() == before {
                return;
            }
        }
    }

    fn has_room(&self) -> bool {
        self.offers.len() < MAX_OFFERS && self.bytes < MAX_BYTES && self.settled.len() < MAX_SETTLED
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Offer(offer, answer) => {
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

    fn is_time(&self) -> bool {
        let now = Instant::now();
        if let Some(again_at) = self.again_at {
            return again_at <= now;
        }
        self.ride_by.is_some_and(|by| by <= now)
            || self.settled.len() >= MAX_SETTLED
            || !self.claims().is_empty()
    }

    /// The sinks that have both a free slot and something due.
    fn claims(&self) -> Vec<Claim> {
        if self.claims_at.is_some_and(|at| at > Instant::now()) {
            return Vec::new();
        }
        let now = self.options.clock.now();
        let working = !self.offers.is_empty() || !self.settled.is_empty();
        let slots = self.shared.slots();
        slots
            .iter()
            .filter(|slots| working || slots.due().is_some_and(|due| due <= now))
            .filter_map(|slots| slots.room())
            .collect()
    }

    /// When to look again if no message comes.
    fn wake_at(&self) -> Instant {
        if let Some(again_at) = self.again_at {
            return again_at;
        }
        let at = self.claim_at();
        self.ride_by.map_or(at, |by| by.min(at))
    }

    /// When something to claim falls due.
    fn claim_at(&self) -> Instant {
        if let Some(at) = self.claims_at.filter(|at| *at > Instant::now()) {
            return at;
        }
        let now = self.options.clock.now();
        let slots = self.shared.slots();
        let next_due = slots
            .iter()
            .filter(|slots| slots.room().is_some())
            .filter_map(|slots| slots.due())
            .min()
            .map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        Instant::now() + next_due.map_or(IDLE, |due| due.min(IDLE))
    }

    async fn commit(&mut self, claims: Vec<Claim>) -> anyhow::Result<()> {
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
                let refusal = match error {
                    InboxError::Full(_) => Refusal::Full,
                    _ => Refusal::Failed,
                };
                let failed = self.fail(error);
                answer_all(answers, &refusal);
                failed
            }
        }
    }

    async fn apply(&self, batch: &Arc<Batch>) -> Result<Committed, InboxError> {
        let begun = Instant::now();
        let now = self.options.clock.now();
        let committed = self.options.inbox.commit(Arc::clone(batch), now).await?;
        let metrics = &self.options.metrics;
        metrics
            .commit_seconds
            .observe(begun.elapsed().as_secs_f64());
        if !batch.offers.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "at most 512")]
            metrics.batch_events.observe(batch.offers.len() as f64);
        }
        for (seq, sink) in &committed.lost {
            tracing::warn!(
                seq = seq.0,
                sink = sink.0,
                "a lease had run out before it was settled"
            );
        }
        Ok(committed)
    }

    fn hand_out(
        &mut self,
        committed: Committed,
        answers: Vec<oneshot::Sender<Result<Offered, Refusal>>>,
    ) {
        for (answer, offered) in answers.into_iter().zip(committed.offered) {
            self.options.metrics.events(offered.outcome, 1);
            // A client that hung up has still delivered its event.
            let _heard = answer.send(Ok(offered));
        }
        let slots = self.shared.slots();
        for (sink, due) in committed.next_due {
            for slots in slots.iter().filter(|slots| slots.sink() == sink) {
                slots.set_due(due);
            }
        }
        let mut leases = committed.leases;
        for slots in slots.iter() {
            let needless = committed.superseded.iter();
            let needless = needless.filter(|(_, sink)| *sink == slots.sink()).count();
            slots.superseded(needless as u64);
            let (mine, others): (Vec<_>, Vec<_>) = leases
                .into_iter()
                .partition(|lease| lease.sink == slots.sink());
            leases = others;
            if !mine.is_empty() {
                slots.hand_over(mine);
            }
        }
        drop(slots);
        // Their dispatcher went while they were on their way: nobody begins them.
        let release = |lease: Lease| lease.settle(Settlement::Released);
        let orphans: Vec<_> = leases.into_iter().map(release).collect();
        if !orphans.is_empty() {
            self.take(Message::Settled(orphans));
        }
    }

    /// Sinks that had no free slot may have got deliveries that wait: to be claimed as soon as
    /// there is one.
    fn note_unclaimed(&self, batch: &Batch) {
        for slots in self.shared.slots().iter() {
            if !batch.claims.iter().any(|claim| claim.sink == slots.sink()) {
                slots.set_due(Some(Timestamp::MIN));
            }
        }
    }

    fn fail(&mut self, error: InboxError) -> anyhow::Result<()> {
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

    async fn try_again(&mut self) -> anyhow::Result<()> {
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
                self.shared.turn(StoreState::Working);
                tracing::info!("the store has room again");
                self.again_at = None;
                self.ride_by = Some(now);
                Ok(())
            }
            Err(InboxError::Refused(what)) => self.fail(InboxError::Full(what)),
            Err(error) => self.fail(error),
        }
    }

    fn refuse_all(&mut self, refusal: &Refusal) {
        self.offers.clear();
        self.bytes = 0;
        answer_all(std::mem::take(&mut self.answers), refusal);
    }
}

fn answer_all(answers: Vec<oneshot::Sender<Result<Offered, Refusal>>>, refusal: &Refusal) {
    for answer in answers {
        let _heard = answer.send(Err(refusal.clone()));
    }
}
