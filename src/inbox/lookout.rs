//! Watches how far the events are complete, once for all who follow them.
//!
//! What this process stores is seen at once; what others store in the same database within a second.
//! While nobody follows, nothing is asked.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::{Horizon, Inbox, InboxError};
use crate::event::Seq;

/// How often is looked while nothing is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks, however much is stored.
const APART: Duration = Duration::from_millis(20);
/// The same while something is held back, and has been for so long.
const LONG: Duration = Duration::from_secs(1);
const APART_THEN: Duration = Duration::from_millis(200);

/// What is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Up to here the events are complete.
    pub complete: Seq,
    /// What holds up the rest, if there is any.
    pub held: Option<Held>,
}

/// Why events may be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Since when nothing has become complete.
    pub since: Instant,
    /// What is waited for.
    pub by: HeldBy,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBy {
    /// Transactions that may still put events before those that are there.
    Transactions,
    /// The store does not answer, and why.
    Store(String),
}

/// The one who looks.
pub struct Lookout {
    inbox: Arc<dyn Inbox>,
    stored: watch::Receiver<Seq>,
    view: watch::Sender<View>,
    /// Somebody has begun to follow.
    wanted: Notify,
}

impl Lookout {
    /// Looks at `inbox` whenever `stored` tells of a new event, and beside it.
    pub fn new(inbox: Arc<dyn Inbox>, stored: watch::Receiver<Seq>) -> Arc<Self> {
        let view = View {
            complete: Seq(0),
            held: None,
        };
        Arc::new(Self {
            inbox,
            stored,
            view: watch::Sender::new(view),
            wanted: Notify::new(),
        })
    }

    /// What is seen, and from now on. At first it may be what was seen when somebody followed last.
    pub fn subscribe(&self) -> watch::Receiver<View> {
        let view = self.view.subscribe();
        self.wanted.notify_one();
        view
    }

    /// Looks for as long as somebody follows, and waits for the next. Never ends.
    pub async fn run(&self) {
        let mut stored = self.stored.clone();
        loop {
            if self.view.receiver_count() == 0 {
                self.wanted.notified().await;
                continue;
            }
            // Before the look: what is stored meanwhile asks for one more.
            stored.mark_unchanged();
            let begun = Instant::now();
            self.look().await;
            let (apart, longest) = self.pace();
            tokio::select! {
                () = sleep_until(begun + longest) => {}
                () = self.wanted.notified() => {}
                () = heard(&mut stored, begun + apart) => {}
            }
        }
    }

    async fn look(&self) {
        let found = self.inbox.horizon().await;
        let now = Instant::now();
        self.view.send_if_modified(|view| {
            let seen = seen(view, found, now);
            let differs = *view != seen;
            *view = seen;
            differs
        });
    }

    /// The shortest and the longest time from this look to the next.
    fn pace(&self) -> (Duration, Duration) {
        match &self.view.borrow().held {
            None => (APART, LOOK_EVERY),
            Some(held) if held.by == HeldBy::Transactions && held.since.elapsed() < LONG => {
                (APART, APART)
            }
            Some(held) if held.by == HeldBy::Transactions => (APART_THEN, APART_THEN),
            Some(_) => (LOOK_EVERY, LOOK_EVERY),
        }
    }
}

/// Waits for a new event of this process, and until it is time.
async fn heard(stored: &mut watch::Receiver<Seq>, time: Instant) {
    if stored.changed().await.is_err() {
        // Nobody stores any more.
        std::future::pending::<()>().await;
    }
    sleep_until(time).await;
}

/// What is seen after a look at `now`, `before` which this was.
fn seen(before: &View, found: Result<Horizon, InboxError>, now: Instant) -> View {
    let (complete, by) = match found {
        Ok(horizon) => (
            horizon.complete,
            horizon.waits().then_some(HeldBy::Transactions),
        ),
        Err(error) => (before.complete, Some(HeldBy::Store(error.to_string()))),
    };
    let held = by.map(|by| {
        let goes_on = before.held.as_ref().filter(|held| {
            complete == before.complete && discriminant(&held.by) == discriminant(&by)
        });
        let since = goes_on.map_or(now, |held| held.since);
        Held { since, by }
    });
    View { complete, held }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::conformance::{event, offer};
    use crate::inbox::faulty::{FaultyInbox, Weather};
    use crate::inbox::sqlite::SqliteInbox;

    fn memory() -> Arc<FaultyInbox<SqliteInbox>> {
        Arc::new(FaultyInbox::new(SqliteInbox::in_memory()))
    }

    fn horizon(complete: i64, drawn: i64) -> Result<Horizon, InboxError> {
        Ok(Horizon {
            complete: Seq(complete),
            drawn: Seq(drawn),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_up_is_so_since_nothing_has_become_complete() {
        let view = View {
            complete: Seq(5),
            held: None,
        };
        let first = Instant::now();
        let view = seen(&view, horizon(5, 9), first);
        tokio::time::advance(LONG).await;
        let view = seen(&view, horizon(5, 12), Instant::now());
        assert_eq!(view.held.as_ref().unwrap().since, first);
        let view = seen(&view, horizon(9, 12), Instant::now());
        let advanced = view.held.as_ref().unwrap().since;
        assert_eq!(advanced, Instant::now(), "it goes on");
        tokio::time::advance(LONG).await;
        let away = || Err(InboxError::Away("no route".to_owned()));
        let view = seen(&view, away(), Instant::now());
        assert_eq!(view.complete, Seq(9));
        assert_eq!(view.held.as_ref().unwrap().since, Instant::now());
        let view = seen(&view, horizon(12, 12), Instant::now());
        assert_eq!((view.complete, view.held), (Seq(12), None));
    }

    #[tokio::test]
    async fn what_is_stored_here_is_seen_at_once_and_what_is_stored_elsewhere_soon() {
        let inbox = memory();
        let (storing, stored) = watch::channel(Seq(0));
        let lookout = Lookout::new(Arc::<FaultyInbox<SqliteInbox>>::clone(&inbox), stored);
        let mut view = lookout.subscribe();
        let follow = async {
            view.wait_for(|view| view.held.is_none()).await.unwrap();
            let here = offer(&*inbox, event("a")).await.seq;
            storing.send_replace(here);
            view.wait_for(|view| view.complete == here).await.unwrap();
            // Nobody tells of this one.
            let elsewhere = offer(&*inbox, event("b")).await.seq;
            view.wait_for(|view| view.complete == elsewhere)
                .await
                .unwrap();
            inbox.turn(Weather::Away);
            let trouble = |view: &View| {
                let by = view.held.as_ref().map(|held| &held.by);
                matches!(by, Some(HeldBy::Store(_)))
            };
            let seen = view.wait_for(trouble).await.unwrap().clone();
            assert_eq!(seen.complete, elsewhere);
            inbox.turn(Weather::Fine);
            view.wait_for(|view| view.held.is_none()).await.unwrap();
        };
        tokio::select! {
            () = lookout.run() => unreachable!("it never ends"),
            () = follow => {}
        }
    }
}
