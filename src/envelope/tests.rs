//! What reading a body guarantees, over the samples and cases written by hand.

use std::fs;
use std::path::Path;

use super::view::View;
use super::*;
use crate::event::Route;

fn rules() -> EnvelopeRules {
    EnvelopeRules::new(EnvelopeOptions::default()).unwrap()
}

fn read(body: &str) -> Envelope {
    rules().read(body.as_bytes()).unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    fs::read(path.join(name).with_extension("json")).unwrap()
}

fn sample_names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn text(id: Option<&Id>) -> Option<&str> {
    id.map(Id::as_str)
}

fn route(tag: Option<&str>, query: Option<&str>) -> Route {
    Route {
        tag: tag.map(Into::into),
        query: query.map(Into::into),
    }
}

const INCIDENT: &str = "incident:69db5a40c1f04e7a9d2b8c11";
const ALERT: &str = "alert:69db5a3ec1f04e7a9d2b8c0f";

#[test]
fn every_documented_type_has_id_type_time_and_subject() {
    let mut seen = 0;
    for name in sample_names() {
        let subject = match name.as_bytes() {
            [b'i', b'_', ..] => INCIDENT,
            [b'a', b'_', ..] => ALERT,
            _ => continue,
        };
        let envelope = rules().read(&sample(&name)).unwrap();
        assert_eq!(envelope.event_type.as_str(), name);
        assert_eq!(envelope.event_id.unwrap().as_str().len(), 32, "{name}");
        assert!(envelope.event_time.is_some(), "{name}");
        assert_eq!(envelope.subject.unwrap().to_string(), subject, "{name}");
        assert_eq!(envelope.command, name == "i_custom");
        assert_eq!(envelope.nested_id, name == "i_custom");
        assert!(envelope.placeholders.is_empty());
        seen += 1;
    }
    assert_eq!(seen, 30);
}

#[test]
fn odd_samples_are_read_as_far_as_they_can_be() {
    let of = |name: &str| rules().read(&sample(name)).unwrap();

    assert_eq!(
        of("unknown_type").event_type.as_str(),
        "x_quantum_entangled"
    );
    assert_eq!(of("unknown_type").subject.unwrap().to_string(), INCIDENT);
    assert!(of("undocumented_fields").event_id.is_some());
    assert!(of("large_integers").event_id.is_some());
    assert!(of("byte_order_mark").event_id.is_some());
    assert!(of("odd_fields").subject.is_some());
    assert_eq!(of("lone_surrogate").subject.unwrap().to_string(), INCIDENT);

    let numeric = of("numeric_ids");
    assert_eq!(
        text(numeric.event_id.as_ref()),
        Some("123456789012345678901234567890")
    );
    assert_eq!(
        numeric.subject.unwrap().to_string(),
        "incident:9007199254740993"
    );
    assert_eq!(numeric.event_time, Some(1_775_980_804_000));

    let duplicates = of("duplicate_keys");
    assert_eq!(duplicates.event_type.as_str(), "i_ack");
    assert_eq!(text(duplicates.event_id.as_ref()), Some("last"));
    assert_eq!(duplicates.event_time, Some(1_775_980_807_000));
    assert_eq!(duplicates.subject.unwrap().to_string(), INCIDENT);

    assert!(of("nul").event_id.unwrap().as_str().starts_with("sha256:"));
    assert_eq!(of("no_event_id").event_id, None);
    assert_eq!(of("no_event_id_no_time").event_time, None);
}

#[test]
fn a_reshaped_body_is_received_with_two_lines_of_configuration() {
    let options = EnvelopeOptions {
        event_type: vec!["/event".to_owned()],
        incident_id: vec!["/content/id".to_owned()],
        ..EnvelopeOptions::default()
    };
    let rules = EnvelopeRules::new(options).unwrap();

    let envelope = rules.read(&sample("custom_body")).unwrap();
    assert_eq!(envelope.event_type.as_str(), "i_ack");
    assert_eq!(envelope.subject.unwrap().to_string(), INCIDENT);
    assert_eq!(envelope.event_id, None);

    let envelope = rules.read(&sample("custom_body_placeholders")).unwrap();
    assert_eq!(envelope.subject, None);
    assert_eq!(envelope.placeholders, ["incident_id"]);
}

