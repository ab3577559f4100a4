//! A file system in a file, whose power can be cut.
//!
//! The cut is the file system's own call for it: nothing that is not written yet ever will be, not
//! even its log. After mounting again there is what a disk without power would have kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::volume::Volume;

/// As small as mkfs.xfs makes one.
const MEBIBYTES: u32 = 320;
/// What there is for it: it takes memory only for what was written to it.
const MEMORY: u32 = 224;

/// A mounted image. Unmounted when dropped.
pub(crate) struct Image {
    volume: Volume,
    file: PathBuf,
    mounted: tempfile::TempDir,
}

impl Image {
    /// A new one of a kind, such as `xfs`, or why it cannot be had here.
    pub(crate) fn of(kind: &str) -> Result<Self, String> {
        let volume = Volume::try_of(MEMORY)?;
        let file = volume.path().join("image");
        let blank = File::create(&file).unwrap();
        blank.set_len(u64::from(MEBIBYTES) << 20).unwrap();
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&file))?;
        let image = Self {
            volume,
            file,
            mounted: tempfile::tempdir().unwrap(),
        };
        image.mount()?;
        Ok(image)
    }

    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// From now on nothing is written any more.
    pub(super) fn cut(&self) -> Result<(), String> {
        run(Command::new("xfs_io")
            .args(["-x", "-c", "shutdown"])
            .arg(self.path()))
    }

    /// Soon, `spare` bytes from now, writing fails where nothing was written before, until
    /// [`Image::heal`].
    pub(super) fn fail_after(&self, spare: u64) {
        // A loop device takes a write that was done in part for one that was done. Half a page is
        // never done.
        std::fs::write(self.queue().join("max_sectors_kb"), "4").unwrap();
        self.volume.fill(spare);
    }

    pub(super) fn heal(&self) {
        std::fs::remove_file(self.volume.path().join("filler")).unwrap();
        let queue = self.queue();
        let most = std::fs::read(queue.join("max_hw_sectors_kb")).unwrap();
        std::fs::write(queue.join("max_sectors_kb"), most).unwrap();
    }

    /// Where the settings of the loop device are.
    fn queue(&self) -> PathBuf {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let here = self.path().to_str().unwrap();
        let mut lines = mounts.lines().map(|line| line.split(' '));
        let device = lines.find_map(|mut words| {
            let device = words.next()?.strip_prefix("/dev/")?;
            (words.next() == Some(here)).then_some(device)
        });
        Path::new("/sys/block").join(device.unwrap()).join("queue")
    }

    /// Mounts what the disk kept. Nobody may use it any more.
    pub(super) fn mount_again(&self) {
        run(Command::new("umount").arg(self.path())).unwrap();
        self.mount().unwrap();
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&self.file)
            .arg(self.path()))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Lazily: a receiver that is being killed may still hold it.
        let _unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.mounted.path())
            .status();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {told}"))
}
