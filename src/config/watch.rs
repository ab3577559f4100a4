//! Noticing that a configuration file, or a file with a secret, has changed.
//!
//! What is watched are the folders of the files, because editors rename and Kubernetes swaps a
//! symbolic link: a watch on the file itself would stay with the old one. Whatever happens there,
//! only a change of the files' content counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

/// How long a folder must be quiet before its files are read: writers make several steps.
const QUIET: Duration = Duration::from_millis(100);

/// A folder that is never quiet is looked at after this many changes nevertheless.
const MAX_BURST: usize = 50;

/// Watches a set of files. Dropping it ends the watch.
pub struct FileWatch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    content: Vec<Content>,
    stirred: mpsc::Receiver<()>,
}

/// The digest of a file's bytes; `None` when it cannot be read.
type Content = Option<[u8; 32]>;

impl FileWatch {
    /// Begins to watch. Files need not exist, but only in folders that do exist is a new file
    /// noticed.
    ///
    /// # Errors
    ///
    /// When the system grants no watches (on Linux: `fs.inotify.max_user_instances`).
    pub fn new(files: Vec<PathBuf>) -> notify::Result<Self> {
        // One waiting notice says it all: the files are read after it was taken.
        let (stir, stirred) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let only_read =
                matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
            if !only_read {
                let _already_stirred = stir.try_send(());
            }
        })?;
        let mut watch = Self {
            watcher,
            folders: BTreeSet::new(),
            files: Vec::new(),
            content: Vec::new(),
            stirred,
        };
        watch.set(files)?;
        Ok(watch)
    }

    /// Watches `files` from now on, as they are now.
    ///
    /// # Errors
    ///
    /// When the system grants no further watches (on Linux: `fs.inotify.max_user_watches`).
    pub fn set(&mut self, files: Vec<PathBuf>) -> notify::Result<()> {
        self.files = files;
        self.follow()?;
        self.content = read_all(&self.files);
        Ok(())
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
            // The watcher holds the other end and lives as long as this value.
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
        let files = self.files.clone();
        match tokio::task::spawn_blocking(move || read_all(&files)).await {
            Ok(content) if content != self.content => {
                self.content = content;
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
            .files
            .iter()
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

fn read_all(files: &[PathBuf]) -> Vec<Content> {
    let digest = |file: &PathBuf| Some(Sha256::digest(std::fs::read(file).ok()?).into());
    files.iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_files_of_the_folder_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = FileWatch::new(vec![file.clone()]).unwrap();

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