#[test]
fn absent_values_make_way_for_the_next_pointer_and_then_for_the_literal() {
    let options = EnvelopeOptions {
        event_type: ["i_literal", "/a", "/b/0"].map(str::to_owned).into(),
        ..EnvelopeOptions::default()
    };
    let rules = EnvelopeRules::new(options).unwrap();
    for absent in [
        "null",
        "\"\"",
        "\" \\t\"",
        "{}",
        "[]",
        "\"{{event_type}}\"",
        "\"x {{\"",
    ] {
        let with_next = format!(r#"{{"a":{absent},"b":["next"]}}"#);
        let envelope = rules.read(with_next.as_bytes()).unwrap();
        assert_eq!(envelope.event_type.as_str(), "next", "{absent}");
        let expected: &[&str] = if absent.contains("{{") {
            &["event_type"]
        } else {
            &[]
        };
        assert_eq!(envelope.placeholders, expected, "{absent}");

        let alone = format!(r#"{{"a":{absent}}}"#);
        assert_eq!(
            rules.read(alone.as_bytes()).unwrap().event_type.as_str(),
            "i_literal"
        );
    }
}

#[test]
fn numbers_and_booleans_are_ids_by_their_text() {
    for (raw, expected) in [("7", "7"), ("-0.10e+5", "-0.10e+5"), ("true", "true")] {
        let envelope = read(&format!(r#"{{"event_type":"i_new","event_id": {raw} }}"#));
        assert_eq!(text(envelope.event_id.as_ref()), Some(expected));
    }
}

#[test]
fn the_subject_of_a_body_with_both_follows_the_type() {
    let subject = |kind: &str, rest: &str| {
        let body = format!(r#"{{"event_type":"{kind}",{rest}}}"#);
        read(&body).subject.map(|subject| subject.to_string())
    };
    let incident = r#""incident":{"incident_id":"1"}"#;
    let alert = r#""alert":{"alert_id":"2","incident":{"incident_id":"3"}}"#;
    let both = format!("{incident},{alert}");
    assert_eq!(subject("i_new", &both).as_deref(), Some("incident:1"));
    assert_eq!(subject("a_new", &both).as_deref(), Some("alert:2"));
    assert_eq!(subject("other", &both).as_deref(), Some("incident:1"));
    assert_eq!(subject("i_new", alert).as_deref(), Some("alert:2"));
    assert_eq!(subject("a_new", incident).as_deref(), Some("incident:1"));
    assert_eq!(subject("i_new", r#""x":1"#), None);
}

#[test]
fn refusals_say_what_is_wrong_where_and_what_to_do() {
    let refusal = |body: &[u8]| rules().read(body).unwrap_err().to_string();
    insta::assert_snapshot!(refusal(b""), @"the body is not JSON: it is empty, an object is missing at line 1, column 1; if it was reshaped in Flashduty, check quotes and commas there");
    insta::assert_snapshot!(refusal(b"{\"a\": 1,\n \"b\": {{event_type}}}"), @"the body is not JSON: key must be a string at line 2, column 8; if it was reshaped in Flashduty, check quotes and commas there");
    insta::assert_snapshot!(refusal(b"{\"a\": \"x"), @"the body is not JSON: EOF while parsing a string at line 1, column 8; if it was reshaped in Flashduty, check quotes and commas there");
    insta::assert_snapshot!(refusal(b"{\"a\":\n\"\xff\"}"), @"the body is not JSON: a byte that is not UTF-8 at line 2, column 2; if it was reshaped in Flashduty, check quotes and commas there");
    insta::assert_snapshot!(refusal(b"[{}]"), @"the body is an array, not an object with an event type");
    insta::assert_snapshot!(refusal(b" null"), @"the body is null, not an object with an event type");
    insta::assert_snapshot!(refusal(b"{}"), @"the body has no event type; say in envelope.event_type where it stands, or give a literal");
}

#[test]
fn what_is_valid_json_is_never_refused_as_no_json() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for value in [
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\u0000""#,
        "1e400",
        "-0",
        &deep,
        r#"{"$serde_json::private::RawValue":1}"#,
        r#"{"\ud800":[{"":{}}]}"#,
    ] {
        for name in ["x", "event_id", "event_time", "incident", "alert"] {
            let body = format!(r#"{{"event_type":"i_new","{name}":{value}}}"#);
            assert_eq!(rules().read(body.as_bytes()).map(|_| ()), Ok(()), "{name}");
            View::read(body.as_bytes());
        }
    }
    for tail in ["x", "{}", ",", "\0"] {
        let body = format!(r#"{{"event_type":"i_new"}}{tail}"#);
        assert!(matches!(
            rules().read(body.as_bytes()),
            Err(Unreadable::NotJson { .. })
        ));
    }
}

#[test]
fn a_wrong_option_is_named_with_what_is_allowed() {
    let refusal = |change: fn(&mut EnvelopeOptions)| {
        let mut options = EnvelopeOptions::default();
        change(&mut options);
        EnvelopeRules::new(options).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refusal(|o| o.alert_id = vec!["/a~b".to_owned()]), @r#"envelope.alert_id: "/a~b" has a ~ that is not followed by 0 or 1; allowed is a JSON pointer (RFC 6901) such as "/incident/incident_id", or one literal value without a leading slash"#);
    insta::assert_snapshot!(refusal(|o| o.event_id.push("x".to_owned())), @r#"envelope.event_id: "x" would make every push a duplicate of the first; allowed is a JSON pointer (RFC 6901) such as "/event_id""#);
    insta::assert_snapshot!(refusal(|o| o.event_time.push("noon".to_owned())), @r#"envelope.event_time: "noon" is no time; allowed is a JSON pointer (RFC 6901) such as "/event_time", or a literal in seconds, milliseconds or microseconds since 1970"#);
    insta::assert_snapshot!(refusal(|o| o.event_type.clear()), @r#"envelope.event_type: "" is an empty list, with which every push would be refused; allowed is at least one JSON pointer (RFC 6901) such as "/event_type", or a literal"#);
    insta::assert_snapshot!(refusal(|o| o.commands.push(" ".to_owned())), @r#"admission.commands: " " is blank; allowed is an event type such as "i_custom""#);
    for entry in ["", "{{event_type}}"] {
        let options = EnvelopeOptions {
            event_type: vec![entry.to_owned()],
            ..Default::default()
        };
        assert!(EnvelopeRules::new(options).is_err(), "{entry:?}");
    }
    let options = EnvelopeOptions {
        event_type: vec!["a".to_owned(), "b".to_owned()],
        ..EnvelopeOptions::default()
    };
    assert!(EnvelopeRules::new(options).is_err());
}

#[test]
fn an_id_makes_the_key_whatever_else_the_body_says() {
    let key = |body: &str, tag| read(body).key(&route(tag, None), body.as_bytes()).unwrap();
    let first = key(
        r#"{"event_type":"i_new","event_id":"e","event_time":1}"#,
        None,
    );
    assert_eq!(first, key(r#"{"event_id":"e","event_type":"i_ack"}"#, None));
    assert_ne!(
        first,
        key(
            r#"{"event_id":"f","event_type":"i_new","event_time":1}"#,
            None
        )
    );

    let elsewhere = key(r#"{"event_type":"i_new","event_id":"e"}"#, Some("team-a"));
    assert_ne!(first, elsewhere);
    assert_eq!(first.0[..8], id_prefix("e"));
    assert_eq!(elsewhere.0[..8], id_prefix("e"));
}

#[test]
fn an_id_inside_the_incident_needs_type_and_time_to_make_a_key() {
    let key = |rest: &str| {
        let body = format!(r#"{{"incident":{{"event_id":"e"}},{rest}}}"#);
        read(&body).key(&Route::default(), body.as_bytes())
    };
    let first = key(r#""event_type":"i_custom","event_time":1775980860137"#).unwrap();
    assert_eq!(
        key(r#""event_time":1775980860137,"event_type":"i_custom""#),
        Some(first)
    );
    assert_ne!(
        key(r#""event_type":"i_custom","event_time":1775980860138"#),
        Some(first)
    );
    assert_ne!(
        key(r#""event_type":"i_ack","event_time":1775980860137"#),
        Some(first)
    );
    assert_ne!(
        key(r#""event_type":"i_custom","event_time":1775980860137,"event_id":"e""#),
        Some(first)
    );
    assert_eq!(first.0[..8], id_prefix("e"));
    assert_eq!(key(r#""event_type":"i_custom""#), None);
}

#[test]
fn without_an_id_the_body_stands_for_it_if_it_has_a_time() {
    let key = |body: &str| read(body).key(&Route::default(), body.as_bytes());
    let first = key(r#"{"event_type":"i_new","event_time":1775980860}"#);
    assert!(first.is_some());
    assert_eq!(
        key(r#"{"event_type":"i_new","event_time":1775980860}"#),
        first
    );
    assert_ne!(
        key(r#"{"event_type":"i_new", "event_time":1775980860}"#),
        first
    );
    assert_eq!(key(r#"{"event_type":"i_new","event_time":0}"#), None);
}

#[test]
fn an_id_that_is_shown_as_its_digest_is_found_by_both() {
    for raw in ["nul\0id", "two words", &"x".repeat(1 << 20)] {
        assert_eq!(id_prefix(raw), id_prefix(Id::new(raw).as_str()));
    }
}

#[test]
fn a_million_bytes_in_any_field_are_read_and_short_ids_come_out() {
    let long = "x".repeat(1 << 20);
    let body = format!(
        r#"{{"event_type":"{long}","event_id":"{long}","event_time":"{long}","incident":{{"incident_id":"{long}"}}}}"#
    );
    let envelope = read(&body);
    assert_eq!(envelope.event_id.unwrap().as_str().len(), 71);
    assert_eq!(envelope.event_type.as_str().len(), 71);
    assert_eq!(envelope.event_time, None);
}
