//! What is shown while the database is away.

use super::*;

#[tokio::test]
async fn while_the_database_is_away_status_shows_what_is_known_without_it() {
    let mut asked = Asked::default();
    asked.inbox.failure = Some(InboxError::Away("no answer".to_owned()));
    let (parts, body) = asked.send(request("GET", "/api/v1/status")).await;
    assert_eq!(parts.status, 200);
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["warnings"][0], "the disk is nearly full");
    assert_eq!(status["pushes"]["accepted"], 0);
    assert_eq!(status["spilled_events"], 0);
    assert_eq!(status["sinks"][0]["configured"], true);
    assert!(status["sinks"][0].get("pending").is_none());
    assert_eq!(status["recovery"]["last_run"]["found"], 3);
    assert!(status["recovery"].get("reached").is_none());
    assert_eq!(status["replicas"].as_array().unwrap().len(), 1);
    for number in [
        "inbox",
        "store_bytes",
        "store_free_bytes",
        "store_log_bytes",
        "longest_stall_seconds",
    ] {
        assert!(status.get(number).is_none(), "{number}: {status}");
    }
}

#[tokio::test]
async fn what_waits_in_the_spill_is_shown_and_found_by_its_event_id() {
    insta::assert_snapshot!(get("/api/v1/spilled?event_id=e8").await, @r#"
    200 {
      "bytes": 20,
      "events": 2,
      "found": [
        {
          "event_type": "i_ack",
          "received_at": "2026-05-04T10:00:07Z",
          "set_aside": false,
          "tag": "ops"
        }
      ],
      "newest": "2026-05-04T10:00:08Z",
      "oldest": "2026-05-04T10:00:07Z",
      "set_aside": 0,
      "unreadable": 0
    }
    "#);
    let other = get("/api/v1/spilled").await;
    assert!(other.contains(r#""found": []"#), "{other}");
}
