//! The start gate: what must be true of the file before the first new commit.
//!
//! Its work does not grow with the number of stored events. Frames that a failed sync left in the
//! log may be readable without being on disk; they are moved into the file, and both are synced,
//! before anything is written behind them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error;
use super::place::{self, Ground, StoreLock};
use crate::inbox::InboxError;

/// The first SQLite whose write-ahead log is free of the checkpoint race of 3.51.2 and before.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// What a file of ours is known by, and holds.
pub(super) struct Layout {
    /// The setting that names the file.
    pub(super) key: &'static str,
    /// Written into the file's header, so that a foreign database is recognised.
    pub(super) application_id: i32,
    pub(super) migrations: &'static [&'static str],
}

/// What is said of a file that does not begin as one of SQLite's does.
pub(super) const NO_DATABASE: &str = "is no SQLite database, or is damaged at its very beginning; \
     move it away, or restore a copy";

/// The letters `FDRi`.
pub(super) const INBOX: Layout = Layout {
    key: "store.url",
    application_id: 0x4644_5269,
    migrations: &[
        include_str!("migrations/0001_inbox.sql"),
        include_str!("migrations/0002_route_use.sql"),
        include_str!("migrations/0003_previous.sql"),
        include_str!("migrations/0004_sinks.sql"),
        include_str!("migrations/0005_recovery.sql"),
    ],
};

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; its log, shared memory and lock lie beside it.
    File(PathBuf),
    /// Memory: gone with the process.
    Memory,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses the path.
    #[error("cannot open the store {path}: {what} ({advice})", path = .path.display())]
    Unopenable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        what: String,
        /// Who owns what, and which command helps.
        advice: String,
    },
    /// Another process has it.
    #[error("the store is in use: {path} is locked by {holder}; stop it, or give each receiver a store of its own", path = .path.display())]
    Held {
        /// The lock's path.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// Locks and syncs do not work there.
    #[error("the store {path} is on {kind}, where locks and syncs cannot be relied on; use a local disk or a block volume", path = .path.display())]
    NetworkFileSystem {
        /// The store.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The file is something else, or from a later version.
    #[error("the store {path} {what}", path = .path.display())]
    Foreign {
        /// The store.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The library is too old to be trusted.
    #[error("the SQLite library is {0}; 3.51.3 or later is needed")]
    Library(&'static str),
    /// The disk is full.
    #[error("the store {path} cannot be opened: its volume has no room ({what}); make some, and it starts", path = .path.display())]
    NoRoom {
        /// The store.
        path: PathBuf,
        /// What found none.
        what: String,
    },
    /// Reading or writing failed.
    #[error("the store's I/O failed while opening {path}: {what}", path = .path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// What failed.
        what: String,
    },
}

impl OpenError {
    /// Whether it is a fault of the disk (exit 74), as against one of the set-up.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// An opened store, before its threads run.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) lock: Option<StoreLock>,
    /// Whether the last process did not close the store.
    pub(super) unclean: bool,
}

pub(super) fn open(location: &Location, lock_wait: Duration) -> Result<Opened, OpenError> {
    match location {
        Location::Memory => {
            check_library()?;
            let path = Path::new(":memory:");
            let mut writer = Connection::open_in_memory().map_err(|error| broken(path, &error))?;
            migrate(&mut writer, path, &INBOX)?;
            Ok(Opened {
                writer,
                lock: None,
                unclean: false,
            })
        }
        Location::File(path) => open_file(path, lock_wait, &INBOX),
    }
}

fn check_library() -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_LIBRARY {
        return Err(OpenError::Library(rusqlite::version()));
    }
    Ok(())
}

/// Opens the file at `path`, made when it is not there.
pub(super) fn open_file(
    path: &Path,
    lock_wait: Duration,
    layout: &Layout,
) -> Result<Opened, OpenError> {
    check_library()?;
    // What SQLite opens behind a link has its lock and its log there.
    let path = &place::behind_links(path);
    let folder = folder_of(path);
    place::make_folder(folder).map_err(|error| place::unopenable(folder, &error))?;
    match place::ground(folder).map_err(|error| place::unopenable(folder, &error))? {
        Ground::Solid => {}
        Ground::Passing(kind) => tracing::warn!(
            "the store {} is on {kind}: the inbox disappears with the container or the machine",
            path.display()
        ),
        Ground::Network(kind) => {
            return Err(OpenError::NetworkFileSystem {
                path: path.to_owned(),
                kind,
            });
        }
    }
    let lock = StoreLock::take(&beside(path, ".lock"), lock_wait)?;
    if !path.exists() {
        // The folder may have been made just now, or by a process that came no further.
        place::sync_way_to(folder).map_err(|error| place::io_failed(folder, &error))?;
    }
    // Opened by hand first: the system's own error says more than SQLite's "unable to open", and
    // SQLite gives the log and the shared memory the rights that the file has.
    let file = place::for_its_owner()
        .open(path)
        .map_err(|error| place::unopenable(path, &error))?;
    let unclean = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let mut writer = connect(path).map_err(|error| broken(path, &error))?;
    recognise(&writer, path, layout)?;
    set_pragmas(&writer, path)?;
    // Frames already in the log become durable before anything new is written.
    let (busy, _log, _done) = writer
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })
        .map_err(|error| broken(path, &error))?;
    if busy != 0 {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            what: "is being read by another process; close it (an open sqlite3 shell, a backup) \
                   and start again"
                .to_owned(),
        });
    }
    file.sync_all()
        .and_then(|()| place::sync_folder(folder))
        .map_err(|error| place::io_failed(path, &error))?;
    migrate(&mut writer, path, layout)?;
    Ok(Opened {
        writer,
        lock: Some(lock),
        unclean,
    })
}

