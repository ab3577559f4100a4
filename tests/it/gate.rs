//! The start: a store that cannot be opened says what would help, and one receiver at a time.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::receiver::{BASE, Receiver, Starting, command};
use crate::volume::Volume;

/// The user of the image.
const IMAGE_UID: &str = "65532";

fn configured(folder: &Path) {
    std::fs::write(folder.join("config.toml"), BASE).unwrap();
}

/// Runs the binary to its end as the user of the image, which may read all of `folder`'s own files
/// but is not their owner.
fn run_as_the_image_does(folder: &Path) -> Output {
    allow(folder, 0o755);
    let binary = folder.join("flashduty-receiver");
    // Where it was built another user may not be let in.
    std::fs::copy(command(folder, &[]).get_program(), &binary).unwrap();
    Command::new("setpriv")
        .args(["--reuid", IMAGE_UID, "--regid", IMAGE_UID, "--clear-groups"])
        .arg(binary)
        .args(["--config", "config.toml"])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("these tests need setpriv(1): {error}"))
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_folder_of_somebody_else_says_whose_it_is_and_which_command_helps() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    allow(&data, 0o750);
    let output = run_as_the_image_does(folder.path());
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for word in [
        "data",
        "this process is uid 65532 gid 65532",
        "owned by uid 0 gid 0, mode 0750",
        "chown -R 65532:65532",
        "fsGroup: 65532",
    ] {
        assert!(told.contains(word), "{word} is missing in: {told}");
    }
}

#[test]
fn a_store_of_somebody_else_in_a_folder_of_ones_own_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start_in(folder.path(), "");
    assert_eq!(receiver.stop().code(), Some(0));
    let store = folder.path().join("data/inbox.db");
    allow(&folder.path().join("data"), 0o777);
    allow(&folder.path().join("data/inbox.db.lock"), 0o666);
    allow(&store, 0o600);
    let output = run_as_the_image_does(folder.path());
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for word in ["data/inbox.db", "owned by uid 0 gid 0, mode 0600", "chown"] {
        assert!(told.contains(word), "{word} is missing in: {told}");
    }
}

#[test]
fn a_volume_that_takes_no_writes_or_has_no_room_says_so() {
    let volume = Volume::of(8);
    configured(volume.path());
    let filler = volume.fill(0);
    let output = command(volume.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("no room"), "{}", told(&output));
    std::fs::remove_file(filler).unwrap();
    volume.remount("ro");
    let output = command(volume.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("mount a writable volume"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_second_receiver_waits_names_the_first_and_takes_over_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Receiver::start_in(folder.path(), "");
    assert_eq!(first.push(&event("before")).outcome(), "accepted");
    let second = Starting::begin(folder.path(), command(folder.path(), &[]));
    let holder = format!("held by process {}", first.child.id());
    second.lines.wait("the wait for the lock", |line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains(&holder))
    });
    assert_eq!(first.push(&event("meanwhile")).outcome(), "accepted");
    assert_eq!(first.stop().code(), Some(0));
    let mut second = second.finish().unwrap();
    for id in ["before", "meanwhile"] {
        assert_eq!(second.push(&event(id)).outcome(), "duplicate", "{id}");
    }
    assert_eq!(second.push(&event("after")).outcome(), "accepted");
    assert_eq!(second.stop().code(), Some(0));
}

#[test]
fn a_second_receiver_that_waited_in_vain_says_who_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Receiver::start_in(folder.path(), "lock_wait = \"100ms\"\n");
    let output = command(folder.path(), &[]).output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let holder = format!("process {}", first.child.id());
    for word in ["data/inbox.db.lock", &holder] {
        assert!(told.contains(word), "{word} is missing in: {told}");
    }
    assert_eq!(first.push(&event("a")).outcome(), "accepted");
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn a_receiver_that_waits_for_the_store_ends_at_once_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Receiver::start_in(folder.path(), "");
    let second = Starting::begin(folder.path(), command(folder.path(), &[]));
    second.lines.wait("the wait for the lock", |line| {
        let text = line["message"].as_str();
        text.is_some_and(|text| text.contains("held by process"))
    });
    let told = Instant::now();
    second.signal("TERM");
    let status = second.finish().err().expect("it never became ready");
    assert_eq!(status.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(5), "it waited on");
    assert_eq!(first.push(&event("a")).outcome(), "accepted");
    assert_eq!(first.stop().code(), Some(0));
}

fn event(id: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"i_new","incident":{{"incident_id":"{id}","title":"disk full"}}}}"#
    )
}
