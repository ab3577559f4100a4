//! What a line guarantees, for samples and for whatever a body may hold.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::envelope::{EnvelopeOptions, EnvelopeRules};
use crate::event::{Id, Route};

fn event(body: &[u8]) -> Event {
    let rules = EnvelopeRules::new(EnvelopeOptions::default()).unwrap();
    let envelope = rules.read(body).unwrap();
    Event {
        event_id: envelope.event_id,
        event_type: envelope.event_type,
        event_time: envelope.event_time,
        subject: envelope.subject,
        route: Route {
            tag: Some("team-a".into()),
            query: Some("a=1".into()),
        },
        command: envelope.command,
        source_ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
        peer_ip: None,
        received_at: "2026-04-12T08:01:00.250Z".parse().unwrap(),
        origin: Origin::Push,
        trace_parent: None,
        body: Bytes::copy_from_slice(body),
    }
}

fn line_of(event: &Event, labels: &LabelStyle) -> String {
    let mut out = b"before".to_vec();
    let now = "2026-04-12T08:01:00.25Z".parse().unwrap();
    let input = LineInput {
        seq: Seq(42),
        event,
        redelivered: false,
        replay: false,
        labels,
        now,
    };
    write_event_line(&mut out, &input);
    String::from_utf8(out)
        .unwrap()
        .strip_prefix("before")
        .unwrap()
        .to_owned()
}

fn line(body: &str) -> Map<String, Value> {
    parse(&line_of(&event(body.as_bytes()), &LabelStyle::Object))
}

fn parse(line: &str) -> Map<String, Value> {
    assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
    let object = line.strip_suffix('\n').unwrap();
    assert!(!object.contains(char::is_control));
    serde_json::from_str(object).unwrap()
}

fn incident(fields: &Value) -> String {
    let mut incident = json!({"incident_id": "1"});
    incident
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    json!({"event_type": "i_new", "event_id": "e", "incident": incident}).to_string()
}

