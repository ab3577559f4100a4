//! The newest events, read and written out once for all streams that are at them.
//!
//! Twenty people who look at the same page cost the store as much as one. Streams at the tip take turns:
//! the first of them reads, the others find what it read, and each picks what its filter selects. One
//! that is further behind reads for itself, so that it holds up nobody and pushes out nothing.
//!
//! Turns come for all at once, so that who follows gets the events of a busy moment in one piece, and
//! the same piece as everybody else: a write for each event and each of twenty would be felt by pushes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::flow::{PAGE, Piece};
use super::message;
use crate::event::Seq;
use crate::inbox::headline::headlines;
use crate::inbox::query::{EventFilter, EventRow};
use crate::inbox::{Inbox, InboxError, Stretch};

/// Positions behind the newest one within which a stream is at the tip.
const TIP: i64 = 800;
/// Stretches that are kept, each a page at most.
const KEPT: usize = 4;
/// For how long: whoever was told of the same event asks within that. Not for longer, because another
/// copy of a database that takes over may give out the same positions again.
const FRESH: Duration = Duration::from_secs(1);
/// Between two turns. Nobody sees it; who has had nothing for so long does not wait for it.
pub(super) const TURN: Duration = Duration::from_millis(50);

/// What streams at the tip share.
pub(super) struct Feed {
    newest: Mutex<Newest>,
    /// From when turns are counted.
    begun: Instant,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            newest: Mutex::default(),
            begun: Instant::now(),
        }
    }
}

impl Feed {
    /// When those who have just had what there was look again, all at once.
    pub(super) fn next_turn(&self) -> Instant {
        let next = self.begun.elapsed().as_millis() / TURN.as_millis() + 1;
        self.begun + TURN * u32::try_from(next).unwrap_or(u32::MAX)
    }

    /// Whether what is left of `stretch` is short enough to be read with others.
    pub(super) fn reaches(stretch: Stretch) -> bool {
        stretch.upto.0.saturating_sub(stretch.after.0) <= TIP
    }

    /// The first of `stretch` that `filter` selects; or why the store does not tell, also where
    /// another stream has just asked it in vain: each in turn would wait as long again.
    pub(super) async fn read(
        &self,
        inbox: &dyn Inbox,
        stretch: Stretch,
        filter: &EventFilter,
    ) -> Result<Piece, InboxError> {
        let asked = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some((at, failure)) = &newest.failure
            && *at >= asked
        {
            return Err(failure.clone());
        }
        let piece = newest.read(inbox, stretch, filter).await;
        let failure = piece.as_ref().err().cloned();
        newest.failure = failure.map(|failure| (Instant::now(), failure));
        piece
    }
}

#[derive(Default)]
struct Newest {
    shared: VecDeque<Shared>,
    /// When the store was asked in vain last, unless it has answered since.
    failure: Option<(Instant, InboxError)>,
}

impl Newest {
    async fn read(
        &mut self,
        inbox: &dyn Inbox,
        stretch: Stretch,
        filter: &EventFilter,
    ) -> Result<Piece, InboxError> {
        let now = Instant::now();
        self.shared.retain(|shared| now < shared.read_at + FRESH);
        let mut found = self.shared.iter_mut();
        if let Some(shared) = found.find(|shared| shared.begins(stretch)) {
            return shared.piece(inbox, stretch.after, filter).await;
        }
        let mut shared = Shared::read(inbox, stretch).await?;
        let piece = shared.piece(inbox, stretch.after, filter).await;
        if self.shared.len() == KEPT {
            self.shared.pop_front();
        }
        self.shared.push_back(shared);
        piece
    }
}

/// A stretch that was read.
struct Shared {
    after: Seq,
    upto: Seq,
    pruned: Seq,
    read_at: Instant,
    rows: Vec<EventRow>,
    /// The messages of the rows, once somebody has wanted one.
    texts: Option<Vec<String>>,
}

