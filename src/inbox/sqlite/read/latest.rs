//! What the newest events in time of some subjects are.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use crate::inbox::latest::{LONGEST, LOOKED_AT};
use crate::inbox::numbers::OUTCOME_STALE;
use crate::inbox::{Latest, Seq};

/// Each step of a chain is a look at the table's own key; only the body that is wanted is read.
pub(in crate::inbox::sqlite) fn latest(
    sql: &Connection,
    newest: &[Seq],
) -> rusqlite::Result<Vec<Latest>> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT outcome = {OUTCOME_STALE}, previous, event_type, \
         CASE WHEN outcome <> {OUTCOME_STALE} AND length(body) <= {LONGEST} THEN body END \
         FROM events WHERE seq = ?1"
    ))?;
    let mut found = Vec::with_capacity(newest.len());
    for newest in newest {
        found.extend(in_time(&mut statement, *newest)?);
    }
    Ok(found)
}

fn in_time(statement: &mut CachedStatement<'_>, newest: Seq) -> rusqlite::Result<Option<Latest>> {
    let mut at = Some(newest.0);
    for _ in 0..LOOKED_AT {
        let Some(seq) = at else {
            return Ok(None);
        };
        let looked = statement.query_row([seq], |row| {
            let stale: bool = row.get(0)?;
            let previous: Option<i64> = row.get(1)?;
            let latest = Latest {
                newest,
                seq: Seq(seq),
                event_type: row.get(2)?,
                body: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            };
            Ok((stale, previous, latest))
        });
        match looked.optional()? {
            Some((false, _, latest)) => return Ok(Some(latest)),
            Some((true, previous, _)) => at = previous,
            None => return Ok(None),
        }
    }
    Ok(None)
}
