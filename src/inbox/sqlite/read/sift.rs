//! Looking through the events, newest first.
//!
//! A look is one statement, and short: the log of the store cannot be moved into its file past what a
//! reader still sees, and whoever else reads waits for this one's turn to end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{EVENT_COLUMNS, cursor, event_row, going_on, limit};
use crate::inbox::Seq;
use crate::inbox::search::{Sift, Sifted, below};

/// A look ends with the first event after this.
const LONGEST: Duration = Duration::from_millis(20);

pub(in crate::inbox::sqlite) fn bodies(
    sql: &Connection,
    seqs: &[Seq],
) -> rusqlite::Result<Vec<(Seq, Bytes)>> {
    let mut statement = sql.prepare_cached("SELECT body FROM events WHERE seq = ?1")?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let body: Option<Vec<u8>> = statement.query_row([seq.0], |row| row.get(0)).optional()?;
        found.extend(body.map(|body| (*seq, Bytes::from(body))));
    }
    Ok(found)
}

pub(in crate::inbox::sqlite) fn sift(sql: &Connection, sift: &Sift) -> rusqlite::Result<Sifted> {
    let began = Instant::now();
    let from = cursor(sift.filter.cursor.as_deref())?.unwrap_or(i64::MAX);
    // Reading a body costs more than all the rest.
    let body = if sift.text.is_some() {
        "e.body"
    } else {
        "NULL"
    };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS}, {body} FROM events e JOIN routes r ON r.id = e.route \
         WHERE e.seq <= ?1 ORDER BY e.seq DESC LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![from, limit(sift.rows)])?;
    let mut sifted = Sifted::default();
    loop {
        let Some(row) = rows.next()? else {
            if sifted.looked_at < sift.rows {
                sifted.next = None;
            }
            break;
        };
        let event = event_row(row)?;
        sifted.looked_at += 1;
        sifted.searched_to = Some(event.received_at);
        sifted.next = below(event.seq);
        let body = row.get_ref(14)?.as_blob().unwrap_or_default();
        if sift.selects(&event) && sift.is_in(&event, body) {
            sifted.items.push(event);
        }
        if sifted.items.len() >= sift.filter.limit || began.elapsed() >= LONGEST {
            break;
        }
    }
    if let (Some(next), since @ Some(_)) = (sifted.next, sift.filter.since) {
        let next = going_on(sql, next.0, since)?;
        sifted.next = (next > 0).then_some(Seq(next));
    }
    Ok(sifted)
}
