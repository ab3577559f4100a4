//! One stream, piece by piece: it reads only when its client has taken what there was, and holds a page
//! of events at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::feed::Feed;
use super::message::{self, Gap, Waiting};
use crate::event::Seq;
use crate::inbox::headline::headlines;
use crate::inbox::query::EventFilter;
use crate::inbox::{Held, HeldBy, Inbox, InboxError, Stretch, View};
use crate::lifecycle::Lifecycle;

/// Events of one piece.
pub(super) const PAGE: usize = 200;
/// A sign of life, when nothing else is said. A client that is gone is noticed by what is written to it,
/// at the second time at the latest: a connection that its client has shut may still want its answer.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(7);
/// How long something may be held up before that is said.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// It begins behind this position, which was the newest when it was asked for, once everything up
    /// to it is there.
    Before(Seq),
    /// What is up to here was sent, or was not asked for.
    Behind(Seq),
}

/// What a stream is made of.
pub(super) struct Beginning {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) feed: Arc<Feed>,
    pub(super) filter: EventFilter,
    pub(super) view: watch::Receiver<View>,
    pub(super) lifecycle: Lifecycle,
    pub(super) seat: OwnedSemaphorePermit,
    pub(super) at: At,
    /// Said before anything else.
    pub(super) first: String,
    /// The client has been here before, and is to hear what it missed.
    pub(super) resumes: bool,
}

/// A stream under way.
pub(super) struct Flow {
    inbox: Arc<dyn Inbox>,
    /// What it reads together with others, as long as it keeps up.
    feed: Arc<Feed>,
    filter: EventFilter,
    view: watch::Receiver<View>,
    lifecycle: Lifecycle,
    /// Given back with the stream.
    _seat: OwnedSemaphorePermit,
    at: At,
    first: Option<String>,
    /// Up to here the client knows that events are gone; `None` before it is told for the first time,
    /// when what is gone was never asked for.
    gone: Option<Seq>,
    /// Since when this stream has been reading in vain.
    trouble: Option<Held>,
    /// Of which hold-up the client was told.
    told: Option<Instant>,
    ask_at: Instant,
    /// When it is this stream's turn again, if it is at the tip.
    turn_at: Instant,
    beat_at: Instant,
}

/// What there is of a stretch, written out.
pub(super) struct Piece {
    /// A message for each event that is wanted; may be empty.
    pub(super) text: String,
    /// Up to here it was looked at.
    pub(super) upto: Seq,
    /// The last position whose event was removed.
    pub(super) pruned: Seq,
}

/// What came of a look at the store.
enum Step {
    Say(String),
    /// There is more to look at.
    On,
    /// There is nothing more for now.
    Rest,
}

impl Flow {
    pub(super) fn new(beginning: Beginning) -> Self {
        let now = Instant::now();
        Self {
            inbox: beginning.inbox,
            feed: beginning.feed,
            filter: beginning.filter,
            view: beginning.view,
            lifecycle: beginning.lifecycle,
            _seat: beginning.seat,
            at: beginning.at,
            first: Some(beginning.first),
            gone: beginning.resumes.then_some(Seq(0)),
            trouble: None,
            told: None,
            ask_at: now,
            turn_at: now,
            beat_at: now + HEARTBEAT,
        }
    }

