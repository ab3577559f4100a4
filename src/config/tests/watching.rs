//! Changes of files are noticed however they are made.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;
use crate::config::watch::{FileWatch, Seen};

/// Far longer than a notice takes; only a broken watch waits it out.
const PATIENCE: Duration = Duration::from_secs(30);

/// One file, just read.
fn seen(file: &Path) -> Seen {
    let mut seen = Seen::default();
    seen.note(file.to_owned(), Some(&fs::read(file).unwrap()));
    seen
}

async fn notices(watch: &mut FileWatch) {
    let noticed = tokio::time::timeout(PATIENCE, watch.changed()).await;
    assert!(noticed.is_ok(), "the change was not noticed");
}

#[tokio::test]
async fn a_file_that_is_rewritten_replaced_or_removed_is_noticed() {
    let place = Place::with_file("a");
    let file = place.path().join("config.toml");
    let mut watch = FileWatch::new(seen(&file)).unwrap();

    fs::write(&file, "b").unwrap();
    notices(&mut watch).await;
    place.write("new.toml", "c");
    fs::rename(place.path().join("new.toml"), &file).unwrap();
    notices(&mut watch).await;
    fs::remove_file(&file).unwrap();
    notices(&mut watch).await;
    fs::write(&file, "d").unwrap();
    notices(&mut watch).await;
}

#[tokio::test]
async fn a_swapped_kubernetes_volume_is_noticed_each_time() {
    let place = Place::new();
    place.write("..first/config.toml", "a");
    symlink("..first", place.path().join("..data")).unwrap();
    let file = place.path().join("config.toml");
    symlink("..data/config.toml", &file).unwrap();
    let mut watch = FileWatch::new(seen(&file)).unwrap();

    for (old, new, text) in [("..first", "..second", "b"), ("..second", "..third", "c")] {
        place.write(&format!("{new}/config.toml"), text);
        symlink(new, place.path().join("..data_tmp")).unwrap();
        fs::rename(place.path().join("..data_tmp"), place.path().join("..data")).unwrap();
        fs::remove_dir_all(place.path().join(old)).unwrap();
        notices(&mut watch).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[tokio::test]
async fn a_change_behind_a_link_into_another_folder_is_noticed() {
    let place = Place::new();
    place.write("elsewhere/token", "a");
    place.write("here/config.toml", "");
    let file = place.path().join("here/token");
    symlink("../elsewhere/token", &file).unwrap();
    let mut watch = FileWatch::new(seen(&file)).unwrap();
    place.write("elsewhere/token", "b");
    notices(&mut watch).await;
}

#[tokio::test]
async fn files_named_later_are_watched_from_then_on() {
    let place = Place::with_file("a");
    place.write("secrets/token", "a");
    let token = place.path().join("secrets/token");
    let mut watch = FileWatch::new(seen(&place.path().join("config.toml"))).unwrap();
    watch.set(seen(&token)).unwrap();
    fs::write(token, "b").unwrap();
    notices(&mut watch).await;
}

#[tokio::test]
async fn a_change_between_reading_and_watching_is_noticed() {
    let place = Place::with_file("");
    let read = place.load().unwrap().watched;
    place.write("config.toml", "log.level = \"debug\"");
    notices(&mut FileWatch::new(read).unwrap()).await;
}