#[test]
fn an_acknowledged_incident_is_one_line_in_the_documented_order() {
    let event = event(include_bytes!("../../../tests/samples/i_ack.json"));
    insta::assert_snapshot!(line_of(&event, &LabelStyle::Object), @r#"{"timestamp":"2026-04-12T08:01:00.250000Z","level":"INFO","target":"flashduty::event","message":"i_ack Critical: disk almost full on node-17","seq":42,"event_id":"e3ed31a169d704c6aab54fce0ececaa6","event_type":"i_ack","event_time":1775980860137,"event_at":"2026-04-12T08:01:00.137Z","subject":"incident:69db5a40c1f04e7a9d2b8c11","title":"disk almost full on node-17","severity":"Critical","status":"Critical","progress":"Processing","channel_id":1552048792504,"channel_name":"Storage on call","person":{"id":2476444212131,"name":"Ana Ruiz","email":"ana.ruiz@example.com"},"labels":{"resource":"node-17.db.example.com","check":"disk_used_percent","mount":"/var/lib/postgresql","region":"eu-central-1","team":"storage","env":"production"},"detail_url":"https://console.example.com/incident/detail/69db5a40c1f04e7a9d2b8c11","tag":"team-a","source_ip":"203.0.113.9","lag_ms":113,"redelivered":false,"origin":"push"}"#);
}

#[test]
fn an_event_of_a_trace_says_which() {
    let mut event = event(br#"{"event_type":"x"}"#);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    event.trace_parent = Some(parent.into());
    let line = parse(&line_of(&event, &LabelStyle::Object));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn what_is_absent_is_left_out() {
    let mut event = event(br#"{"event_type":"x"}"#);
    event.route = Route::default();
    event.source_ip = None;
    event.origin = Origin::Recovered;
    insta::assert_snapshot!(line_of(&event, &LabelStyle::Object), @r#"{"timestamp":"2026-04-12T08:01:00.250000Z","level":"INFO","target":"flashduty::event","message":"x","seq":42,"event_type":"x","redelivered":false,"origin":"recovered"}"#);
}

#[test]
fn labels_can_be_one_string_or_chosen_members() {
    let labels = json!({"env": "prod", "a,b=c\\": "1,2=3\\\"", "team": "storage"});
    let event = event(incident(&json!({ "labels": labels })).as_bytes());
    let part = |style: LabelStyle| {
        let line = line_of(&event, &style);
        let (_, from_subject) = line.split_once(r#""subject":"incident:1""#).unwrap();
        from_subject.split_once(r#","tag""#).unwrap().0.to_owned()
    };
    assert_eq!(
        part(LabelStyle::Object),
        r#","labels":{"a,b=c\\":"1,2=3\\\"","env":"prod","team":"storage"}"#
    );
    assert_eq!(
        part(LabelStyle::String),
        r#","labels":"a\\,b\\=c\\\\=1\\,2=3\\\\\",env=prod,team=storage""#
    );
    let keys = |keys: &[&str]| LabelStyle::Lift(keys.iter().map(|key| (*key).to_owned()).collect());
    assert_eq!(
        part(keys(&["team", "none", "env", "team"])),
        r#","label_team":"storage","label_env":"prod""#
    );
    assert_eq!(part(keys(&["none"])), "");
    assert_eq!(part(keys(&[])), "");
}

#[test]
fn a_replay_and_a_repetition_are_told() {
    let event = event(br#"{"event_type":"x"}"#);
    let mut out = Vec::new();
    let now = Timestamp::UNIX_EPOCH;
    let labels = &LabelStyle::Object;
    let input = LineInput {
        seq: Seq(1),
        event: &event,
        redelivered: true,
        replay: true,
        labels,
        now,
    };
    write_event_line(&mut out, &input);
    let line = parse(std::str::from_utf8(&out).unwrap());
    assert_eq!(line["redelivered"], true);
    assert_eq!(line["origin"], "replay");
    assert_eq!(line["timestamp"], "1970-01-01T00:00:00.000000Z");
}

#[test]
fn without_a_title_the_message_names_the_subject() {
    assert_eq!(line(&incident(&json!({})))["message"], "i_new: incident:1");
    let severity = json!({"incident_severity": "Info"});
    assert_eq!(
        line(&incident(&severity))["message"],
        "i_new Info: incident:1"
    );
}

#[test]
fn integers_are_as_exact_as_they_came() {
    let event = event(include_bytes!("../../../tests/samples/large_integers.json"));
    let line = line_of(&event, &LabelStyle::Object);
    assert!(
        line.contains(r#""channel_id":9223372036854775807,"#),
        "{line}"
    );
    assert!(
        line.contains(r#""person":{"id":9007199254740993,"name""#),
        "{line}"
    );
}

#[test]
fn control_characters_reach_no_terminal() {
    let event = event(include_bytes!("../../../tests/samples/nul.json"));
    let line = line_of(&event, &LabelStyle::Object);
    assert!(
        line.contains(
            r#""title":"NUL \u0000, ESC \u001b[31m, DEL \u007f, NEL \u0085, LS \u2028","#
        ),
        "{line}"
    );
    assert!(line.contains(r#""labels":{"k\u0000":"v\u0000"}"#), "{line}");
}

#[test]
fn too_many_labels_are_dropped_from_the_end_and_nothing_else() {
    let labels: Map<String, Value> = (0..1000)
        .map(|n| (format!("label-{n:04}"), json!("v".repeat(50))))
        .collect();
    let body = incident(&json!({"title": "kept", "labels": labels}));
    for style in [LabelStyle::Object, LabelStyle::String] {
        let text = line_of(&event(body.as_bytes()), &style);
        assert!(
            text.len() > MAX_LINE - 100,
            "the room is used: {}",
            text.len()
        );
        let line = parse(&text);
        assert_eq!(line["truncated"], json!(["labels"]));
        assert_eq!(line["title"], "kept");
        assert!(text.contains("label-0199") && !text.contains("label-0300"));
    }
    let lift = LabelStyle::Lift(vec!["label-0999".to_owned()]);
    let line = parse(&line_of(&event(body.as_bytes()), &lift));
    assert_eq!(line.get("truncated"), None);
    assert_eq!(line["label_label-0999"], "v".repeat(50));
}

#[test]
fn a_long_title_is_cut_after_the_labels() {
    let body = incident(&json!({"title": "é".repeat(20_000), "labels": {"a": "b"}}));
    let text = line_of(&event(body.as_bytes()), &LabelStyle::Object);
    assert!(
        text.len() > MAX_LINE - 100,
        "the room is used: {}",
        text.len()
    );
    let line = parse(&text);
    assert_eq!(line["truncated"], json!(["labels", "title"]));
    assert_eq!(line.get("labels"), None);
    assert_eq!(
        line["message"],
        format!("i_new: {}", line["title"].as_str().unwrap())
    );
}

#[test]
fn whatever_is_long_ends_in_a_line_that_names_it() {
    let long = "\u{1}".repeat(1 << 20);
    let body = json!({
        "event_type": long, "event_id": long, "person": {"person_name": long, "email": long},
        "incident": {
            "incident_id": long, "title": long, "incident_severity": long,
            "incident_status": long, "progress": long, "channel_name": long,
            "detail_url": long, "labels": {"a": long, &long: "a"},
        },
    });
    let digits = "9".repeat(1 << 20);
    let body = body.to_string().replacen(
        r#""channel_name""#,
        &format!(r#""channel_id":{digits},"channel_name""#),
        1,
    );
    let line = line(&body);
    assert_eq!(
        line["truncated"],
        json!([
            "labels",
            "title",
            "severity",
            "status",
            "progress",
            "channel_id",
            "channel_name",
            "person",
            "detail_url"
        ])
    );
    assert_eq!(line["event_id"], Id::new(&long).as_str());
    assert!(line["title"].as_str().unwrap().len() > LEAST_TITLE / 6);
}

#[test]
fn one_long_field_leaves_title_and_labels_whole() {
    let labels = json!({"env": "kept"});
    let url = "u".repeat(20_000);
    let body = incident(&json!({"title": "kept", "labels": labels, "detail_url": url}));
    let line = line(&body);
    assert_eq!(line["truncated"], json!(["detail_url"]));
    assert_eq!(line["title"], "kept");
    assert_eq!(line["labels"], labels);
}

proptest! {
    #[test]
    fn any_event_is_one_line_of_valid_json(
        text in proptest::collection::vec((any::<String>(), 0_usize..4), 12),
        style in prop_oneof![
            Just(LabelStyle::Object),
            Just(LabelStyle::String),
            any::<Vec<String>>().prop_map(LabelStyle::Lift),
        ],
    ) {
        let field = |at: usize| {
            let (text, size): &(String, usize) = &text[at];
            text.repeat(10_usize.pow(u32::try_from(*size).unwrap()))
        };
        let body = json!({
            "event_type": format!("x{}", field(0)), "event_id": field(1),
            "person": {"person_name": field(2), "email": field(3)},
            "incident": {
                "incident_id": field(4), "title": field(5), "incident_severity": field(6),
                "progress": field(7), "detail_url": field(8), "channel_name": field(9),
                "labels": {field(10): field(11), field(11): field(10)},
            },
        });
        if field(0).contains("{{") {
            return Ok(());
        }
        let event = event(body.to_string().as_bytes());
        let line = parse(&line_of(&event, &style));
        prop_assert_eq!(&line["event_type"], event.event_type.as_str());
        if !line.contains_key("truncated") && !field(5).trim().is_empty() {
            prop_assert_eq!(line["title"].as_str().unwrap(), field(5));
        }
    }
}
