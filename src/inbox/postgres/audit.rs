//! What people changed by hand, and why: written within the transaction that makes the change, where one
//! does.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::error::Failure;
use super::sql;
use super::time::timestamp;
use crate::inbox::Audit;
use crate::inbox::query::{AuditFilter, AuditRow, Page};

/// Entries of the audit that are kept.
const KEPT_AUDIT: i64 = 10_000;

/// Notes a change of so many at that time, in microseconds, and forgets the oldest ones.
pub(super) async fn write_down(
    client: &(impl GenericClient + Sync),
    audit: &Audit,
    (count, now): (usize, i64),
) -> Result<(), Failure> {
    sql::run(
        client,
        "INSERT INTO audit (at, who, action, selector, count, reason) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            (&now, Type::INT8),
            (&sql::text(&audit.who), Type::TEXT),
            (&audit.action, Type::TEXT),
            (&sql::text(&audit.selector), Type::TEXT),
            (&i64::try_from(count).unwrap_or(i64::MAX), Type::INT8),
            (&sql::text(&audit.reason), Type::TEXT),
        ],
    )
    .await?;
    sql::run(
        client,
        "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - $1",
        &[(&KEPT_AUDIT, Type::INT8)],
    )
    .await
    .map(|_number| ())
}

/// What was changed by hand, newest first.
pub(super) async fn audited(
    client: &(impl GenericClient + Sync),
    filter: &AuditFilter,
) -> Result<Page<AuditRow>, Failure> {
    let since = filter.since.map(|at| at.as_microsecond());
    let until = filter.until.map(|at| at.as_microsecond());
    let found = sql::rows(
        client,
        "SELECT id, at, who, action, selector, count, reason FROM audit \
         WHERE id < $1 AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR at >= $3) \
         AND ($4 IS NULL OR at < $4) ORDER BY id DESC LIMIT $5",
        &[
            (&filter.cursor.unwrap_or(i64::MAX), Type::INT8),
            (&filter.action.as_deref().map(sql::text), Type::TEXT),
            (&since, Type::INT8),
            (&until, Type::INT8),
            (&i64::try_from(filter.limit).unwrap_or(i64::MAX), Type::INT8),
        ],
    )
    .await?;
    let items = found.iter().map(audit_row).collect::<Result<Vec<_>, _>>()?;
    let next_cursor = items
        .last()
        .filter(|_| items.len() == filter.limit)
        .map(|row| row.id.to_string());
    Ok(Page { items, next_cursor })
}

fn audit_row(row: &Row) -> Result<AuditRow, tokio_postgres::Error> {
    let count: i64 = row.try_get(5)?;
    Ok(AuditRow {
        id: row.try_get(0)?,
        at: timestamp(row.try_get(1)?),
        who: row.try_get(2)?,
        action: row.try_get(3)?,
        selector: row.try_get(4)?,
        count: u64::try_from(count).unwrap_or_default(),
        reason: row.try_get(6)?,
    })
}
