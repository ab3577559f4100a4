//! Where the store lies: the file system under it, its lock, its room, and what to say when it
//! cannot be opened.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::OpenError;
use super::open::folder_of;

/// File system magic numbers, from statfs(2).
const NETWORK: [(u32, &str); 8] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
];
const PASSING: [(u32, &str); 3] = [
    (0x794C_7630, "overlayfs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58F6, "ramfs"),
];

/// What kind of file system holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Locks and syncs mean what they say.
    Solid,
    /// Works, but is gone with the container or the machine's memory.
    Passing(&'static str),
    /// Locks or syncs cannot be relied on.
    Network(&'static str),
}

pub(super) fn ground(folder: &Path) -> io::Result<Ground> {
    let stat = rustix::fs::statfs(folder)?;
    // The type's width differs between architectures; the numbers are 32 bits wide.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers are 32 bits"
    )]
    let magic = stat.f_type as u32;
    Ok(ground_of(magic))
}

fn ground_of(magic: u32) -> Ground {
    let named = |list: &[(u32, &'static str)]| {
        list.iter()
            .find(|entry| entry.0 == magic)
            .map(|entry| entry.1)
    };
    match (named(&NETWORK), named(&PASSING)) {
        (Some(name), _) => Ground::Network(name),
        (None, Some(name)) => Ground::Passing(name),
        (None, None) => Ground::Solid,
    }
}

/// A file system's size, and what it still gives to an unprivileged writer, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Volume {
    pub(super) size: u64,
    pub(super) free: u64,
}

pub(super) fn volume(folder: &Path) -> io::Result<Volume> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(Volume {
        size: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Makes the store's folder, and those above it that are missing, for their owner alone. One that is
/// there keeps its rights: somebody gave them to it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Where `path` leads, be it a link or none, and whether or not there is a file yet.
pub(super) fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // The system follows no more.
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&path) else {
            break;
        };
        path = folder_of(&path).join(target);
    }
    path
}

/// Opens a file to read and write. One that is made is for its owner alone, whatever the umask
/// allows; one that is there keeps its rights.
pub(super) fn for_its_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

/// Makes a folder's entries durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the entries durable that lead to `folder`, any of which may be new.
pub(super) fn sync_way_to(folder: &Path) -> io::Result<()> {
    for above in folder.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        match sync_folder(above) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                return Err(error);
            }
            // What cannot be opened or synced by this process is nothing that it made.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether the file system refuses new data for want of room or quota, by trying.
pub(super) fn has_no_room(folder: &Path) -> bool {
    let path = folder.join(".flashduty-receiver.probe");
    let written = File::create(&path)
        .and_then(|mut file| file.write_all(&[0; 65536]).and_then(|()| file.sync_data()));
    let _gone_or_full = std::fs::remove_file(&path);
    written.is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    })
}

/// The lock that keeps a store to one process. Released by the system when the process ends.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock at `path`, waiting up to `wait` for its holder, who is named once.
    pub(super) fn take(path: &Path, wait: Duration) -> Result<Self, OpenError> {
        let mut file = for_its_owner()
            .open(path)
            .map_err(|error| unopenable(path, &error))?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < wait => {
                    if !told {
                        told = true;
                        let holder = holder(&mut file);
                        tracing::warn!(
                            "the store is held by {holder}; waiting up to {wait:?} for it to let go"
                        );
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::Held {
                        path: path.to_owned(),
                        holder: holder(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(unopenable(path, &error)),
            }
        }
        // Who holds it is a courtesy to the next one; failing to say so must not stop the start.
        if let Err(error) = sign(&mut file) {
            tracing::debug!("cannot write {}: {error}", path.display());
        }
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    writeln!(file, "process {} on {host}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(200).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), name) if !name.is_empty() => name.to_owned(),
        _ => "another process".to_owned(),
    }
}

/// A failure of the disk under `path`, as against one of the set-up.
pub(super) fn io_failed(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        what: error.to_string(),
    }
}

/// Says who may do what with `path`, and which command helps.
pub(super) fn unopenable(path: &Path, error: &io::Error) -> OpenError {
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        return io_failed(path, error);
    }
    OpenError::Unopenable {
        path: path.to_owned(),
        what: error.to_string(),
        advice: advice(path, error),
    }
}

fn advice(path: &Path, error: &io::Error) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let Some((there, meta)) = nearest(path) else {
        return format!("nothing on the way to {} exists", path.display());
    };
    let place = format!(
        "this process is uid {uid} gid {gid}; {} is owned by uid {} gid {}, mode {:04o}",
        there.display(),
        meta.uid(),
        meta.gid(),
        meta.mode() & 0o7777
    );
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{place}; run `chown -R {uid}:{gid} {}`, or on Kubernetes set \
             securityContext.fsGroup: {gid}",
            there.display()
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{place}; mount a writable volume there, or point store.url at one")
        }
        _ => place,
    }
}

/// The path itself, or the nearest folder above it that exists.
pub(super) fn nearest(path: &Path) -> Option<(PathBuf, std::fs::Metadata)> {
    path.ancestors()
        .map(|place| {
            if place.as_os_str().is_empty() {
                Path::new(".")
            } else {
                place
            }
        })
        .find_map(|place| Some((place.to_owned(), std::fs::metadata(place).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_by_its_number() {
        assert_eq!(ground_of(0x6969), Ground::Network("NFS"));
        assert_eq!(ground_of(0x6573_5546), Ground::Network("FUSE"));
        assert_eq!(ground_of(0xFF53_4D42), Ground::Network("CIFS"));
        assert_eq!(ground_of(0x794C_7630), Ground::Passing("overlayfs"));
        assert_eq!(ground_of(0xEF53), Ground::Solid);
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.db.lock");
        let _held = StoreLock::take(&path, Duration::ZERO).unwrap();
        let refused = StoreLock::take(&path, Duration::ZERO).unwrap_err();
        let OpenError::Held { holder, .. } = refused else {
            panic!("{refused:?}");
        };
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    }

    #[test]
    fn a_lock_let_go_is_taken_by_the_one_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.db.lock");
        let held = StoreLock::take(&path, Duration::ZERO).unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || StoreLock::take(&path, Duration::from_secs(10))
        });
        drop(held);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_refused_folder_says_owner_mode_and_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.db");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = unopenable(&path, &denied).to_string();
        for word in ["inbox.db", "uid", "mode", "chown -R", "fsGroup"] {
            assert!(text.contains(word), "{word} is missing in: {text}");
        }
    }
}
