//! Finding events by what stands in them, and by who sent them.
//!
//! No index leads there, so the events are looked through from the newest back: in short looks, each
//! a statement or two of its own, until enough was found or the time is up. A page then says how far
//! it looked, and where the next one goes on.

mod needle;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::needle::{Needle, TEXT};
use super::headline::{headlines, piece};
use super::query::{EventFilter, EventRow, Page};
use super::{Inbox, InboxError};
use crate::aside::aside;
use crate::event::Seq;

/// Events looked at for one page.
pub const ROWS: usize = 20_000;
/// The time to look for one page: its last look may take a little longer.
pub const TIME: Duration = Duration::from_millis(100);
/// Events of one look.
const STEP: usize = 500;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sift {
    /// What else must match; where to begin and how many are wanted stands here, too.
    pub filter: EventFilter,
    /// Stands in the event.
    pub text: Option<Needle>,
    /// Holds the client's address.
    pub source: Option<IpNet>,
    /// Events to look at, at most.
    pub rows: usize,
}

impl Sift {
    /// Looks at as many events as one page may.
    pub fn new(filter: EventFilter, text: Option<Needle>, source: Option<IpNet>) -> Self {
        Self {
            filter,
            text,
            source,
            rows: ROWS,
        }
    }

    /// Whether events must be looked through, and not only listed.
    pub fn searches(&self) -> bool {
        self.text.is_some() || self.source.is_some()
    }

    /// Whether everything but the text matches.
    pub(super) fn selects(&self, row: &EventRow) -> bool {
        self.filter.selects(row)
            && self.source.is_none_or(|block| {
                let ip = row.source_ip.map(|ip| ip.to_canonical());
                ip.is_some_and(|ip| block.contains(&ip))
            })
    }

    /// Whether the text is in the event with this body; so where no text is looked for.
    pub(super) fn is_in(&self, row: &EventRow, body: &[u8]) -> bool {
        let text = self.text.as_ref();
        text.is_none_or(|text| text.is_in(row, body))
    }
}

/// What one look found.
#[derive(Debug, Clone, Default)]
pub struct Sifted {
    /// Newest first.
    pub items: Vec<EventRow>,
    /// Events looked at.
    pub looked_at: usize,
    /// When the last of them was received.
    pub searched_to: Option<Timestamp>,
    /// Where the next look begins; `None` when there is nothing more to look at.
    pub next: Option<Seq>,
}

/// Where to go on below `seq`.
pub(super) fn below(seq: Seq) -> Option<Seq> {
    (seq.0 > 1).then_some(Seq(seq.0 - 1))
}

/// A page of events and, where they had to be looked for, how far that went.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Searched {
    /// What was found. It may be less than a page, or nothing, and go on all the same.
    #[serde(flatten)]
    pub page: Page<EventRow>,
    /// When the last event that was looked at was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<Timestamp>,
}

/// A page of events with their titles: the one way lists go, whoever asks.
///
/// # Errors
/// When the store does not answer, or never gave out such a cursor.
pub async fn page(inbox: &dyn Inbox, sift: Sift) -> Result<Searched, InboxError> {
    let mut found = if sift.searches() {
        search(inbox, sift, TIME).await?
    } else {
        Searched {
            page: inbox.events(sift.filter).await?,
            searched_to: None,
        }
    };
    headlines(inbox, &mut found.page.items).await?;
    Ok(found)
}

/// Looks until the filter's limit is reached, so many rows were looked at, so much time has passed or
/// nothing is left.
pub(super) async fn search(
    inbox: &dyn Inbox,
    mut sift: Sift,
    time: Duration,
) -> Result<Searched, InboxError> {
    let began = Instant::now();
    let limit = sift.filter.limit;
    let mut rows = sift.rows;
    let mut items = Vec::new();
    let mut searched_to = None;
    let next_cursor = loop {
        sift.filter.limit = limit - items.len();
        sift.rows = rows.min(STEP);
        let (look, next) = if sift.filter.event_id.is_some() || sift.filter.subject.is_some() {
            along(inbox, &sift).await?
        } else {
            let look = inbox.sift(sift.clone()).await?;
            let next = look.next.map(|seq| seq.to_string());
            (look, next)
        };
        rows = rows.saturating_sub(look.looked_at.max(1));
        searched_to = look.searched_to.or(searched_to);
        items.extend(look.items);
        let done = items.len() >= limit || rows == 0 || began.elapsed() >= time;
        if done || next.is_none() {
            break next;
        }
        sift.filter.cursor = next;
    };
    Ok(Searched {
        page: Page { items, next_cursor },
        searched_to,
    })
}

/// A look at the few events that an index leads to, and where the next one begins.
async fn along(inbox: &dyn Inbox, sift: &Sift) -> Result<(Sifted, Option<String>), InboxError> {
    let page = inbox.events(sift.filter.clone()).await?;
    let next = page.next_cursor;
    let looked_at = page.items.len();
    let searched_to = page.items.last().map(|row| row.received_at);
    let mut items = page.items;
    items.retain(|row| sift.selects(row));
    if let Some(text) = &sift.text {
        items = holding(inbox, text, items).await?;
    }
    let look = Sifted {
        items,
        looked_at,
        searched_to,
        next: None,
    };
    Ok((look, next))
}

/// Those of `rows` that the text is in.
async fn holding(
    inbox: &dyn Inbox,
    text: &Needle,
    rows: Vec<EventRow>,
) -> Result<Vec<EventRow>, InboxError> {
    let mut kept = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let length = piece(&rest);
        let behind = rest.split_off(length);
        let rows = std::mem::replace(&mut rest, behind);
        let seqs = rows.iter().map(|row| row.seq).collect();
        let bodies: HashMap<Seq, Bytes> = inbox.bodies(seqs).await?.into_iter().collect();
        let bytes: u64 = rows.iter().map(|row| row.body_bytes).sum();
        let text = text.clone();
        let found = aside(bytes, move || {
            let is_in = |row: &EventRow| {
                let body = bodies.get(&row.seq);
                body.is_some_and(|body| text.is_in(row, body))
            };
            rows.into_iter().filter(is_in).collect::<Vec<_>>()
        });
        kept.extend(found.await);
    }
    Ok(kept)
}
