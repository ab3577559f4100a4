//! Files that made room: named after the moment, and removed when there are too many.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A stamp such as `20260412T080100Z`.
const STAMP: &str = "%Y%m%dT%H%M%SZ";
const STAMP_LEN: usize = 16;

/// Moves the file at `path` out of the way.
pub(super) fn make_room(path: &Path, now: Timestamp) -> io::Result<()> {
    let stamp = now.to_zoned(TimeZone::UTC).strftime(STAMP).to_string();
    let mut number = 0_u32;
    loop {
        let mut name = OsString::from(path);
        name.push(format!(".{stamp}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let free =
            fs::symlink_metadata(&name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if free {
            return fs::rename(path, &name);
        }
        number = number
            .checked_add(1)
            .ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    }
}

/// Removes all but the newest `keep` of the files that made room for `path`.
pub(super) fn prune(path: &Path, keep: usize) -> io::Result<()> {
    let mut rotated = Vec::new();
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(age) = name.to_str().and_then(|name| rank(name, &own)) {
            rotated.push((age, entry.path()));
        }
    }
    rotated.sort_by(|one, other| Reverse(&one.0).cmp(&Reverse(&other.0)));
    for (_, old) in rotated.into_iter().skip(keep) {
        fs::remove_file(old)?;
    }
    Ok(())
}

/// Stamp and number of a file of this sink's; nothing else is ever removed.
fn rank(name: &str, own: &str) -> Option<(String, u32)> {
    let rest = name.strip_prefix(own)?.strip_prefix('.')?;
    let (stamp, number) = match rest.split_once('-') {
        Some((stamp, number)) => (stamp, number.parse().ok()?),
        None => (rest, 0),
    };
    let fits = stamp.len() == STAMP_LEN
        && stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    fits.then(|| (stamp.to_owned(), number))
}

/// Makes names in the folder of `path` survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

pub(super) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_named_by_the_sink_are_counted_and_ten_is_newer_than_nine() {
        for stranger in [
            "a.log",
            "a.log.1",
            "a.log.20260412T080100Z.gz",
            "b.log.20260412T080100Z",
        ] {
            assert_eq!(rank(stranger, "a.log"), None, "{stranger}");
        }
        let of = |name: &str| rank(name, "a.log").unwrap();
        assert!(of("a.log.20260412T080100Z-10") > of("a.log.20260412T080100Z-9"));
        assert!(of("a.log.20260412T080100Z-9") > of("a.log.20260412T080100Z"));
        assert!(of("a.log.20260412T080101Z") > of("a.log.20260412T080100Z-10"));
    }
}
