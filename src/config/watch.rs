//! Noticing that a configuration file, or a file with a secret, has changed.
//!
//! What is watched are the folders of the files, because editors rename and Kubernetes swaps a
//! symbolic link: a watch on the file itself would stay with the old one. Whatever happens there,
//! only a change of the files' content counts.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

/// How long a folder must be quiet before its files are read: writers make several steps.
const QUIET: Duration = Duration::from_millis(100);

/// A folder that is never quiet is looked at after this many changes nevertheless.
const MAX_BURST: usize = 50;

/// Files, and what was in them when they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen(Vec<(PathBuf, Content)>);

/// The digest of a file's bytes; `None` when it could not be read.
type Content = Option<[u8; 32]>;

impl Seen {
    /// Notes that `bytes` were in the file at `path`, or that it could not be read.
    pub(super) fn note(&mut self, path: PathBuf, bytes: Option<&[u8]>) {
        let content = bytes.map(|bytes| Sha256::digest(bytes).into());
        self.0.push((path, content));
    }

    /// The files, in the order in which they were read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| &**path)
    }

    /// The same files as they are now.
    fn again(&self) -> Self {
        let mut now = Self::default();
        for (path, _) in &self.0 {
            now.note(path.clone(), std::fs::read(path).ok().as_deref());
        }
        now
    }
}

/// Shows no digests: some are of secrets, and short secrets can be found by trying.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

/// Watches a set of files. Dropping it ends the watch.
pub struct FileWatch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    seen: Seen,
    stir: mpsc::Sender<()>,
    stirred: mpsc::Receiver<()>,
}

impl FileWatch {
    /// Begins to watch; what has changed since the files were read counts. They need not exist,
    /// but only in folders that do exist is a new file noticed.
    ///
    /// # Errors
    ///
    /// When the system grants no watches (on Linux: `fs.inotify.max_user_instances`).
    pub fn new(seen: Seen) -> notify::Result<Self> {
        // One waiting notice says it all: the files are read after it was taken.
        let (stir, stirred) = mpsc::channel(1);
        let stirring = stir.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let only_read =
                matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
            if !only_read {
                let _already_stirred = stirring.try_send(());
            }
        })?;
        let mut watch = Self {
            watcher,
            folders: BTreeSet::new(),
            seen: Seen::default(),
            stir,
            stirred,
        };
        watch.set(seen)?;
        Ok(watch)
    }

    /// From now on watches the files that were `seen`, for anything else in them.
    ///
    /// # Errors
    ///
    /// When the system grants no further watches (on Linux: `fs.inotify.max_user_watches`).
    pub fn set(&mut self, seen: Seen) -> notify::Result<()> {
        self.seen = seen;
        // They may have changed before they were watched.
        let _already_stirred = self.stir.try_send(());
        self.follow()
    }

    /// Resolves when the content of a file is not what it was. Cancelling loses nothing.
    pub async fn changed(&mut self) {
        loop {
            self.stirred().await;
            if self.refresh().await {
                return;
            }
        }
    }

    /// Resolves when something happened in a watched folder, and nothing more for a while.
    async fn stirred(&mut self) {
        if self.stirred.recv().await.is_none() {
            // This value itself holds the other end.
            return std::future::pending().await;
        }
        for _ in 0..MAX_BURST {
            match tokio::time::timeout(QUIET, self.stirred.recv()).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Reads the files again, and tells whether any of them has changed.
    async fn refresh(&mut self) -> bool {
        // A swapped link leads into another folder. It is watched before the files are read, so
        // that no change falls between.
        if let Err(error) = self.follow() {
            tracing::warn!("cannot watch all configuration files: {error}");
        }
        let seen = self.seen.clone();
        match tokio::task::spawn_blocking(move || seen.again()).await {
            Ok(now) if now != self.seen => {
                self.seen = now;
                true
            }
            // The same as before, or the runtime is shutting down.
            Ok(_) | Err(_) => false,
        }
    }

    /// Watches the folders in which the files are, and those in which the files are that symbolic
    /// links lead to.
    fn follow(&mut self) -> notify::Result<()> {
        let wanted: BTreeSet<PathBuf> = self
            .seen
            .paths()
            .flat_map(|file| {
                [
                    folder_of(file),
                    file.canonicalize().ok().and_then(|file| folder_of(&file)),
                ]
            })
            .flatten()
            .collect();
        for gone in self.folders.difference(&wanted) {
            // The system drops the watch of a removed folder by itself.
            let _dropped = self.watcher.unwatch(gone);
        }
        for folder in &wanted {
            // Also those known: a folder that was removed and made again needs a new watch.
            self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        self.folders = wanted;
        Ok(())
    }
}

/// The folder of `file`, if it exists.
fn folder_of(file: &Path) -> Option<PathBuf> {
    let folder = match file.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    folder.is_dir().then(|| folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_files_of_the_folder_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "a").unwrap();
        let mut seen = Seen::default();
        seen.note(file.clone(), Some(b"a"));
        let mut watch = FileWatch::new(seen).unwrap();

        std::fs::write(folder.path().join("other.toml"), "b").unwrap();
        watch.stirred().await;
        assert!(!watch.refresh().await);
        // Nor does writing what is there already.
        std::fs::write(&file, "a").unwrap();
        watch.stirred().await;
        assert!(!watch.refresh().await);
        std::fs::write(&file, "b").unwrap();
        watch.stirred().await;
        assert!(watch.refresh().await);
    }
}
