//! How far the sender's history was read, and what of it was dealt with.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::transaction::timestamp;
use super::writer::Writer;
use crate::inbox::{Mark, RecordId};

const BEGUN: &str = "recovery_begun";
const REACHED: &str = "recovery_reached";

pub(super) fn mark(sql: &Connection) -> rusqlite::Result<Option<Mark>> {
    let (begun, reached) = (time(sql, BEGUN)?, time(sql, REACHED)?);
    Ok(begun
        .zip(reached)
        .map(|(begun, reached)| Mark { begun, reached }))
}

fn time(sql: &Connection, key: &str) -> rusqlite::Result<Option<Timestamp>> {
    sql.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0).map(timestamp))
        .optional()
}

pub(super) fn handled(sql: &Connection, records: &[RecordId]) -> rusqlite::Result<Vec<bool>> {
    let mut known = sql.prepare_cached("SELECT 1 FROM recovered WHERE id = ?1")?;
    records
        .iter()
        .map(|record| known.exists([record.0]))
        .collect()
}

pub(super) fn remember(
    writer: &mut Writer,
    records: &[RecordId],
    reached: Option<Timestamp>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = writer.connection.transaction()?;
    for record in records {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO recovered (id, handled) VALUES (?1, ?2)")?
            .execute(params![record.0, now.as_microsecond()])?;
    }
    if let Some(reached) = reached.map(Timestamp::as_microsecond) {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute(params![BEGUN, reached])?;
        transaction
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )?
            .execute(params![REACHED, reached])?;
    }
    transaction.commit()
}
