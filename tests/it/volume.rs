//! A small volume of its own, in memory, for as long as a test needs it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted volume. Unmounted when dropped.
pub(crate) struct Volume {
    folder: tempfile::TempDir,
}

impl Volume {
    /// One of `mebibytes`. Mounting takes root, as do other tests of faults.
    pub(crate) fn of(mebibytes: u32) -> Self {
        Self::try_of(mebibytes).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, or why there is none.
    pub(crate) fn try_of(mebibytes: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| format!("these tests need mount(8): {error}"))?;
        if mounted.status.success() {
            return Ok(Self { folder });
        }
        let told = String::from_utf8_lossy(&mounted.stderr);
        Err(format!(
            "these tests need root to mount a small volume: {told}"
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes that are left.
    pub(crate) fn free(&self) -> u64 {
        let told = Command::new("stat")
            .args(["--file-system", "--format", "%a %S"])
            .arg(self.path())
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        told.split_whitespace()
            .map(|number| number.parse::<u64>().unwrap())
            .product()
    }

    /// Takes all that is left, but for `spare` bytes; removing the file gives it back.
    pub(crate) fn fill(&self, spare: u64) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let taken = file.metadata().unwrap().len();
        file.set_len(taken.saturating_sub(spare)).unwrap();
        path
    }

    /// Changes how it is mounted.
    pub(crate) fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let mounted = Command::new("mount")
            .args(["-o", &options])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(mounted.success());
    }

    /// Removes all that is on it.
    pub(crate) fn clear(&self) {
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a receiver that is being killed may still hold it.
        let _unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path())
            .status();
    }
}
