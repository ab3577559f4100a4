//! What people changed by hand, and why: written within the transaction that makes the change, where one
//! does.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::transaction::timestamp;
use crate::inbox::Audit;
use crate::inbox::query::{AuditFilter, AuditRow, Page};

/// Entries of the audit that are kept.
const KEPT_AUDIT: i64 = 10_000;

/// Notes a change of so many at that time, and forgets the oldest ones.
pub(super) fn write_down(
    sql: &Connection,
    audit: &Audit,
    (count, now): (usize, Timestamp),
) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "INSERT INTO audit (at, who, action, selector, count, reason) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        now.as_microsecond(),
        audit.who,
        audit.action,
        audit.selector,
        i64::try_from(count).unwrap_or(i64::MAX),
        audit.reason
    ])?;
    sql.prepare_cached("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1")?
        .execute([KEPT_AUDIT])
        .map(|_number| ())
}

/// The same of what was committed before.
pub(super) fn note(
    sql: &mut Connection,
    audit: &Audit,
    (count, now): (usize, Timestamp),
) -> rusqlite::Result<()> {
    let transaction = sql.transaction()?;
    write_down(&transaction, audit, (count, now))?;
    transaction.commit()
}

/// What was changed by hand, newest first.
pub(super) fn audited(sql: &Connection, filter: &AuditFilter) -> rusqlite::Result<Page<AuditRow>> {
    let items: Vec<AuditRow> = sql
        .prepare_cached(
            "SELECT id, at, who, action, selector, count, reason FROM audit \
             WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR action = ?2) \
             AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) ORDER BY id DESC LIMIT ?5",
        )?
        .query_map(
            params![
                filter.cursor,
                filter.action,
                filter.since.map(Timestamp::as_microsecond),
                filter.until.map(Timestamp::as_microsecond),
                i64::try_from(filter.limit).unwrap_or(i64::MAX)
            ],
            audit_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next_cursor = items
        .last()
        .filter(|_| items.len() == filter.limit)
        .map(|row| row.id.to_string());
    Ok(Page { items, next_cursor })
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get(0)?,
        at: timestamp(row.get(1)?),
        who: row.get(2)?,
        action: row.get(3)?,
        selector: row.get(4)?,
        count: row.get(5)?,
        reason: row.get(6)?,
    })
}
