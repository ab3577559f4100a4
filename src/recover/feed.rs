//! The records of one window, oldest first, page by page.
//!
//! The history goes on while it is read. A cursor holds a place in it; one that has expired is
//! given up, and the window begins again at the last time seen. So a record may come twice, and
//! none is missed.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::Caller;
use super::history::{LIST, PAGE, Page, Record};
use crate::flashduty::Fault;

/// How often a window begins again without getting any further.
const RESTARTS: u32 = 5;

/// A stretch of time in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The records of a window, of all integrations that are asked for, in one order.
pub(super) struct Feeds(Vec<Feed>);

impl Feeds {
    /// The records of `window`; of all `integrations` when none is named.
    pub(super) fn new(integrations: &[i64], window: Window, all: bool) -> Self {
        let feed = |integration| Feed {
            integration,
            window,
            all,
            pages: VecDeque::new(),
            cursor: None,
            seen: window.from,
            restarts: 0,
            done: false,
        };
        if integrations.is_empty() {
            return Self(vec![feed(None)]);
        }
        Self(integrations.iter().map(|one| feed(Some(*one))).collect())
    }

    /// The next `most` records, oldest first; fewer only at the end.
    pub(super) async fn next(
        &mut self,
        most: usize,
        caller: &mut Caller<'_>,
    ) -> Result<Vec<Record>, Fault> {
        let mut records = Vec::new();
        while records.len() < most {
            for feed in &mut self.0 {
                feed.fill(caller).await?;
            }
            let oldest = self
                .0
                .iter_mut()
                .filter_map(|feed| Some((feed.pages.front()?.0, feed)))
                .min_by_key(|(at, _)| *at);
            match oldest.and_then(|(_, feed)| feed.pages.pop_front()) {
                Some((_, record)) => records.push(record),
                None => break,
            }
        }
        Ok(records)
    }
}

struct Feed {
    integration: Option<i64>,
    window: Window,
    /// Also attempts that went well.
    all: bool,
    /// What was read and not yet handed on, each with the time it stands at.
    pages: VecDeque<(Timestamp, Record)>,
    cursor: Option<Value>,
    /// The latest time of a record so far.
    seen: Timestamp,
    /// Since it last got further.
    restarts: u32,
    done: bool,
}

impl Feed {
    /// Reads on until there is a record to hand on, or nothing more.
    async fn fill(&mut self, caller: &mut Caller<'_>) -> Result<(), Fault> {
        while self.pages.is_empty() && !self.done {
            match caller.ask::<Page>(LIST, &self.query()).await {
                Ok(page) => self.take(page)?,
                // Without a cursor the same would be refused for something else.
                Err(Fault::Invalid(what)) if self.cursor.is_some() => self.restart(what)?,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    fn query(&self) -> Value {
        let mut query = json!({
            "start_time": self.window.from.as_millisecond(),
            "end_time": self.window.to.as_millisecond(),
            "limit": PAGE,
            "asc": true,
            "orderby": "event_time",
        });
        if let Some(integration) = self.integration {
            query["integration_id"] = integration.into();
        }
        if !self.all {
            query["status"] = "failed".into();
        }
        if let Some(cursor) = &self.cursor {
            query["search_after_ctx"] = cursor.clone();
        }
        query
    }

    fn take(&mut self, mut page: Page) -> Result<(), Fault> {
        let (is_empty, cursor) = (page.is_empty(), page.cursor());
        if cursor.is_some() && cursor == self.cursor && !is_empty {
            return self.restart("the page's cursor is that of the page before".to_owned());
        }
        self.done = cursor.is_none() || is_empty;
        self.cursor = cursor;
        for record in page.records() {
            let at = record.at().unwrap_or(self.seen);
            if at > self.seen {
                self.seen = at;
                self.restarts = 0;
            }
            self.pages.push_back((at, record));
        }
        Ok(())
    }

    fn restart(&mut self, why: String) -> Result<(), Fault> {
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(Fault::Transient(why));
        }
        self.window.from = self.seen;
        self.cursor = None;
        Ok(())
    }
}
