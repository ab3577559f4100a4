//! The room the store has, and how much of it its log may take.
//!
//! The log's part is set aside from the beginning, whether the log has grown into it yet or not:
//! removing history writes to the log before it frees a page, so a store that gave its last room
//! to events could never make any again.

use std::io;
use std::path::Path;

use rusqlite::{Connection, ffi};

use super::{Location, SqliteOptions, open, place};
use crate::inbox::Offer;

/// The log's part of the room.
const LOG_PART: u64 = 16;
/// However much room there is, a longer log only makes stops and starts longer.
const LOG_MOST: u64 = 64 << 20;
/// A shorter log would be moved into the file at every other commit.
const LOG_LEAST: u64 = 256 << 10;
/// With so much free, nothing else is looked at.
const PLENTY: u64 = 1 << 30;
/// What a commit takes beside its bodies, and what each event takes beside its body: at most a page
/// of its own in each b-tree.
const COMMIT_COST: u64 = 256 << 10;
const EVENT_COST: u64 = 16 << 10;

/// Pages of the file, those of the log included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages {
    size: u64,
    count: u64,
    /// Freed, and used again before the file grows.
    unused: u64,
}

impl Pages {
    pub(super) fn read(sql: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma: &str| {
            sql.prepare_cached(pragma)?
                .query_row([], |row| row.get::<_, u64>(0))
        };
        Ok(Self {
            size: number("PRAGMA page_size")?,
            count: number("PRAGMA page_count")?,
            unused: number("PRAGMA freelist_count")?,
        })
    }
}

/// Bytes, now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Of the file system, or of the cap when that is less.
    pub(super) total: u64,
    /// Taken by the store.
    pub(super) taken: u64,
    /// Left for events.
    pub(super) free: u64,
}

/// Bytes the log may grow to in a room of `total`.
pub(super) fn log_share(total: u64) -> u64 {
    (total / LOG_PART).clamp(LOG_LEAST, LOG_MOST)
}

/// The size of the volume, or the cap when that is less; all there is for a store in memory.
pub(super) fn total(options: &SqliteOptions) -> io::Result<u64> {
    let cap = match options.max_size {
        0 => u64::MAX,
        cap => cap,
    };
    Ok(match &options.location {
        Location::File(path) => cap.min(place::volume(open::folder_of(path))?.size),
        Location::Memory => cap,
    })
}

/// Measures the room around `pages`.
pub(super) fn measure(pages: Pages, options: &SqliteOptions) -> io::Result<Room> {
    let total = total(options)?;
    let share = log_share(total);
    let (file, unused) = (pages.size * pages.count, pages.size * pages.unused);
    let (mut log, mut free) = (0, u64::MAX);
    if let Location::File(path) = &options.location {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        log = length(&open::beside(path, "-wal"));
        // Pages that are in the log only will make the file longer.
        let growth = file.saturating_sub(length(path));
        let available = place::volume(open::folder_of(path))?.free;
        free = (available + unused).saturating_sub(growth + share.saturating_sub(log));
    }
    if options.max_size > 0 {
        let used = file.saturating_sub(unused) + log.max(share);
        free = free.min(options.max_size.saturating_sub(used));
    }
    Ok(Room {
        total,
        taken: file + log,
        free,
    })
}

/// Refuses `offers` as a full disk would, when what is left without the log's part is not enough.
pub(super) fn ensure(
    sql: &Connection,
    options: &SqliteOptions,
    offers: &[Offer],
) -> rusqlite::Result<()> {
    let bodies: usize = offers.iter().map(|offer| offer.event.body.len()).sum();
    let wanted = bodies as u64 + offers.len() as u64 * EVENT_COST + COMMIT_COST;
    if options.max_size == 0 && has_plenty(&options.location, wanted) {
        return Ok(());
    }
    // Where the room cannot be measured, the commit itself will find out.
    let Ok(room) = measure(Pages::read(sql)?, options) else {
        return Ok(());
    };
    if room.free >= wanted {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_FULL),
        Some(format!(
            "{} bytes are left for events, {wanted} are wanted",
            room.free
        )),
    ))
}

fn has_plenty(location: &Location, wanted: u64) -> bool {
    match location {
        Location::File(path) => place::volume(open::folder_of(path))
            .is_ok_and(|volume| volume.free > PLENTY.saturating_add(wanted)),
        Location::Memory => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn in_memory(max_size: u64) -> SqliteOptions {
        SqliteOptions {
            location: Location::Memory,
            lock_wait: Duration::ZERO,
            max_size,
        }
    }

    #[test]
    fn the_log_takes_a_small_part_of_a_small_volume_and_no_more_than_64_mib_of_a_large_one() {
        assert_eq!(log_share(200 << 20), (200 << 20) / 16);
        assert_eq!(log_share(1 << 40), 64 << 20);
        assert_eq!(log_share(1 << 20), 256 << 10);
    }

    #[test]
    fn free_pages_count_as_room_and_the_part_of_the_log_does_not() {
        let pages = Pages {
            size: 4096,
            count: 1000,
            unused: 400,
        };
        let room = measure(pages, &in_memory(16 << 20)).unwrap();
        assert_eq!(room.free, (16 << 20) - 600 * 4096 - (1 << 20));
    }

    #[test]
    fn a_cap_refuses_what_would_grow_beyond_it() {
        let sql = Connection::open_in_memory().unwrap();
        assert!(ensure(&sql, &in_memory(1 << 20), &[]).is_ok());
        let refused = ensure(&sql, &in_memory(400 << 10), &[]).unwrap_err();
        assert_eq!(
            refused.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DiskFull)
        );
    }
}
