//! What reading a body guarantees for arbitrary JSON; `serde_json::Value` is the oracle where it
//! keeps what was written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::view::View;
use super::*;
use crate::event::{Key, Route};

fn rules() -> EnvelopeRules {
    EnvelopeRules::new(EnvelopeOptions::default()).unwrap()
}

/// What a key is made of; the time is one that can be compared.
fn key_parts() -> impl Strategy<Value = (Route, Option<String>, String, Option<i64>, bool)> {
    let small = "[ab]{0,2}";
    let route =
        (proptest::option::of(small), proptest::option::of(small)).prop_map(|(tag, query)| Route {
            tag: tag.map(Into::into),
            query: query.map(Into::into),
        });
    (
        route,
        proptest::option::of("[ab]{1,2}"),
        small,
        proptest::option::of(1..3_i64),
        any::<bool>(),
    )
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_what_they_stand_for_is(a in key_parts(), b in key_parts()) {
        let made = |parts: &(Route, Option<String>, String, Option<i64>, bool)| {
            let (route, id, kind, time, nested) = parts.clone();
            let nested_id = nested && id.is_some();
            let envelope = Envelope {
                event_id: id.as_deref().map(Id::new),
                event_type: Id::new(&kind),
                event_time: time,
                subject: None,
                command: false,
                placeholders: Vec::new(),
                nested_id,
            };
            let key: Option<Key> = envelope.key(&route, kind.as_bytes());
            let stands_for = match (id, time) {
                (Some(id), _) if !nested_id => Some((route, Some(id), None, None)),
                (Some(id), Some(time)) => Some((route, Some(id), Some(kind), Some(time))),
                (None, Some(_)) => Some((route, None, Some(kind), None)),
                (_, None) => None,
            };
            (key, stands_for)
        };
        let (key_a, stands_a) = made(&a);
        let (key_b, stands_b) = made(&b);
        prop_assert_eq!(key_a.is_some(), stands_a.is_some());
        prop_assert_eq!(key_a == key_b, stands_a == stands_b);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let parsed = serde_json::from_slice::<Value>(&body);
        if matches!(rules().read(&body), Err(Unreadable::NotJson { .. })) {
            prop_assert!(parsed.is_err());
        }
        View::read(&body);
    }

    #[test]
    fn any_value_in_any_field_is_read_as_the_oracle_reads_it(body in pushes()) {
        let text = body.write();
        let value: Value = serde_json::from_str(&text).unwrap();
        let oracle = |pointers: &[&str]| {
            pointers.iter().find_map(|pointer| present(value.pointer(pointer)?))
        };
        let result = rules().read(text.as_bytes());
        View::read(text.as_bytes());
        let Some(event_type) = oracle(&["/event_type"]) else {
            prop_assert_eq!(result, Err(Unreadable::NoEventType));
            return Ok(());
        };
        let envelope = result.unwrap();
        prop_assert_eq!(&envelope.event_type, &event_type);
        let ids = ["/event_id", "/incident/event_id", "/alert/event_id"];
        prop_assert_eq!(&envelope.event_id, &oracle(&ids));
        let nested = oracle(&ids[..1]).is_none() && envelope.event_id.is_some();
        prop_assert_eq!(envelope.nested_id, nested);
        let incident = oracle(&["/incident/incident_id"]).map(Subject::Incident);
        let alert = oracle(&["/alert/alert_id"]).map(Subject::Alert);
        let expected = if event_type.as_str().starts_with("a_") {
            alert.or(incident)
        } else {
            incident.or(alert)
        };
        prop_assert_eq!(envelope.subject, expected);
    }

    #[test]
    fn a_body_shows_what_it_shows_when_nothing_is_named_twice(body in pushes()) {
        // `Value` keeps the last of equal names, in another order.
        let value: Value = serde_json::from_str(&body.write()).unwrap();
        let (twice, once) = (body.write(), value.to_string());
        let sorted = |text| {
            let mut view = View::read(text);
            view.labels.sort();
            view
        };
        prop_assert_eq!(sorted(twice.as_bytes()), sorted(once.as_bytes()));
    }

    #[test]
    fn labels_keep_their_order_and_their_last_value(
        pairs in proptest::collection::vec(("[a-f\"]{0,2}", "\\PC{0,3}"), 0..120)
    ) {
        let members: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
        let body = format!(r#"{{"incident":{{"labels":{{{}}}}}}}"#, members.join(","));
        let labels = View::read(body.as_bytes()).labels;

        let last: BTreeMap<_, _> = pairs.iter().cloned().collect();
        let mut order: Vec<&str> = Vec::new();
        for (name, _) in &pairs {
            if !order.contains(&name.as_str()) {
                order.push(name);
            }
        }
        let expected: Vec<(&str, &str)> =
            order.into_iter().map(|name| (name, last[name].as_str())).collect();
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        prop_assert_eq!(labels, expected);
    }
}

fn present(value: &Value) -> Option<Id> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(word) => word.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.trim().is_empty() && !text.contains("{{")).then(|| Id::new(&text))
}

/// JSON whose objects may name a member twice, which `Value` cannot hold.
#[derive(Debug, Clone)]
enum Raw {
    Scalar(Value),
    List(Vec<Raw>),
    Object(Vec<(String, Raw)>),
}

impl Raw {
    fn write(&self) -> String {
        match self {
            Self::Scalar(value) => value.to_string(),
            Self::List(list) => {
                format!(
                    "[ {}]",
                    list.iter().map(Raw::write).collect::<Vec<_>>().join(" ,")
                )
            }
            Self::Object(members) => {
                let member =
                    |(name, value): &(String, Raw)| format!("{}: {}", json!(name), value.write());
                format!(
                    "{{{}\n}}",
                    members.iter().map(member).collect::<Vec<_>>().join(",")
                )
            }
        }
    }
}

fn pushes() -> impl Strategy<Value = Raw> {
    let name = prop_oneof![
        8 => proptest::sample::select(vec![
            "event_id", "event_type", "event_time", "incident", "alert", "incident_id",
            "alert_id", "person", "labels", "title", "responders", "channel_id",
            "person_name", "close_time",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let scalar = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!(" ")),
        Just(json!("{{x}}")),
        Just(json!("a_new")),
        Just(json!("i_new")),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let leaf = scalar.prop_map(Raw::Scalar);
    let any_value = leaf.prop_recursive(3, 40, 8, {
        let name = name.clone();
        move |inner| {
            prop_oneof![
                1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Raw::List),
                4 => proptest::collection::vec((name.clone(), inner), 0..8).prop_map(Raw::Object),
            ]
        }
    });
    proptest::collection::vec((name, any_value), 0..12).prop_map(Raw::Object)
}
