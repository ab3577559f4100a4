//! Whether a sink has used up its rates.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::timestamp;
use crate::inbox::{Rate, SinkId};

/// By the attempt whose leaving makes room for one more, for each of the rates.
pub(in crate::inbox::sqlite) fn exhausted(
    sql: &Connection,
    sink: SinkId,
    rates: &[Rate],
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let mut until: Option<i64> = None;
    for rate in rates {
        let window = i64::try_from(rate.window.as_micros()).unwrap_or(i64::MAX);
        let ended: Option<i64> = sql
            .prepare_cached(
                "SELECT ended FROM sends WHERE sink = ?1 AND ended > ?2 \
                 ORDER BY ended DESC LIMIT 1 OFFSET ?3",
            )?
            .query_row(
                params![
                    sink.0,
                    now.as_microsecond().saturating_sub(window),
                    rate.count.saturating_sub(1)
                ],
                |row| row.get(0),
            )
            .optional()?;
        until = until.max(ended.map(|ended| ended.saturating_add(window)));
    }
    Ok(until.map(timestamp))
}
