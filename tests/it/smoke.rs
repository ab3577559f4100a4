//! The main job, once: a push comes in, is durable, answered, and in the log.

use crate::receiver::Receiver;

#[test]
fn a_push_is_answered_and_appears_in_the_log_and_in_the_api() {
    let mut receiver = Receiver::start("");
    let body = r#"{"event_id":"e1","event_type":"i_new","event_time":1700000000000,"incident":{"incident_id":"664af","title":"disk full"}}"#;
    let answer = receiver.push(body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json(),
        serde_json::json!({"outcome": "accepted", "event_id": "e1", "seq": 1})
    );
    assert!(answer.header("x-request-id").is_some());
    let line = receiver
        .lines
        .wait("the event's line", |line| line["event_id"] == "e1");
    assert_eq!(line["title"], "disk full");
    assert_eq!(receiver.api("/api/v1/events/1/body").body, body.as_bytes());
    assert_eq!(receiver.push(body).outcome(), "duplicate");
    assert_eq!(receiver.stop().code(), Some(0));
}