/// A connection for the writer or the checkpointer.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A connection that has read nothing does not know of the log, and its checkpoints do nothing.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A short-lived reader's connection.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    reader.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000;")?;
    Ok(reader)
}

/// The folder a file lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The file `path` with `ending` appended to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Refuses what another program made, or a later version of this one.
pub(super) fn recognise(
    connection: &Connection,
    path: &Path,
    layout: &Layout,
) -> Result<(), OpenError> {
    let number = |pragma: &str| {
        connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i32>(0))
            .map_err(|error| broken(path, &error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, i64>(0)
        })
        .map_err(|error| broken(path, &error))?;
    admit(path, layout, (application, version), tables > 0)
}

/// Refuses what another program made, or a later version of this one, by what its header says.
pub(super) fn admit(
    path: &Path,
    layout: &Layout,
    (application, version): (i32, i32),
    has_tables: bool,
) -> Result<(), OpenError> {
    let foreign = |what: String| OpenError::Foreign {
        path: path.to_owned(),
        what,
    };
    if application != layout.application_id && has_tables {
        return Err(foreign(format!(
            "is a database of another program; point {} at a file of its own",
            layout.key
        )));
    }
    let newest = i32::try_from(layout.migrations.len()).expect("few migrations");
    if version > newest {
        return Err(foreign(format!(
            "was written by a later version (schema {version}, this program knows {newest}); \
             run that version, or restore a copy from before the upgrade"
        )));
    }
    Ok(())
}

fn set_pragmas(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let set = |pragma: &str, wanted: &str| {
        let got: String = connection
            .query_row(&format!("PRAGMA {pragma} = {wanted}"), [], |row| {
                row.get::<_, rusqlite::types::Value>(0).map(shown)
            })
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => {
                    connection.query_row(&format!("PRAGMA {pragma}"), [], |row| {
                        row.get::<_, rusqlite::types::Value>(0).map(shown)
                    })
                }
                other => Err(other),
            })
            .map_err(|error| broken(path, &error))?;
        if got.eq_ignore_ascii_case(wanted) {
            Ok(())
        } else {
            Err(OpenError::Foreign {
                path: path.to_owned(),
                what: format!("does not take PRAGMA {pragma} = {wanted}: it stays {got}"),
            })
        }
    };
    set("journal_mode", "wal")?;
    // FULL (2): every commit syncs the log. Read back, because all promises rest on it.
    set("synchronous", "2")?;
    set("wal_autocheckpoint", "0")?;
    set("temp_store", "2")?;
    // A commit that split a page of a b-tree looks through the whole cache. What does not fit is
    // in the system's.
    set("cache_size", "-4000")?;
    set("busy_timeout", "5000")
}

fn shown(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

fn migrate(connection: &mut Connection, path: &Path, layout: &Layout) -> Result<(), OpenError> {
    let run = |connection: &mut Connection| -> rusqlite::Result<()> {
        let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let known = usize::try_from(version).unwrap_or_default();
        for (number, sql) in layout.migrations.iter().enumerate().skip(known) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", layout.application_id)?;
            transaction.pragma_update(None, "user_version", number + 1)?;
            transaction.commit()?;
        }
        Ok(())
    };
    run(connection).map_err(|error| broken(path, &error))
}

/// What a failure of SQLite before the first commit means.
pub(super) fn broken(path: &Path, error: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode;
    if let InboxError::Full(what) = error::sort(error, Some(folder_of(path))) {
        return OpenError::NoRoom {
            path: path.to_owned(),
            what,
        };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign {
            path: path.to_owned(),
            what: NO_DATABASE.to_owned(),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Foreign {
            path: path.to_owned(),
            what: format!("is locked by another program: {error}"),
        },
        _ => OpenError::Io {
            path: path.to_owned(),
            what: error.to_string(),
        },
    }
}
