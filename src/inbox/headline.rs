//! What a list shows of an event's body: its title and its severity, as the words of filters mean them.
//!
//! Neither is stored. Whoever reads a page has its bodies read, a bounded piece of them at a time and
//! beside the async threads; no push pays for it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::query::EventRow;
use super::{Inbox, InboxError};
use crate::aside::aside;
use crate::envelope::view::View;
use crate::event::Seq;

/// A body longer than this is not read for its title.
const LONGEST_BODY: u64 = 256 << 10;
/// Bytes of bodies in memory at a time.
const AT_A_TIME: u64 = 4 << 20;
/// Characters of a title in a list.
const LONGEST_TITLE: usize = 1000;

/// Says of each event its title and severity, where its body is there and not too long.
///
/// # Errors
/// When the store does not answer.
pub async fn headlines(inbox: &dyn Inbox, rows: &mut [EventRow]) -> Result<(), InboxError> {
    let mut rest = rows;
    while !rest.is_empty() {
        let length = piece(rest);
        let (rows, behind) = std::mem::take(&mut rest).split_at_mut(length);
        rest = behind;
        let read = rows.iter().filter(|row| row.body_bytes <= LONGEST_BODY);
        let seqs: Vec<Seq> = read.map(|row| row.seq).collect();
        if seqs.is_empty() {
            continue;
        }
        let bodies = inbox.bodies(seqs).await?;
        let bytes: u64 = bodies.iter().map(|(_, body)| body.len() as u64).sum();
        let mut headlines = aside(bytes, move || {
            let bodies = bodies.iter();
            let read = bodies.map(|(seq, body)| (*seq, Headline::read(body)));
            read.collect::<HashMap<Seq, Headline>>()
        })
        .await;
        for row in rows {
            headlines.remove(&row.seq).unwrap_or_default().stand_in(row);
        }
    }
    Ok(())
}

/// The same for one event, whose body is at hand.
pub fn headline(row: &mut EventRow, body: &[u8]) {
    Headline::read(body).stand_in(row);
}

/// How many of `rows`, one at least, have bodies that may be in memory together.
pub(super) fn piece(rows: &[EventRow]) -> usize {
    let mut bytes = 0_u64;
    let fit = rows.iter().take_while(|row| {
        bytes = bytes.saturating_add(row.body_bytes);
        bytes <= AT_A_TIME
    });
    fit.count().max(1)
}

#[derive(Debug, Default)]
struct Headline {
    title: Option<String>,
    severity: Option<String>,
}

impl Headline {
    fn read(body: &[u8]) -> Self {
        if body.len() as u64 > LONGEST_BODY {
            return Self::default();
        }
        let view = View::read(body);
        Self {
            title: view.title.map(cut),
            severity: view.severity.map(cut),
        }
    }

    fn stand_in(self, row: &mut EventRow) {
        row.title = self.title;
        row.severity = self.severity;
    }
}

fn cut(text: Cow<'_, str>) -> String {
    let end = text.char_indices().nth(LONGEST_TITLE).map(|(end, _)| end);
    let mut text = text.into_owned();
    if let Some(end) = end {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(title: &str, more: usize) -> Headline {
        let more = " ".repeat(more);
        let body =
            format!(r#"{{"incident":{{"title":"{title}","incident_severity":"Info"}}}}{more}"#);
        Headline::read(body.as_bytes())
    }

    #[test]
    fn a_title_is_cut_and_a_long_body_is_not_read() {
        let title = "é".repeat(LONGEST_TITLE);
        assert_eq!(read(&title, 0).title.as_ref(), Some(&title));
        let longer = read(&format!("{title}é"), 0);
        assert_eq!(longer.title, Some(format!("{title}…")));
        assert_eq!(longer.severity.as_deref(), Some("Info"));
        let long = read("disk", 256 << 10);
        assert_eq!((long.title, long.severity), (None, None));
    }
}
