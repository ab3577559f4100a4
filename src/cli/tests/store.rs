//! Commands when no receiver runs: they read the configuration and the store themselves.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use tempfile::TempDir;

use crate::cli::printer::tests::captured;
use crate::cli::{Cli, Exit, dispatch};
use crate::event::{Event, Id, Origin, Route, Subject};
use crate::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use crate::inbox::{Batch, Inbox as _, Offer};

const BODY: &[u8] = b"{\"event_id\":\"e1\", \"event_type\":\"i_ack\"}\r\n";

/// A folder with a configuration whose admin port nobody listens on.
pub(super) fn home(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let store = folder.path().join("inbox.db");
    let text = format!(
        "[admin]\nlisten = \"{free}\"\n[store]\nurl = \"sqlite://{}\"\n{more}",
        store.display()
    );
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    folder
}

/// How `line` ends in that folder, and what it prints.
pub(super) fn ran(home: &TempDir, line: &str) -> (anyhow::Result<Exit>, String, String) {
    let path = home.path().join("config.toml");
    let line = format!("flashduty-receiver --config {} {line}", path.display());
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let (mut printer, out, err) = captured(cli.json);
    let result = dispatch(cli, &mut printer);
    (result, out.text(), err.text())
}

pub(super) fn open(home: &TempDir) -> SqliteInbox {
    SqliteInbox::open(SqliteOptions {
        location: Location::File(home.path().join("inbox.db")),
        lock_wait: Duration::ZERO,
        max_size: 0,
    })
    .unwrap()
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Stores one event, as a receiver would have before it ended.
fn stored(inbox: &SqliteInbox) {
    let now = "2026-05-04T10:00:00Z".parse().unwrap();
    let event = Event {
        event_id: Some(Id::new("e1")),
        event_type: Id::new("i_ack"),
        event_time: None,
        subject: Some(Subject::Incident(Id::new("664af"))),
        route: Route::default(),
        command: false,
        source_ip: Some("47.94.95.118".parse().unwrap()),
        peer_ip: Some("47.94.95.118".parse().unwrap()),
        received_at: now,
        origin: Origin::Push,
        trace_parent: None,
        body: BODY.into(),
    };
    let offer = Offer {
        event: Arc::new(event),
        key: None,
        moves_mark: true,
        wanted: Arc::new([]),
    };
    let batch = Batch {
        offers: vec![offer],
        ..Batch::default()
    };
    block_on(inbox.commit(Arc::new(batch), now)).unwrap();
}

#[test]
fn a_store_nobody_holds_is_read_directly() {
    let home = home("");
    let inbox = open(&home);
    stored(&inbox);
    block_on(inbox.close()).unwrap();
    drop(inbox);
    let (result, out, _) = ran(&home, "events --subject incident:664af");
    assert_eq!(result.unwrap(), Exit::Done);
    assert!(out.lines().nth(1).unwrap().starts_with("1 "), "{out}");
    let (result, out, _) = ran(&home, "events show 1 --body");
    assert_eq!(result.unwrap(), Exit::Done);
    assert_eq!(out.as_bytes(), BODY);
    let (_, out, _) = ran(&home, "deliveries show 1");
    assert!(out.ends_with("\nno sink wanted it\n"), "{out}");
    let (_, out, _) = ran(&home, "unreadable --json");
    assert_eq!(out, "");
    let (result, ..) = ran(&home, "unreadable offer 1");
    assert!(result.unwrap_err().to_string().contains("no receiver runs"));
}

#[test]
fn a_store_somebody_holds_is_left_alone() {
    let home = home("");
    let inbox = open(&home);
    let (result, ..) = ran(&home, "events");
    let error = result.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Failed);
    let text = format!("{error:#}");
    assert!(
        text.contains("no receiver answers at http://127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("in use"), "{text}");
    block_on(inbox.close()).unwrap();
}

#[test]
fn looking_for_a_store_that_is_not_there_creates_none() {
    let home = home("");
    let (result, ..) = ran(&home, "events");
    let text = format!("{:#}", result.unwrap_err());
    assert!(text.contains("there is no store at"), "{text}");
    assert!(!home.path().join("inbox.db").exists());
}

#[test]
fn check_prints_the_configuration_without_its_secrets() {
    let home = home("[source]\ntoken = \"hunter2-hunter2\"\n");
    let (result, out, err) = ran(&home, "check");
    assert_eq!(result.unwrap(), Exit::Done);
    assert!(out.contains("[store]"), "{out}");
    assert!(!out.contains("hunter2"), "{out}");
    assert!(err.contains("config.toml"), "{err}");
}

#[test]
fn a_wrong_configuration_ends_with_two_and_names_its_line() {
    let home = home("retenshun = \"7d\"\n");
    for command in ["check", "events", "health"] {
        let (result, ..) = ran(&home, command);
        let error = result.unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage, "{command}");
        let text = format!("{error:#}");
        assert!(text.contains("config.toml:5"), "{text}");
    }
}

#[test]
fn a_push_that_might_be_made_is_explained_by_the_configured_rules() {
    let home = home("[source]\ntrusted_proxies = [\"10.0.0.0/8\"]\n");
    let body = home.path().join("body.json");
    std::fs::write(&body, BODY).unwrap();
    let line = format!(
        "explain --file {} --peer 10.0.3.7 -H X-Forwarded-For:47.94.95.118 --tag ops",
        body.display()
    );
    let (result, out, _) = ran(&home, &line);
    assert_eq!(result.unwrap(), Exit::Done);
    assert!(out.contains("10.0.3.7 is trusted"), "{out}");
    assert!(
        out.contains("the same id e1 again on route /ops is a duplicate"),
        "{out}"
    );
    assert!(out.contains("sink log takes every event"), "{out}");
    assert!(!home.path().join("inbox.db").exists(), "nothing is stored");
}

#[test]
fn scripts_get_the_configuration_and_presets_as_objects_too() {
    let home = home("[source]\ntoken = \"hunter2-hunter2\"\n");
    for (line, pointer) in [
        ("check --json", "/store/url"),
        ("preset slack --json", "/toml"),
        ("schema --json", "/properties/server"),
    ] {
        let (result, out, _) = ran(&home, line);
        assert_eq!(result.unwrap(), Exit::Done);
        assert_eq!(out.lines().count(), 1, "{line}");
        let object: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(object.pointer(pointer).is_some(), "{line}: {out}");
        assert!(!out.contains("hunter2"), "{line}");
    }
}

#[test]
fn the_schema_is_one_json_document() {
    let home = home("");
    let (result, out, _) = ran(&home, "schema");
    assert_eq!(result.unwrap(), Exit::Done);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(schema["properties"]["server"].is_object());
}
