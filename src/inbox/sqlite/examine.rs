//! Looking at a store's place and file from outside, beside whoever has it.
//!
//! Nothing is opened with SQLite, whose readers hold up others and whose last one tidies up, no lock
//! is taken, and nothing stays behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::open::{self, INBOX, NO_DATABASE};
pub use super::place::Ground;
use super::{OpenError, place};

/// What is written between two syncs: a page, as a commit does at least.
const PAGE: [u8; 4096] = [0; 4096];
/// The file's header, as `fileformat2.html` of SQLite has it.
const HEADER: usize = 100;
/// What it begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its folder, or the nearest one above that is there.
    pub folder: PathBuf,
    /// The file system.
    pub ground: Ground,
    /// Bytes of the volume.
    pub size: u64,
    /// Bytes that it still gives.
    pub free: u64,
}

/// Where the store at `path` lies, or will.
///
/// # Errors
/// When the system does not say.
pub fn site(path: &Path) -> Result<Site, OpenError> {
    let folder = open::folder_of(path);
    let folder = place::nearest(folder).map_or_else(|| folder.to_owned(), |(there, _)| there);
    let failed = |error: io::Error| place::unopenable(&folder, &error);
    let ground = place::ground(&folder).map_err(failed)?;
    let volume = place::volume(&folder).map_err(failed)?;
    Ok(Site {
        ground,
        size: volume.size,
        free: volume.free,
        folder,
    })
}

/// How long it takes in `folder` until a page is written and synced: so many `times`, or fewer when
/// they take longer than `patience` together. The file for it has no name by then.
///
/// # Errors
/// When nothing can be written there.
pub fn sync_times(
    folder: &Path,
    times: usize,
    patience: Duration,
) -> Result<Vec<Duration>, OpenError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::NoRoom {
            path: folder.to_owned(),
            what: error.to_string(),
        },
        _ => place::unopenable(folder, &error),
    };
    let mut file = nameless(folder).map_err(failed)?;
    let begun = Instant::now();
    let mut taken = Vec::with_capacity(times);
    while taken.len() < times && (taken.is_empty() || begun.elapsed() < patience) {
        let once = Instant::now();
        file.write_all(&PAGE)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        taken.push(once.elapsed());
    }
    Ok(taken)
}

/// A new file that is gone with this process, however that ends.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".flashduty-receiver.{}", std::process::id()));
    let file = place::for_its_owner().create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What the header of a store's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of its tables; zero while all of it is in its log.
    pub schema: i32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Of these, what is free inside.
    pub unused: u64,
    /// When the file was made, where the file system knows.
    pub made: Option<Timestamp>,
}

/// Looks at the store at `path`; `None` where nothing was stored yet.
///
/// # Errors
/// When the file cannot be read and written, is something else, is from a later version, or is
/// shorter than it says itself.
pub fn look(path: &Path) -> Result<Option<Header>, OpenError> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(place::unopenable(path, &error)),
    };
    let failed = |error: io::Error| place::io_failed(path, &error);
    let meta = file.metadata().map_err(failed)?;
    if meta.len() == 0 {
        return Ok(None);
    }
    let foreign = |what: String| OpenError::Foreign {
        path: path.to_owned(),
        what,
    };
    let mut head = [0; HEADER];
    match file.read_exact(&mut head) {
        Ok(()) if head.starts_with(MAGIC) => {}
        Ok(()) => return Err(foreign(NO_DATABASE.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(foreign(NO_DATABASE.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    }
    let log = std::fs::metadata(open::beside(path, "-wal"));
    let has_log = log.is_ok_and(|log| log.len() > 0);
    let number = |at: usize| word(&head, at).map_or(0, u32::from_be_bytes);
    let signed = |at: usize| word(&head, at).map_or(0, i32::from_be_bytes);
    let (pages, schema) = (number(28), signed(60));
    let application = signed(68);
    // What is in the log only does not show here.
    let is_in_log = has_log && application == 0;
    open::admit(path, &INBOX, (application, schema), pages > 1 && !is_in_log)?;
    let page = page_size(&head);
    let wanted = u64::from(pages) * page;
    if !has_log && number(24) == number(92) && wanted > meta.len() {
        return Err(foreign(format!(
            "is damaged: it has {} bytes, and should have {wanted}; restore a copy",
            meta.len()
        )));
    }
    Ok(Some(Header {
        schema,
        bytes: meta.len(),
        unused: u64::from(number(36)) * page,
        made: meta.created().ok().and_then(|at| at.try_into().ok()),
    }))
}

fn word(head: &[u8; HEADER], at: usize) -> Option<[u8; 4]> {
    head.get(at..at + 4)?.try_into().ok()
}

/// The largest does not fit into its two bytes, and is written as 1.
fn page_size(head: &[u8; HEADER]) -> u64 {
    match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => size.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::super::{Location, SqliteInbox, SqliteOptions};
    use super::*;
    use crate::inbox::Inbox as _;

    async fn store(folder: &Path) -> PathBuf {
        let path = folder.join("inbox.db");
        let inbox = SqliteInbox::open(SqliteOptions {
            location: Location::File(path.clone()),
            lock_wait: Duration::ZERO,
            max_size: 0,
        });
        inbox.unwrap().close().await.unwrap();
        path
    }

    fn write(path: &Path, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(bytes, at).unwrap();
    }

    fn refused(path: &Path) -> String {
        look(path).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_store_is_known_by_its_header_and_one_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&folder.path().join("inbox.db")).unwrap(), None);
        let path = store(folder.path()).await;
        let header = look(&path).unwrap().unwrap();
        let newest = i32::try_from(INBOX.migrations.len()).unwrap();
        assert_eq!(header.schema, newest);
        assert_eq!(header.bytes, std::fs::metadata(&path).unwrap().len());
        write(&path, 60, &(newest + 1).to_be_bytes());
        assert!(refused(&path).contains("was written by a later version"));
    }

    #[tokio::test]
    async fn what_is_no_store_or_is_cut_short_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = store(folder.path()).await;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(8192).unwrap();
        assert!(refused(&path).contains("is damaged: it has 8192 bytes"));
        write(&path, 68, b"else");
        assert!(refused(&path).contains("is a database of another program"));
        write(&path, 0, b"something else");
        assert!(refused(&path).contains("is no SQLite database"));
        file.set_len(10).unwrap();
        assert!(refused(&path).contains("is no SQLite database"));
    }

    #[test]
    fn syncs_are_timed_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = sync_times(folder.path(), 3, Duration::from_secs(60)).unwrap();
        assert_eq!(taken.len(), 3);
        let once = sync_times(folder.path(), 3, Duration::ZERO).unwrap();
        assert_eq!(once.len(), 1, "it has no patience for more");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let nowhere = folder.path().join("not/there");
        assert!(sync_times(&nowhere, 1, Duration::ZERO).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_the_one_above_does() {
        let folder = tempfile::tempdir().unwrap();
        let site = site(&folder.path().join("not/there/inbox.db")).unwrap();
        assert_eq!(site.folder, folder.path());
        assert!(site.size >= site.free);
    }
}
