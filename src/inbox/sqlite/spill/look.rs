//! What a spill holds, for a person: read beside whoever has it.

use std::path::Path;

use rusqlite::{Connection, params};

use super::super::transaction::timestamp;
use super::{LAYOUT, OpenError, open, place, rows};
use crate::event::Id;
use crate::inbox::spill::{Contents, SpilledRow};

/// One event may have come to several routes, and again and again.
const MOST_ROWS: i64 = 100;

/// What the spill at `path` holds. Nothing is made and nothing is changed, so its lock is not
/// needed.
///
/// # Errors
/// When there is none, or the file is something else.
pub fn look(path: &Path) -> Result<Contents, OpenError> {
    let reader = reader(path)?;
    contents(&reader).map_err(|error| open::broken(path, &error))
}

/// The same, and those of its events that have this id, oldest first.
pub(super) fn find(
    path: &Path,
    event_id: Option<&Id>,
) -> Result<(Contents, Vec<SpilledRow>), OpenError> {
    let reader = reader(path)?;
    let contents = contents(&reader).map_err(|error| open::broken(path, &error))?;
    let found = match event_id {
        Some(id) => called(&reader, id).map_err(|error| open::broken(path, &error))?,
        None => Vec::new(),
    };
    Ok((contents, found))
}

fn reader(path: &Path) -> Result<Connection, OpenError> {
    // The system's own error says more than SQLite's "unable to open".
    std::fs::metadata(path).map_err(|error| place::unopenable(path, &error))?;
    let reader = open::connect_reader(path).map_err(|error| open::broken(path, &error))?;
    open::recognise(&reader, path, &LAYOUT)?;
    Ok(reader)
}

fn contents(sql: &Connection) -> rusqlite::Result<Contents> {
    // A file that somebody is only just making.
    if !has(sql, "spilled")? {
        return Ok(Contents::default());
    }
    // One of an earlier version has no such table before somebody opens it.
    let unreadable = match has(sql, "unreadable")? {
        true => rows::unreadable(sql)?,
        false => 0,
    };
    sql.query_row(
        "SELECT count(*) FILTER (WHERE aside = 0), count(*) FILTER (WHERE aside = 1), \
         coalesce(sum(length(body)), 0), min(received), max(received) FROM spilled",
        [],
        |row| {
            Ok(Contents {
                events: row.get(0)?,
                set_aside: row.get(1)?,
                unreadable,
                bytes: row.get(2)?,
                oldest: row.get::<_, Option<i64>>(3)?.map(timestamp),
                newest: row.get::<_, Option<i64>>(4)?.map(timestamp),
            })
        },
    )
}

fn has(sql: &Connection, table: &str) -> rusqlite::Result<bool> {
    sql.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
        [table],
        |row| row.get(0),
    )
}

fn called(sql: &Connection, event_id: &Id) -> rusqlite::Result<Vec<SpilledRow>> {
    let mut select = sql.prepare(
        "SELECT event_type, tag, query, received, aside FROM spilled WHERE event_id = ?1 \
         ORDER BY id LIMIT ?2",
    )?;
    let rows = select.query_map(params![event_id.as_str(), MOST_ROWS], |row| {
        Ok(SpilledRow {
            event_type: row.get(0)?,
            tag: row.get(1)?,
            query: row.get(2)?,
            received_at: timestamp(row.get(3)?),
            set_aside: row.get(4)?,
        })
    })?;
    rows.collect()
}
