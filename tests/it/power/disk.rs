//! A disk that keeps what was synced, and of the rest whatever it likes.
//!
//! What one sync covers are the changes that were made when it began. A sync that failed leaves its
//! pages readable and clean, as Linux does: no later sync writes them, unless they are written to
//! again. Names are kept by a sync of their folder alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::content::{Chance, Content, Manner};
use super::record::Step;

/// A name, and the files it led to since its folder was synced.
#[derive(Debug, Clone, Default)]
struct Entry {
    synced: Option<usize>,
    changes: Vec<Option<usize>>,
}

impl Entry {
    fn now(&self) -> Option<usize> {
        self.changes.last().copied().unwrap_or(self.synced)
    }
}

/// A sync that has begun: the changes it covers.
#[derive(Debug, Clone)]
enum Sync {
    File(usize, BTreeSet<usize>),
    Names(Vec<(String, usize)>),
}

/// The disk at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    files: Vec<Content>,
    names: BTreeMap<String, Entry>,
    syncs: BTreeMap<usize, Sync>,
    lies: bool,
}

/// The files of a folder by their names from there.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

impl Disk {
    /// One that says that it synced, and does not.
    pub(super) fn that_lies() -> Self {
        Self {
            lies: true,
            ..Self::default()
        }
    }

    /// Does what the recorded process did.
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Folder { name } => self.make(name, Content::folder()),
            Step::Opened { name } => self.make(name, Content::file()),
            Step::Removed { name } => self.names.get_mut(name).unwrap().changes.push(None),
            Step::Wrote {
                call,
                name,
                offset,
                data,
            } => self.file(name).write(*call, *offset, data),
            Step::Resized { call, name, length } => self.file(name).resize(*call, *length),
            Step::Changed { call } => self.files.iter_mut().for_each(|file| file.made(*call)),
            Step::Unchanged { call } => self.files.iter_mut().for_each(|file| file.not_made(*call)),
            Step::SyncBegan { call, name } => {
                let sync = self.cover(name);
                self.syncs.insert(*call, sync);
            }
            Step::SyncEnded { call, worked } => {
                let sync = self.syncs.remove(call).unwrap();
                if !self.lies {
                    self.end_sync(sync, *worked);
                }
            }
            Step::Said { .. } => {}
        }
    }

    fn make(&mut self, name: &str, new: Content) {
        let entry = self.names.entry(name.to_owned()).or_default();
        if entry.now().is_none() {
            entry.changes.push(Some(self.files.len()));
            self.files.push(new);
        }
    }

    fn file(&mut self, name: &str) -> &mut Content {
        let file = self.names[name].now().expect("an open file has a name");
        &mut self.files[file]
    }

    fn cover(&self, name: &str) -> Sync {
        let file = self.names.get(name).and_then(Entry::now);
        match file {
            Some(file) if !self.files[file].is_folder() => {
                Sync::File(file, self.files[file].calls())
            }
            Some(_) | None => {
                let its = self.names.iter().filter(|its| folder_of(its.0) == name);
                let counts = its.map(|(below, entry)| (below.clone(), entry.changes.len()));
                Sync::Names(counts.collect())
            }
        }
    }

    fn end_sync(&mut self, sync: Sync, worked: bool) {
        match sync {
            Sync::File(file, calls) if worked => self.files[file].keep(&calls),
            Sync::File(file, calls) => self.files[file].give_up(&calls),
            Sync::Names(names) if worked => {
                for (name, count) in names {
                    let entry = self.names.get_mut(&name).unwrap();
                    for change in entry.changes.drain(..count) {
                        entry.synced = change;
                    }
                }
            }
            Sync::Names(_) => {}
        }
    }

    /// What is found after the power went now.
    pub(super) fn after_cut(&self, manner: Manner, chance: Chance) -> Files {
        let mut found = Files::new();
        let mut folders = vec![""];
        for (number, (name, entry)) in self.names.iter().enumerate() {
            let last = entry.changes.len();
            let kept = match manner {
                Manner::Dropped => 0,
                Manner::Kept => last,
                Manner::Prefix | Manner::Some | Manner::Torn => chance.below(number, last + 1),
            };
            let file = match kept.checked_sub(1) {
                Some(change) => entry.changes[change],
                None => entry.synced,
            };
            let (true, Some(file)) = (folders.contains(&folder_of(name)), file) else {
                continue;
            };
            if self.files[file].is_folder() {
                folders.push(name);
            } else {
                let content = self.files[file].after_cut(manner, chance);
                found.insert(name.clone(), content);
            }
        }
        found
    }
}

/// The name of the folder that a name is in; of the outermost it is empty.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Puts the files into a folder that has none of them.
pub(super) fn lay_out(files: &Files, folder: &Path) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
