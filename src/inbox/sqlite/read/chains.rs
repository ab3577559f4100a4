//! The events of one subject, along the chain from its newest event back, on every route.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::subjects::subject_rows;
use super::{EVENT_COLUMNS, LOOKED_AT, event_row, no_such_place};
use crate::inbox::cursor::Heads;
use crate::inbox::query::{EventFilter, EventRow, Page};

/// Newest first over all chains, from where the page before left each of them.
pub(super) fn by_subject(
    sql: &Connection,
    filter: &EventFilter,
) -> rusqlite::Result<Page<EventRow>> {
    let subject = filter.subject.as_ref().map(ToString::to_string);
    let left = match &filter.cursor {
        Some(cursor) => Some(Heads::parse(cursor).ok_or_else(no_such_place)?),
        None => None,
    };
    let mut heads = Vec::new();
    for row in subject_rows(sql, subject.as_deref())? {
        heads.extend(begin(sql, row.last_seq.0, left.as_ref())?);
    }
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS}, e.previous FROM events e JOIN routes r ON r.id = e.route WHERE e.seq = ?1"
    ))?;
    let mut items = Vec::new();
    let mut looked_at = 0;
    while items.len() < filter.limit && looked_at < LOOKED_AT {
        heads.sort_unstable();
        let Some(seq) = heads.pop() else {
            break;
        };
        looked_at += 1;
        let found = statement.query_row([seq], |row| {
            Ok((event_row(row)?, row.get::<_, Option<i64>>(14)?))
        });
        // What is gone was the oldest of its chain, or all before it is gone as well.
        let Some((row, previous)) = found.optional()? else {
            continue;
        };
        heads.extend(previous);
        if filter.matches(&row) {
            items.push(row);
        }
    }
    let next_cursor = Heads(heads).to_cursor();
    Ok(Page { items, next_cursor })
}

/// Where to begin in the chain whose newest event is at `last`: there, or at that of the heads that
/// were left which is in it; nowhere, when none is.
fn begin(sql: &Connection, last: i64, left: Option<&Heads>) -> rusqlite::Result<Option<i64>> {
    let Some(Heads(left)) = left else {
        return Ok(Some(last));
    };
    let mut statement = sql.prepare_cached(
        "SELECT 1 FROM events \
         WHERE seq = ?1 AND lane = (SELECT lane FROM events WHERE seq = ?2)",
    )?;
    for seq in left {
        if statement.exists(params![seq, last])? {
            return Ok(Some(*seq));
        }
    }
    Ok(None)
}
