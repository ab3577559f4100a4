//! What a spill holds, for a person: read beside whoever has it.

use std::path::Path;

use rusqlite::Connection;

use super::super::transaction::timestamp;
use super::{LAYOUT, OpenError, open, place};
use crate::inbox::spill::Contents;

/// What the spill at `path` holds. Nothing is made and nothing is changed, so its lock is not
/// needed.
///
/// # Errors
/// When there is none, or the file is something else.
pub fn look(path: &Path) -> Result<Contents, OpenError> {
    // The system's own error says more than SQLite's "unable to open".
    std::fs::metadata(path).map_err(|error| place::unopenable(path, &error))?;
    let reader = open::connect_reader(path).map_err(|error| open::broken(path, &error))?;
    open::recognise(&reader, path, &LAYOUT)?;
    contents(&reader).map_err(|error| open::broken(path, &error))
}

fn contents(sql: &Connection) -> rusqlite::Result<Contents> {
    // A file that somebody is only just making.
    let tables: u64 = sql.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'spilled'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(Contents::default());
    }
    sql.query_row(
        "SELECT count(*) FILTER (WHERE aside = 0), count(*) FILTER (WHERE aside = 1), \
         coalesce(sum(length(body)), 0), min(received), max(received) FROM spilled",
        [],
        |row| {
            Ok(Contents {
                events: row.get(0)?,
                set_aside: row.get(1)?,
                bytes: row.get(2)?,
                oldest: row.get::<_, Option<i64>>(3)?.map(timestamp),
                newest: row.get::<_, Option<i64>>(4)?.map(timestamp),
            })
        },
    )
}
