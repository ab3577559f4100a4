//! Doing without the database: pushes go to the spill, and come back from it in their order.
//!
//! From the first transaction that is not confirmed in time until the file is empty again, whatever
//! is offered is kept in the file first. One task decides where an offer goes, so none can overtake
//! another at either switch. Before the way back, when little is left, new offers wait as long as
//! they would for a transaction: else the last few would never be the last.

mod flight;
mod landing;
mod spell;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use self::flight::Landed;
pub(super) use self::spell::Why;
use self::spell::{Database, Spell, kept, landed};
use super::{Group, IDLE, MAX_BYTES, MAX_OFFERS};
use crate::event::Key;
use crate::inbox::committer::{Answer, Message, StoreState};
use crate::inbox::spill::SpillOptions;
use crate::inbox::{Batch, Committed, InboxError, Offer, SinkId};

/// What the database has for a transaction with pushes in it.
const PATIENCE: Duration = Duration::from_millis(250);
/// What it has where no push waits.
const LONG: Duration = Duration::from_secs(5);

/// Transactions that nobody waits for; what is given up gives `None`.
pub(super) type Lates = FuturesUnordered<BoxFuture<'static, Option<Landed>>>;

/// What there is to see to.
enum Happened {
    Kept(Result<(), InboxError>),
    Landed(Landed),
    Late(Option<Landed>),
    Message(Option<Message>),
    Finish,
    Time,
}

/// What becomes of the spell.
enum Stage {
    On,
    /// The file is empty: pushes go to the database again.
    Back,
    /// The service ends first.
    Over,
}

impl Group {
    /// What the process before this one left behind comes before anything new, and nothing goes to a
    /// database that is not known yet.
    pub(super) fn look_into_the_spill(&mut self) {
        let Some(SpillOptions { spill, in_force }) = &self.options.spill else {
            return;
        };
        let waiting = spill.waiting();
        self.options
            .metrics
            .spilled_events
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if !in_force.is_known() {
            self.away = Some(Why::Away("it was not reached at the start".to_owned()));
        } else if waiting > 0 {
            self.away = Some(Why::Left);
        }
    }

    /// Closes the spill when the task ends in good order.
    pub(super) async fn close_the_spill(&mut self) -> anyhow::Result<()> {
        if let Some(SpillOptions { spill, .. }) = &self.options.spill {
            spill.close().await?;
        }
        Ok(())
    }

    /// With a spill an event may be offered more than once, so each has a key: one that has nothing
    /// to be compared by gets one of its own.
    pub(super) fn mark(&self, offer: &mut Offer) {
        if self.options.spill.is_some() && offer.key.is_none() {
            offer.key = Some(Key(uuid::Uuid::now_v7().into_bytes()));
        }
    }

    /// Routes the offers anew that were routed before the numbers of the sinks were known.
    pub(super) fn route_again(&mut self) {
        let Some(SpillOptions { in_force, .. }) = &self.options.spill else {
            return;
        };
        for offer in &mut self.offers {
            let unknown = |wanted: &crate::inbox::Wanted| wanted.sink == SinkId::UNKNOWN;
            if offer.wanted.iter().any(unknown) {
                offer.wanted = in_force.wanted(&offer.event);
            }
        }
    }

    /// Commits `batch`, unless that takes too long: then it may happen yet, and is looked after.
    pub(super) async fn commit_in_time(
        &mut self,
        batch: &Arc<Batch>,
    ) -> Result<Committed, InboxError> {
        let mut flight = flight::committing(&self.options, Arc::clone(batch));
        match timeout(PATIENCE, &mut flight).await {
            Ok(Landed::Committed(landed)) => match landed.committed {
                // The file may have room where the database has none.
                Err(InboxError::Full(what)) => Err(InboxError::Away(what)),
                committed => committed,
            },
            Ok(Landed::Probed(_)) => Err(InboxError::Closed),
            Err(_elapsed) => {
                self.leave_late(flight);
                let what = format!("a transaction was not confirmed within {PATIENCE:?}");
                Err(InboxError::Away(what))
            }
        }
    }

    fn leave_late(&mut self, flight: BoxFuture<'static, Landed>) {
        let patient = async move { timeout(LONG, flight).await.ok() };
        self.lates.push(Box::pin(patient));
    }

    /// Offers that the database did not confirm are the first to go to the file.
    pub(super) fn wait_for_the_spill(&mut self, offers: &[Offer], answers: Vec<Answer>) {
        let bodies = offers.iter().map(|offer| offer.event.body.len());
        self.bytes += bodies.sum::<usize>();
        self.offers.extend_from_slice(offers);
        self.answers.extend(answers);
    }

