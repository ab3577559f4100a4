//! The file itself: found again by its name before each batch, whole lines only, on disk or not at
//! all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::io::Errno;
use serde::Deserialize;

use super::FileOptions;
use super::rotation::{folder, make_room, prune, sync_folder};

/// Readable by the group, which is who ships logs.
const MODE: u32 = 0o640;
/// Read at once in search of the last line's beginning.
const BLOCK: u64 = 64 * 1024;

/// Why a batch is not in the file, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {source}; {advice}")]
pub(super) struct JournalError {
    what: &'static str,
    path: String,
    advice: &'static str,
    source: io::Error,
}

/// A file that is appended to.
pub(super) struct Journal {
    options: FileOptions,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Where the last line ends that is on disk.
    end: u64,
    /// When its first line was written.
    begun: Option<Timestamp>,
}

impl Journal {
    pub(super) fn new(options: FileOptions) -> Self {
        Self {
            options,
            open: None,
        }
    }

    /// Appends whole lines; on `Ok` they are on disk.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> Result<(), JournalError> {
        let path = self.options.path.clone();
        let mut open = self
            .current(now)
            .map_err(|error| failed("open", &path, error))?;
        let written = (&open.file)
            .write_all(lines)
            .and_then(|()| open.file.sync_data());
        if let Err(error) = written {
            // Not kept open: after a failed sync nobody knows what is on disk, and should cutting
            // fail as well, the next opening mends the last line.
            let _mended_later = open.file.set_len(open.end);
            return Err(failed("write to", &path, error));
        }
        open.end += lines.len() as u64;
        open.begun = open.begun.or(Some(now));
        self.open = Some(open);
        Ok(())
    }

    /// The file of that name as it is now, with room for the next lines.
    fn current(&mut self, now: Timestamp) -> io::Result<Open> {
        let path = &self.options.path;
        let open = match self.open.take().filter(|open| open.is_at(path)) {
            Some(open) => open,
            None => Open::at(path)?,
        };
        if !self.is_due(&open, now) {
            return Ok(open);
        }
        make_room(path, now)?;
        let next = Open::at(path)?;
        if let Err(error) = prune(path, self.options.keep) {
            tracing::warn!(
                path = %path.display(),
                "cannot remove files that made room earlier; check the folder's permissions: {error}"
            );
        }
        Ok(next)
    }

    /// Whether the file makes room for the next. An empty one never does.
    fn is_due(&self, open: &Open, now: Timestamp) -> bool {
        let FileOptions {
            rotate_size,
            rotate_every,
            ..
        } = self.options;
        let age = |begun| Duration::try_from(now.duration_since(begun)).unwrap_or_default();
        let full = rotate_size > 0 && open.end >= rotate_size;
        let old = rotate_every > Duration::ZERO
            && open.begun.is_some_and(|begun| age(begun) >= rotate_every);
        open.end > 0 && (full || old)
    }
}

impl Open {
    /// Opens or creates the file, and mends its last line.
    fn at(path: &Path) -> io::Result<Self> {
        // A pipe or a terminal could block for ever, and has no end to cut back to.
        let before = fs::metadata(path);
        if before.as_ref().is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path)?;
        let end = mend(&file, path)?;
        if before.is_err() {
            sync_folder(path)?;
        }
        Ok(Self {
            identity: identity(&file.metadata()?),
            begun: begun(&file),
            end,
            file,
        })
    }

    /// Whether it still has that name, and is as long as it was left.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|there| identity(&there) == self.identity && there.len() == self.end)
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Sees to it that the file ends with a whole line, and says where.
///
/// A line that lacks only its end gets it. What else follows the last end was never acknowledged,
/// and is cut off.
fn mend(file: &File, path: &Path) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let start = last_line(file, len)?;
    if start == len {
        return Ok(len);
    }
    let mut torn = vec![0; usize::try_from(len - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut torn, start)?;
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&torn).is_ok();
    let end = if whole {
        let mut append = file;
        append.write_all(b"\n")?;
        len + 1
    } else {
        file.set_len(start)?;
        tracing::warn!(
            path = %path.display(),
            bytes = len - start,
            "a line that was not written to its end is cut off; its event is written again"
        );
        start
    };
    file.sync_all()?;
    Ok(end)
}

/// Where the last line begins; at `len` when that follows the end of a line.
fn last_line(file: &File, len: u64) -> io::Result<u64> {
    let mut block = Vec::new();
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[derive(Deserialize)]
struct FirstLine {
    timestamp: Timestamp,
}

/// When the first line was written, as it says itself: a restart does not make a file younger.
fn begun(file: &File) -> Option<Timestamp> {
    let mut beginning = [0; 64];
    let read = file.read_at(&mut beginning, 0).ok()?;
    let beginning = beginning.get(..read)?;
    let upto = beginning.iter().position(|byte| *byte == b',')?;
    let mut first = beginning.get(..upto)?.to_vec();
    first.push(b'}');
    let first: FirstLine = serde_json::from_slice(&first).ok()?;
    Some(first.timestamp)
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> JournalError {
    let is =
        |any: &[Errno]| Errno::from_io_error(&source).is_some_and(|errno| any.contains(&errno));
    let mut about = PathBuf::from(path);
    let advice = if is(&[Errno::NOSPC, Errno::DQUOT]) {
        "make room, or rotate sooner and keep fewer files"
    } else if is(&[Errno::FBIG]) {
        "the file may not grow further; set `rotate_size`, or raise the limit of the process"
    } else if is(&[Errno::IO]) {
        "the disk fails; look at the system's log"
    } else if is(&[Errno::ROFS]) {
        "the volume is mounted read-only"
    } else if is(&[Errno::NOENT, Errno::NOTDIR]) {
        about = folder(path);
        "create the folder, or correct `path`"
    } else if is(&[Errno::ACCESS, Errno::PERM]) {
        "give the user that the receiver runs as the right to write there, also in the folder"
    } else {
        "check `path`"
    };
    JournalError {
        what,
        path: about.display().to_string(),
        advice,
        source,
    }
}