    /// What to send next, as soon as there is something; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if self.lifecycle.is_draining() {
                return None;
            }
            let view = self.view.borrow_and_update().clone();
            let said = match self.look(&view).await {
                Step::Say(text) => Some(text),
                Step::On => continue,
                Step::Rest => self.hold_up(&view).or_else(|| self.heartbeat()),
            };
            if said.is_some() {
                self.beat_at = Instant::now() + HEARTBEAT;
                return said;
            }
            let alarm = self.alarm(&view);
            let rests = Instant::now() < self.turn_at;
            tokio::select! {
                changed = self.view.changed(), if !rests => changed.ok()?,
                () = self.lifecycle.draining() => return None,
                () = sleep_until(alarm) => {}
            }
        }
    }

    async fn look(&mut self, view: &View) -> Step {
        match self.at {
            At::Before(seq) if view.complete >= seq => {
                self.at = At::Behind(seq);
                Step::Say(message::position(seq))
            }
            At::Behind(after) if view.complete > after && self.may_read() => {
                let upto = view.complete;
                self.read(Stretch { after, upto }).await
            }
            At::Before(_) | At::Behind(_) => Step::Rest,
        }
    }

    fn may_read(&self) -> bool {
        Instant::now() >= self.ask_at.max(self.turn_at)
    }

    async fn read(&mut self, stretch: Stretch) -> Step {
        let read = match Feed::reaches(stretch) {
            true => self.feed.read(&*self.inbox, stretch, &self.filter).await,
            false => alone(&*self.inbox, stretch, self.filter.clone()).await,
        };
        let piece = match read {
            Ok(piece) => piece,
            Err(error) => {
                let now = Instant::now();
                let since = self.trouble.as_ref().map_or(now, |held| held.since);
                let by = HeldBy::Store(error.to_string());
                self.trouble = Some(Held { since, by });
                self.ask_at = now + ASK_AGAIN;
                return Step::Rest;
            }
        };
        self.trouble = None;
        let mut text = String::new();
        let pruned = piece.pruned;
        let known = self.gone.unwrap_or(pruned);
        // What others read may have been read before what this stream has seen last.
        self.gone = Some(known.max(pruned));
        if pruned > known.max(stretch.after) {
            let gap = Gap {
                after: stretch.after,
                from: Seq(pruned.0 + 1),
                reason: "what was there was past store.retention, or made room".to_owned(),
            };
            message::gap(&mut text, &gap);
        }
        text.push_str(&piece.text);
        self.at = At::Behind(piece.upto);
        if stretch.upto.0 - piece.upto.0 < PAGE as i64 {
            self.turn_at = self.feed.next_turn();
        }
        match text.is_empty() {
            true => Step::On,
            false => Step::Say(text),
        }
    }

    /// Says once of each hold-up, when it has lasted for a while, that there is one.
    fn hold_up(&mut self, view: &View) -> Option<String> {
        let held = self.held(view)?;
        let lasted = held.since.elapsed();
        if lasted < PATIENCE || self.told == Some(held.since) {
            return None;
        }
        let reason = match &held.by {
            HeldBy::Transactions => "a transaction that began before is still writing to the \
                 database's server; what may come before other events is waited for"
                .to_owned(),
            HeldBy::Store(error) => error.clone(),
        };
        let since = held.since;
        self.told = Some(since);
        let seconds = lasted.as_secs();
        Some(message::waiting(&Waiting { seconds, reason }))
    }

    fn held<'h>(&'h self, view: &'h View) -> Option<&'h Held> {
        self.trouble.as_ref().or(view.held.as_ref())
    }

    fn heartbeat(&self) -> Option<String> {
        let seq = match self.at {
            At::Before(_) => None,
            At::Behind(seq) => Some(seq),
        };
        (Instant::now() >= self.beat_at).then(|| message::heartbeat(seq))
    }

    /// When to look again although nothing was heard.
    fn alarm(&self, view: &View) -> Instant {
        let mut alarm = self.beat_at;
        if let Some(held) = self.held(view).filter(|held| self.told != Some(held.since)) {
            alarm = alarm.min(held.since + PATIENCE);
        }
        if self.trouble.is_some() {
            alarm = alarm.min(self.ask_at);
        }
        if Instant::now() < self.turn_at {
            alarm = alarm.min(self.turn_at);
        }
        alarm
    }
}

