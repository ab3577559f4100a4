//! What a person changes by hand, with the real binary: listed, shown, replayed, dropped.

use crate::receiver::Receiver;

#[test]
fn what_was_delivered_or_expired_is_listed_shown_replayed_and_marked() {
    let receiver = Receiver::start("[sink.log]\nmax_age = \"1h\"\n");
    let push = |id: &str, time: i64| {
        let body = format!(
            r#"{{"event_id":"{id}","event_type":"i_ack","event_time":{time},"incident":{{"incident_id":"{id}"}}}}"#
        );
        receiver.push(&body).json()["seq"].clone()
    };
    let delivered = push("fresh", crate::receiver::now());
    let expired = push("old", crate::receiver::now() - 7_200_000);
    receiver.wait_for_delivery(&delivered, "delivered");
    receiver.wait_for_delivery(&expired, "expired");

    let listed = receiver.told(&["deliveries", "--state", "expired", "--json"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let shown = receiver.told(&["deliveries", &expired.to_string()]);
    assert!(shown.contains("log: expired"), "{shown}");

    let would = receiver.told(&["replay", "--state", "expired", "--dry-run"]);
    assert!(would.contains("1 would be changed"), "{would}");
    receiver.wait_for_delivery(&expired, "expired");
    let done = receiver.told(&["replay", "--sink", "log", "--since", "1h"]);
    assert!(done.contains("2 replayed"), "{done}");
    for seq in [&delivered, &expired] {
        let line = receiver.lines.wait("the replay", |line| {
            line["seq"] == *seq && line["origin"] == "replay"
        });
        assert_eq!(line["target"], "flashduty::event");
        receiver.wait_for_delivery(seq, "delivered");
    }
    assert_eq!(
        receiver.metric(r#"flashduty_deliveries_total{sink="log",outcome="replayed"}"#),
        2.0
    );
    let audit = receiver.rows("audit");
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["count"], 2);
}

#[test]
fn a_change_that_selects_nothing_or_repeats_commands_unasked_is_refused() {
    let receiver = Receiver::start("");
    let body = r#"{"event_id":"c","event_type":"i_custom","incident":{"incident_id":"1"}}"#;
    let seq = receiver.push(body).json()["seq"].clone();
    receiver.wait_for_delivery(&seq, "delivered");
    let vague = receiver.cli(&["replay", "--sink", "log"]);
    assert_eq!(vague.status.code(), Some(1), "{vague:?}");
    let unasked = receiver.cli(&["replay", "--state", "delivered"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    let told = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert!(told.contains("--yes"), "{told}");
    let done = receiver.told(&["replay", "--state", "delivered", "--yes"]);
    assert!(done.contains("1 of them commands"), "{done}");
}
