//! `spill`: looking into a spill, and draining one whose receiver is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::store::{block_on, home, open, ran};
use crate::cli::Exit;
use crate::event::{Event, Id, Key, Route};
use crate::inbox::query::AuditFilter;
use crate::inbox::spill::Spill as _;
use crate::inbox::sqlite::spill::SqliteSpill;
use crate::inbox::{Batch, Inbox as _, Offer, Unreadable, UnreadableBounds};

fn path(home: &TempDir) -> PathBuf {
    home.path().join("spill.db")
}

/// A spill with events `ids`, as a receiver that is gone has left it.
fn left_behind(home: &TempDir, ids: &[&str]) -> SqliteSpill {
    let offers = ids.iter().enumerate().map(|(place, id)| {
        let event = Event {
            event_id: Some(Id::new(id)),
            received_at: format!("2026-05-04T10:00:0{place}Z").parse().unwrap(),
            ..Event::sample("{}")
        };
        let mut key = [0; 16];
        key[..id.len()].copy_from_slice(id.as_bytes());
        Offer {
            event: Arc::new(event),
            key: Some(Key(key)),
            moves_mark: true,
            wanted: Arc::default(),
        }
    });
    let batch = Batch {
        offers: offers.collect(),
        ..Batch::default()
    };
    let spill = SqliteSpill::open(&path(home), Duration::ZERO).unwrap();
    block_on(spill.keep(Arc::new(batch))).unwrap();
    spill
}

#[test]
fn a_spill_whose_receiver_is_gone_is_drained_into_the_store_as_of_when_its_events_came() {
    let home = home("");
    block_on(open(&home).close()).unwrap();
    block_on(left_behind(&home, &["a", "b", "a"]).close()).unwrap();
    let file = path(&home).display().to_string();

    let (result, out, _) = ran(&home, &format!("spill list {file}"));
    assert_eq!(result.unwrap(), Exit::Done);
    for word in [
        "EVENTS",
        "3",
        "2026-05-04T10:00:00.000Z",
        "2026-05-04T10:00:02.000Z",
    ] {
        assert!(out.contains(word), "{word} is missing in: {out}");
    }
    let (result, out, _) = ran(&home, &format!("spill drain {file} --json"));
    assert_eq!(result.unwrap(), Exit::Done);
    let expected = r#"{"accepted":2,"stale":0,"duplicate":1,"unreadable":0}"#;
    assert_eq!(out.trim(), expected);

    let inbox = open(&home);
    let audit = block_on(inbox.audited(AuditFilter::newest(10))).unwrap();
    block_on(inbox.close()).unwrap();
    let lines = audit.items.into_iter();
    let lines: Vec<_> = lines
        .map(|line| (line.who, line.action, line.count))
        .collect();
    let (who, action) = ("the command line".to_owned(), "drain_spill".to_owned());
    assert_eq!(lines, [(who, action, 3)]);

    let (_, out, _) = ran(&home, "events --json");
    let rows: Vec<&str> = out.lines().collect();
    assert_eq!(rows.len(), 2, "{out}");
    assert!(
        rows[1].contains(r#""received_at":"2026-05-04T10:00:00Z""#),
        "{out}"
    );
    let (_, out, _) = ran(&home, "deliveries --sink log --json");
    assert_eq!(out.lines().count(), 2, "routed as configured: {out}");
    let (_, out, _) = ran(&home, &format!("spill list {file} --json"));
    assert!(out.contains(r#""events":0"#), "{out}");
}

#[test]
fn pushes_that_could_not_be_used_are_drained_as_well() {
    let home = home("");
    block_on(open(&home).close()).unwrap();
    let spill = left_behind(&home, &["a"]);
    let push = Unreadable {
        received_at: "2026-05-04T10:00:00Z".parse().unwrap(),
        reason: "line 1, column 2: no JSON".to_owned(),
        route: Route::default(),
        source_ip: None,
        peer_ip: None,
        body: "{".into(),
    };
    let bounds = UnreadableBounds {
        count: 10,
        bytes: 100,
    };
    block_on(spill.keep_unreadable(vec![push], bounds)).unwrap();
    block_on(spill.close()).unwrap();
    let file = path(&home).display().to_string();

    let (_, out, _) = ran(&home, &format!("spill list {file} --json"));
    assert!(out.contains(r#""unreadable":1"#), "{out}");
    let (result, out, _) = ran(&home, &format!("spill drain {file} --json"));
    assert_eq!(result.unwrap(), Exit::Done);
    let expected = r#"{"accepted":1,"stale":0,"duplicate":0,"unreadable":1}"#;
    assert_eq!(out.trim(), expected);
    let (_, out, _) = ran(&home, "unreadable --json");
    for part in ["line 1, column 2: no JSON", "2026-05-04T10:00:00Z"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, out, _) = ran(&home, &format!("spill list {file} --json"));
    assert!(out.contains(r#""unreadable":0"#), "{out}");
}

#[test]
fn a_spill_that_somebody_holds_is_looked_at_and_not_drained() {
    let home = home("");
    block_on(open(&home).close()).unwrap();
    let spill = left_behind(&home, &["a"]);
    let file = path(&home).display().to_string();
    let (_, out, _) = ran(&home, &format!("spill list {file} --json"));
    assert!(out.contains(r#""events":1"#), "{out}");
    let (result, ..) = ran(&home, &format!("spill drain {file}"));
    let text = format!("{:#}", result.unwrap_err());
    assert!(text.contains("drains its spill by itself"), "{text}");
    assert!(text.contains("is locked by"), "{text}");
    block_on(spill.close()).unwrap();
}

#[test]
fn a_spill_that_is_not_there_is_not_made() {
    let home = home("spill = \"off\"\n");
    let file = path(&home).display().to_string();
    for action in ["list", "drain"] {
        let (result, ..) = ran(&home, &format!("spill {action} {file}"));
        let text = format!("{:#}", result.unwrap_err());
        assert!(text.contains("there is no spill at"), "{text}");
    }
    assert!(!path(&home).exists());
    let (result, ..) = ran(&home, "spill");
    let text = format!("{:#}", result.unwrap_err());
    assert!(text.contains("store.spill is off"), "{text}");
}

#[test]
fn a_store_that_is_a_file_is_said_to_have_no_spill_unless_one_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left.db");
    let home = home(&format!("spill = \"sqlite://{}\"\n", left.display()));
    let (result, ..) = ran(&home, "spill list");
    let text = format!("{:#}", result.unwrap_err());
    for part in ["PostgreSQL", "store.url", &left.display().to_string()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let spill = SqliteSpill::open(&left, Duration::ZERO).unwrap();
    block_on(spill.close()).unwrap();
    let (_, out, _) = ran(&home, "spill list --json");
    assert!(out.contains(r#""events":0"#), "{out}");
}
