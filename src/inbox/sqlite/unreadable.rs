//! The box of pushes that could not be used: bounded, the oldest go first.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::audit::write_down;
use crate::inbox::{Audit, Unreadable, UnreadableBounds};

pub(super) fn keep(
    sql: &mut Connection,
    unreadable: &[Unreadable],
    bounds: UnreadableBounds,
) -> rusqlite::Result<()> {
    let transaction = sql.transaction()?;
    for unreadable in unreadable {
        transaction
            .prepare_cached(
                "INSERT INTO unreadable (received, reason, tag, query, source_ip, peer_ip, bytes, \
                 body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                unreadable.received_at.as_microsecond(),
                unreadable.reason,
                unreadable.route.tag,
                unreadable.route.query,
                unreadable.source_ip.map(|ip| ip.to_string()),
                unreadable.peer_ip.map(|ip| ip.to_string()),
                i64::try_from(unreadable.body.len()).unwrap_or(i64::MAX),
                unreadable.body.as_ref(),
            ])?;
    }
    // The newest stay while they fit, by count and by bytes.
    transaction
        .prepare_cached(
            "DELETE FROM unreadable WHERE id IN (SELECT id FROM (SELECT id, \
             row_number() OVER newest AS place, sum(bytes) OVER newest AS total FROM unreadable \
             WINDOW newest AS (ORDER BY id DESC)) WHERE place > ?1 OR total > ?2)",
        )?
        .execute(params![
            i64::try_from(bounds.count).unwrap_or(i64::MAX),
            i64::try_from(bounds.bytes).unwrap_or(i64::MAX)
        ])?;
    transaction.commit()
}

/// Removes those of `ids` that are there, with a line in the audit, and says which were.
pub(super) fn remove(
    sql: &mut Connection,
    (ids, audit): (&[i64], &Audit),
    now: Timestamp,
) -> rusqlite::Result<Vec<bool>> {
    let transaction = sql.transaction()?;
    let mut gone = Vec::with_capacity(ids.len());
    for id in ids {
        let removed = transaction
            .prepare_cached("DELETE FROM unreadable WHERE id = ?1")?
            .execute([id])?;
        gone.push(removed == 1);
    }
    let count = gone.iter().filter(|gone| **gone).count();
    if count > 0 {
        write_down(&transaction, audit, (count, now))?;
    }
    transaction.commit()?;
    Ok(gone)
}
