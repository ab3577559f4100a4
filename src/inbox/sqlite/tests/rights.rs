//! Who may read what the store leaves on disk.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

fn rights(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The rights of everything in `folder`, by name.
fn of_files(folder: &Path) -> BTreeMap<String, u32> {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, rights(&file.path()))
        })
        .collect()
}

#[tokio::test]
async fn what_the_store_makes_is_for_its_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("deep/data");
    let inbox = open(&folder);
    inbox.sink("s").await.unwrap();
    let made = of_files(&folder);
    let names: Vec<&str> = made.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["inbox.db", "inbox.db-shm", "inbox.db-wal", "inbox.db.lock"]
    );
    assert!(made.values().all(|mode| *mode == 0o600), "{made:?}");
    assert_eq!(rights(&folder), 0o700);
    assert_eq!(rights(&place.path().join("deep")), 0o700);
    inbox.close().await.unwrap();
}

#[tokio::test]
async fn what_is_there_keeps_the_rights_it_was_given() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    open(&folder).close().await.unwrap();
    for (path, mode) in [
        (folder.clone(), 0o750),
        (folder.join("inbox.db"), 0o640),
        (folder.join("inbox.db.lock"), 0o640),
    ] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let inbox = open(&folder);
    inbox.sink("s").await.unwrap();
    let kept = of_files(&folder);
    assert!(kept.values().all(|mode| *mode == 0o640), "{kept:?}");
    assert_eq!(rights(&folder), 0o750);
    inbox.close().await.unwrap();
}