impl Shared {
    async fn read(inbox: &dyn Inbox, stretch: Stretch) -> Result<Self, InboxError> {
        let all = EventFilter {
            limit: PAGE,
            ..EventFilter::default()
        };
        let followed = inbox.follow(stretch, all).await?;
        Ok(Self {
            after: stretch.after,
            upto: followed.upto,
            pruned: followed.pruned,
            read_at: Instant::now(),
            rows: followed.items,
            texts: None,
        })
    }

    /// Whether it has what `stretch` begins with, and nothing behind what was complete for that.
    fn begins(&self, stretch: Stretch) -> bool {
        self.after <= stretch.after && stretch.after < self.upto && self.upto <= stretch.upto
    }

    async fn piece(
        &mut self,
        inbox: &dyn Inbox,
        after: Seq,
        filter: &EventFilter,
    ) -> Result<Piece, InboxError> {
        let selected: Vec<bool> = self
            .rows
            .iter()
            .map(|row| row.seq > after && filter.selects(row))
            .collect();
        let mut text = String::new();
        if selected.contains(&true) {
            let texts = match self.texts.take() {
                Some(texts) => texts,
                None => {
                    headlines(inbox, &mut self.rows).await?;
                    self.rows.iter().map(written).collect()
                }
            };
            let chosen = texts.iter().zip(selected);
            chosen
                .filter(|(_, selected)| *selected)
                .for_each(|(one, _)| text.push_str(one));
            self.texts = Some(texts);
        }
        Ok(Piece {
            text,
            upto: self.upto,
            pruned: self.pruned,
        })
    }
}

fn written(row: &EventRow) -> String {
    let mut text = String::new();
    message::event(&mut text, row);
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::event::{Event, Id, Key};
    use crate::inbox::sqlite::SqliteInbox;
    use crate::inbox::{Batch, Offer, Wanted};

    pub(in crate::admin::stream) async fn store(inbox: &dyn Inbox, id: &str, key: u8) -> Seq {
        let event = Event {
            event_id: Some(Id::new(id)),
            ..Event::sample("{}")
        };
        let offer = Offer {
            event: Arc::new(event),
            key: Some(Key([key; 16])),
            moves_mark: false,
            wanted: Vec::<Wanted>::new().into(),
        };
        let batch = Batch {
            offers: vec![offer],
            ..Batch::default()
        };
        let committed = inbox.commit(Arc::new(batch), Timestamp::UNIX_EPOCH).await;
        committed.unwrap().offered[0].seq
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_stream_has_read_others_get_without_the_store_each_by_its_own_filter() {
        let inbox = SqliteInbox::in_memory();
        let mut last = Seq(0);
        for (id, key) in [("a", 1), ("b", 2), ("c", 3)] {
            last = store(&inbox, id, key).await;
        }
        let feed = Feed::default();
        let of = |id: Option<&str>| EventFilter {
            event_id: id.map(str::to_owned),
            ..EventFilter::default()
        };
        let behind = |after: i64| Stretch {
            after: Seq(after),
            upto: last,
        };
        let all = feed.read(&inbox, behind(0), &of(None)).await.unwrap();
        assert_eq!(
            (all.text.matches("event: event").count(), all.upto),
            (3, last)
        );
        // Nobody can ask the store any more.
        inbox.close().await.unwrap();
        let again = feed.read(&inbox, behind(0), &of(None)).await.unwrap();
        assert_eq!(again.text, all.text);
        let rest = feed
            .read(&inbox, behind(last.0 - 1), &of(None))
            .await
            .unwrap();
        assert!(all.text.ends_with(&rest.text), "{}", rest.text);
        assert_eq!(rest.text.matches("event: event").count(), 1);
        let one = feed.read(&inbox, behind(0), &of(Some("b"))).await.unwrap();
        assert_eq!(one.text.matches("event: event").count(), 1, "{}", one.text);
        assert!(one.text.contains(r#""event_id":"b""#), "{}", one.text);
        let none = feed.read(&inbox, behind(0), &of(Some("x"))).await.unwrap();
        assert_eq!((none.text.as_str(), none.upto), ("", last));
        tokio::time::advance(FRESH).await;
        let old = feed.read(&inbox, behind(0), &of(None)).await;
        assert!(matches!(old, Err(InboxError::Closed)), "kept for too long");
    }
}
