//! What a failure of SQLite means for the caller.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use super::place;
use crate::inbox::InboxError;

/// Sorts `error` by what the caller does next. `folder` is asked for room when a write failed,
/// because SQLite reports a used-up quota, and no room for the index of the log, as failed I/O.
pub(super) fn sort(error: &rusqlite::Error, folder: Option<&Path>) -> InboxError {
    let text = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return InboxError::Refused(text);
    };
    match failure.code {
        ErrorCode::DiskFull => InboxError::Full(text),
        ErrorCode::SystemIoFailure
            if is_a_write(failure.extended_code) && folder.is_some_and(place::has_no_room) =>
        {
            InboxError::Full(text)
        }
        ErrorCode::SystemIoFailure
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied => {
            InboxError::Broken(format!("{text} (code {})", failure.extended_code))
        }
        _ => InboxError::Refused(text),
    }
}

/// A write of data, or one that makes the index of the log longer.
fn is_a_write(code: i32) -> bool {
    matches!(code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_full_disk_is_no_broken_one() {
        assert!(matches!(
            sort(&failure(ffi::SQLITE_FULL), None),
            InboxError::Full(_)
        ));
    }

    #[test]
    fn a_failed_sync_or_a_damaged_page_breaks_the_store() {
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
        ] {
            let sorted = sort(&failure(code), None);
            assert!(
                matches!(sorted, InboxError::Broken(_)),
                "{code}: {sorted:?}"
            );
        }
    }

    #[test]
    fn what_is_neither_concerns_the_one_request_only() {
        for code in [
            ffi::SQLITE_TOOBIG,
            ffi::SQLITE_CONSTRAINT,
            ffi::SQLITE_NOMEM,
        ] {
            let sorted = sort(&failure(code), None);
            assert!(
                matches!(sorted, InboxError::Refused(_)),
                "{code}: {sorted:?}"
            );
        }
    }
}
