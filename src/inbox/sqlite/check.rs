//! Reading the whole store to find damage, without standing in anybody's way.
//!
//! A reader keeps the log from being used again from its beginning, so the check gives way as
//! soon as the log grows long, and is asked for again later.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::open;
use super::writer::Log;

/// Instructions of SQLite's virtual machine between two pauses.
const STRETCH: i32 = 20_000;
const PAUSE: Duration = Duration::from_millis(1);

/// What is damaged; `None` when nothing is, or when the check gave way.
pub(super) fn quick_check(path: &Path, log: &Arc<Log>) -> rusqlite::Result<Option<String>> {
    let mut reader = open::connect_reader(path)?;
    let watched = Arc::clone(log);
    reader.progress_handler(
        STRETCH,
        Some(move || {
            std::thread::sleep(PAUSE);
            watched.closing.load(Ordering::Relaxed) || watched.is_long()
        }),
    )?;
    let found = reader.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found {
        Ok(word) if word == "ok" => Ok(None),
        Ok(damage) => Ok(Some(damage)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            tracing::info!("the store's check gave way to load; it runs again another time");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