    /// Keeps pushes in the spill, and drains it, until it is empty. False when the service ends
    /// before that.
    pub(super) async fn do_without(&mut self, why: &Why) -> anyhow::Result<bool> {
        let Some(options) = self.options.spill.clone() else {
            return Ok(true);
        };
        let finish = self.shared.finish.clone();
        let mut spell = Spell::new(options, why);
        self.shared.turn(StoreState::Spilling);
        loop {
            if self.owes_ends() && !spell.took {
                // One that takes nothing is asked for that here, where it is left alone in between.
                self.ride_by.get_or_insert_with(Instant::now);
            }
            match self.stage(&spell) {
                Stage::On => {}
                Stage::Back => {
                    // Whatever was said about what is due may be out of date.
                    self.note_unclaimed(&Batch::default());
                    if self.owes_ends() {
                        self.ride_by.get_or_insert_with(Instant::now);
                    }
                    self.shared.turn(StoreState::Working);
                    spell.tell_the_end();
                    return Ok(true);
                }
                Stage::Over => {
                    spell.tell_what_is_left();
                    self.close_the_spill().await?;
                    return Ok(false);
                }
            }
            self.ask_the_database(&mut spell);
            self.keep_what_waits(&mut spell).await?;
            let wake_at = self.next_look(&spell);
            let has_room = self.offers.len() < MAX_OFFERS && self.bytes < MAX_BYTES;
            let happened = tokio::select! {
                biased;
                kept = kept(&mut spell.writing) => Happened::Kept(kept),
                landed = landed(&mut spell.flight) => Happened::Landed(landed),
                Some(late) = self.lates.next() => Happened::Late(late),
                message = self.messages.recv(), if has_room && !spell.deserted => {
                    Happened::Message(message)
                }
                () = tokio::time::sleep_until(wake_at) => Happened::Time,
                () = finish.cancelled(), if !spell.finishing => Happened::Finish,
            };
            match happened {
                Happened::Kept(kept) => self.answer_kept(&mut spell, kept).await?,
                Happened::Landed(landed) => self.see_to(&mut spell, landed)?,
                Happened::Late(Some(Landed::Committed(late))) => {
                    self.see_to_late(&mut spell, *late)?;
                }
                Happened::Message(Some(message)) => self.take(message),
                Happened::Message(None) => (spell.finishing, spell.deserted) = (true, true),
                Happened::Finish => spell.finish(),
                Happened::Late(_) | Happened::Time => {}
            }
        }
    }

    /// Sends the next transaction or probe off, when it is time.
    fn ask_the_database(&mut self, spell: &mut Spell) {
        let now = Instant::now();
        if let Some(flight) = spell.flight.take_if(|flight| flight.end <= now) {
            spell.miss(&format!("nothing was confirmed within {LONG:?}"));
            self.settled.extend(flight.settled);
            self.recovered.extend(flight.recovered);
            self.leave_late(flight.future);
        }
        if spell.flight.is_some() {
            return;
        }
        match spell.database {
            Database::Away { again_at, .. } if again_at <= now => {
                spell.send(flight::probe(&self.options.inbox, &spell.options.in_force));
            }
            Database::Answers if spell.last_write_is_awaited() => {}
            Database::Answers if spell.waiting() > 0 || self.is_time() => self.drain(spell),
            Database::Answers if !spell.quick && spell.look_at <= now => {
                spell.send(flight::probe(&self.options.inbox, &spell.options.in_force));
            }
            Database::Away { .. } | Database::Answers => {}
        }
    }

    /// Whether the database has still to be told of ends of leases.
    fn owes_ends(&self) -> bool {
        !self.settled.is_empty() || !self.recovered.is_empty()
    }

    fn stage(&self, spell: &Spell) -> Stage {
        let answers = matches!(spell.database, Database::Answers);
        let idle = spell.flight.is_none() && spell.writing.is_none();
        let quick = spell.quick || spell.finishing;
        let works = answers && quick && (spell.took || !self.owes_ends());
        if works && idle && spell.waiting() == 0 && self.lates.is_empty() {
            return Stage::Back;
        }
        let all_kept =
            spell.writing.is_none() && self.offers.is_empty() && self.messages.is_empty();
        if !spell.finishing || !all_kept {
            return Stage::On;
        }
        let now = Instant::now();
        let end = self.shared.finish_by.get().copied().unwrap_or(now);
        // What is under way at the end may land.
        let lands = answers && spell.flight.is_some() && now < end + PATIENCE;
        let is_left = spell.waiting() > 0 || self.owes_ends() || !self.lates.is_empty();
        let goes_on = now < end && is_left && !spell.hopeless;
        match lands || goes_on {
            true => Stage::On,
            false => Stage::Over,
        }
    }

    /// When to look again if nothing happens.
    fn next_look(&self, spell: &Spell) -> Instant {
        let now = Instant::now();
        let mut at = now + IDLE;
        let mut earlier = |other: Option<Instant>| at = other.map_or(at, |other| at.min(other));
        if spell.flight.is_none() {
            match spell.database {
                Database::Away { again_at, .. } => earlier(Some(again_at)),
                Database::Answers if !spell.last_write_is_awaited() => {
                    earlier(Some(self.wake_at()));
                    earlier((!spell.quick).then_some(spell.look_at));
                }
                Database::Answers => {}
            }
        }
        earlier(spell.flight.as_ref().map(|flight| flight.end));
        earlier(spell.no_room_until);
        if !self.offers.is_empty() && spell.writing.is_none() {
            earlier(spell.hold_until);
        }
        if spell.finishing {
            let end = self.shared.finish_by.get().copied().unwrap_or(now);
            earlier(Some(if now < end { end } else { end + PATIENCE }).filter(|end| *end > now));
        }
        at
    }
}