/// A stretch of the events that is nobody else's, as the list shows them.
async fn alone(
    inbox: &dyn Inbox,
    stretch: Stretch,
    filter: EventFilter,
) -> Result<Piece, InboxError> {
    let mut followed = inbox.follow(stretch, filter).await?;
    headlines(inbox, &mut followed.items).await?;
    let mut text = String::new();
    for row in &followed.items {
        message::event(&mut text, row);
    }
    Ok(Piece {
        text,
        upto: followed.upto,
        pruned: followed.pruned,
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::admin::stream::feed::TURN;
    use crate::admin::stream::feed::tests::store;
    use crate::inbox::sqlite::SqliteInbox;

    /// A stream of an empty store behind `at`, and what it is told to see.
    fn flow(at: At) -> (Flow, watch::Sender<View>, Lifecycle) {
        let inbox = SqliteInbox::in_memory();
        let (seeing, view) = watch::channel(View {
            complete: Seq(0),
            held: None,
        });
        let lifecycle = Lifecycle::default();
        let flow = Flow::new(Beginning {
            inbox: Arc::new(inbox),
            feed: Arc::default(),
            filter: EventFilter {
                limit: PAGE,
                ..EventFilter::default()
            },
            view,
            lifecycle: lifecycle.clone(),
            seat: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
            at,
            first: "first".to_owned(),
            resumes: true,
        });
        (flow, seeing, lifecycle)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_every_few_seconds_that_it_lives_and_where_it_is() {
        let (mut flow, _seeing, lifecycle) = flow(At::Behind(Seq(7)));
        let begun = Instant::now();
        assert_eq!(flow.next().await.unwrap(), "first");
        for turn in 1..4 {
            assert_eq!(flow.next().await.unwrap(), ": alive\nid: 7\n\n");
            // Timers fire up to a millisecond late.
            let late = begun.elapsed() - HEARTBEAT * turn;
            assert!(late < Duration::from_millis(10), "{late:?}");
        }
        lifecycle.drain();
        assert_eq!(flow.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_up_for_long_is_said_once() {
        let (mut flow, seeing, _lifecycle) = flow(At::Before(Seq(9)));
        flow.next().await.unwrap();
        let since = Instant::now();
        let by = HeldBy::Transactions;
        let held = Some(Held { since, by });
        let complete = Seq(0);
        seeing.send_replace(View { complete, held });
        let said = flow.next().await.unwrap();
        assert!(said.starts_with("event: waiting\n"), "{said}");
        assert!(since.elapsed() < PATIENCE + Duration::from_millis(10));
        assert_eq!(flow.next().await.unwrap(), ": alive\n\n");
        let (complete, held) = (Seq(9), None);
        seeing.send_replace(View { complete, held });
        let said = flow.next().await.unwrap();
        assert!(said.starts_with("id: 9\nevent: position\n"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_a_busy_moment_come_in_one_piece_and_one_after_a_silence_at_once() {
        let (mut flow, seeing, _lifecycle) = flow(At::Behind(Seq(0)));
        flow.next().await.unwrap();
        let inbox = Arc::clone(&flow.inbox);
        let come = async |id: &str, key: u8| {
            let complete = store(&*inbox, id, key).await;
            let held = None;
            seeing.send_replace(View { complete, held });
        };
        let begun = Instant::now();
        come("a", 1).await;
        let said = flow.next().await.unwrap();
        assert_eq!(said.matches("event: event").count(), 1, "{said}");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        come("b", 2).await;
        come("c", 3).await;
        let said = flow.next().await.unwrap();
        assert_eq!(said.matches("event: event").count(), 2, "{said}");
        assert!(begun.elapsed() >= TURN && begun.elapsed() < TURN + Duration::from_millis(10));
        tokio::time::advance(TURN * 2).await;
        let silent = Instant::now();
        come("d", 4).await;
        let said = flow.next().await.unwrap();
        assert_eq!(said.matches("event: event").count(), 1, "{said}");
        assert_eq!(silent.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_without_events_moves_on_and_a_store_in_trouble_is_asked_again() {
        let (mut flow, seeing, _lifecycle) = flow(At::Behind(Seq(0)));
        flow.next().await.unwrap();
        let (complete, held) = (Seq(5), None);
        seeing.send_replace(View { complete, held });
        assert_eq!(flow.next().await.unwrap(), ": alive\nid: 5\n\n");
        flow.inbox.close().await.unwrap();
        let (complete, held) = (Seq(6), None);
        seeing.send_replace(View { complete, held });
        let said = flow.next().await.unwrap();
        assert!(said.contains("the store is closed"), "{said}");
        assert_eq!(flow.next().await.unwrap(), ": alive\nid: 5\n\n");
    }
}
