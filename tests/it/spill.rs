//! A spill whose receiver is gone, drained by the command through a receiver that runs.

use std::sync::Arc;
use std::time::Duration;

use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Subject};
use flashduty_receiver::inbox::spill::Spill as _;
use flashduty_receiver::inbox::sqlite::spill::SqliteSpill;
use flashduty_receiver::inbox::{Batch, Offer, Unreadable, UnreadableBounds};
use serde_json::json;

use crate::receiver::Receiver;

fn offer(number: u8) -> Offer {
    let event = Event {
        event_id: Some(Id::new(&format!("e{number}"))),
        event_type: Id::new("i_ack"),
        event_time: Some(crate::receiver::now() + i64::from(number)),
        subject: Some(Subject::Incident(Id::new("664af"))),
        route: Route::default(),
        command: false,
        source_ip: None,
        peer_ip: None,
        received_at: "2026-05-04T10:00:00Z".parse().unwrap(),
        origin: Origin::Push,
        trace_parent: None,
        body: format!(r#"{{"event_id":"e{number}","event_type":"i_ack"}}"#).into(),
    };
    Offer {
        event: Arc::new(event),
        key: Some(Key([number; 16])),
        moves_mark: true,
        wanted: Arc::default(),
    }
}

#[tokio::test]
async fn a_running_receiver_takes_a_spill_whose_own_receiver_is_gone_and_delivers_what_is_in_it() {
    let receiver = Receiver::start("");
    let file = receiver.folder.join("old.db");
    let spill = SqliteSpill::open(&file, Duration::ZERO).unwrap();
    // More than are offered at a time.
    for part in 0..30u8 {
        let batch = Batch {
            offers: (0..10)
                .map(|one| offer(part.wrapping_mul(10).wrapping_add(one) % 250))
                .collect(),
            ..Batch::default()
        };
        spill.keep(Arc::new(batch)).await.unwrap();
    }
    let unreadable = Unreadable {
        received_at: "2026-05-04T10:00:00Z".parse().unwrap(),
        reason: "no JSON".to_owned(),
        route: Route::default(),
        source_ip: None,
        peer_ip: None,
        body: "{".into(),
    };
    let bounds = UnreadableBounds {
        count: 10,
        bytes: 100,
    };
    let kept = spill.keep_unreadable(vec![unreadable], bounds);
    kept.await.unwrap();
    let held = receiver.cli(&["spill", "drain", file.to_str().unwrap()]);
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    spill.close().await.unwrap();

    let told = receiver.told(&["spill", "drain", file.to_str().unwrap(), "--json"]);
    let counts: serde_json::Value = serde_json::from_str(&told).unwrap();
    let expected = json!({"accepted": 250, "stale": 0, "duplicate": 50, "unreadable": 1});
    assert_eq!(counts, expected);
    let line = receiver
        .lines
        .wait("the last event", |line| line["event_id"] == "e249");
    assert_eq!(line["target"], "flashduty::event");
    let listed = receiver.told(&["spill", "list", file.to_str().unwrap(), "--json"]);
    assert!(listed.contains(r#""events":0"#), "{listed}");
    assert!(listed.contains(r#""unreadable":0"#), "{listed}");
    assert_eq!(receiver.rows("unreadable")[0]["reason"], "no JSON");
    let rows = receiver.rows("events");
    assert_eq!(rows[0]["received_at"], "2026-05-04T10:00:00Z");
}
