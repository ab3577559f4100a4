//! The envelope: what is JSON is read as `serde_json` reads it, and a key stands for what it stands for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use flashduty_receiver::envelope::view::View;
use flashduty_receiver::envelope::{
    Envelope, EnvelopeOptions, EnvelopeRules, Unreadable, id_prefix,
};
use flashduty_receiver::event::{Id, MAX_ID_BYTES, Route, Subject};
use flashduty_receiver::words::exact_json;
use serde_json::Value;
use serde_json::value::RawValue;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

static RULES: LazyLock<EnvelopeRules> = LazyLock::new(|| {
    EnvelopeRules::new(EnvelopeOptions::default()).expect("the built-in places can be used")
});

/// Reads a body.
pub fn check(body: &[u8]) {
    let read = RULES.read(body);
    let marked = body.strip_prefix(BYTE_ORDER_MARK);
    let text = std::str::from_utf8(marked.unwrap_or(body)).ok();
    let is_json = text.is_some_and(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    let is_refused = matches!(read, Err(Unreadable::NotJson { .. }));
    assert_eq!(is_refused, !is_json, "what is JSON is read: {read:?}");
    match &read {
        Ok(envelope) => {
            a_key_stands_for_the_event(envelope, body);
            // A name by which `Value` would take a string for what it says.
            let text = text.filter(|text| !text.contains("$serde_json"));
            let tree = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(tree) = tree {
                the_tree_agrees(envelope, &tree);
            }
        }
        Err(error) => a_refusal_says_where(error, body),
    }

    let spaced = RULES.read(&[body, b" \r\n"].concat());
    assert_eq!(spaced.ok().as_ref(), read.as_ref().ok(), "space is nothing");
    if marked.is_none() {
        let marked = RULES.read(&[BYTE_ORDER_MARK, body].concat());
        assert_eq!(marked.ok().as_ref(), read.as_ref().ok(), "nor is a mark");
    }

    let labels = View::read(body).labels;
    let names: BTreeSet<&str> = labels.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names.len(), labels.len(), "a label is there once");
    assert!(exact_json(body).is_none() || is_json, "no tree of no JSON");
}

fn a_refusal_says_where(error: &Unreadable, body: &[u8]) {
    let Unreadable::NotJson { line, column, what } = error else {
        return;
    };
    let lines = 1 + body.iter().filter(|byte| **byte == b'\n').count();
    assert!((1..=lines).contains(line), "{error:?}");
    assert!(*column <= body.len() + 1 && !what.is_empty(), "{error:?}");
}

fn a_key_stands_for_the_event(envelope: &Envelope, body: &[u8]) {
    let tagged = Route {
        tag: Some("ops".into()),
        query: None,
    };
    let key = envelope.key(&Route::default(), body);
    let elsewhere = envelope.key(&tagged, body);
    let longer = envelope.key(&Route::default(), &[body, b" "].concat());
    assert_eq!(key, envelope.key(&Route::default(), body));
    assert_eq!(key.is_some(), elsewhere.is_some());
    let (Some(key), Some(elsewhere)) = (key, elsewhere) else {
        assert_eq!(envelope.event_time, None, "a time and a body make a key");
        return;
    };
    assert_ne!(key, elsewhere, "a route has its own events");
    assert_eq!(key.0[..8], elsewhere.0[..8], "and an id is found on each");
    match &envelope.event_id {
        Some(id) => {
            assert_eq!(longer, Some(key), "an id stands for the event");
            assert_eq!(key.0[..8], id_prefix(id.as_str()));
        }
        None => assert_ne!(longer, Some(key), "the body stands for it"),
    }
}

/// What the tree says of a field.
enum Said {
    Nothing,
    Text(String),
    /// A number of which the tree has lost how it was written.
    Lost,
}

fn the_tree_agrees(envelope: &Envelope, tree: &Value) {
    let event_type = said(tree, &["/event_type"]);
    is_what_was_said(&event_type, Some(&envelope.event_type));
    let outer = said(tree, &["/event_id"]);
    let id = said(
        tree,
        &["/event_id", "/incident/event_id", "/alert/event_id"],
    );
    is_what_was_said(&id, envelope.event_id.as_ref());
    if !matches!(outer, Said::Lost) {
        let nested = matches!(outer, Said::Nothing) && envelope.event_id.is_some();
        assert_eq!(envelope.nested_id, nested);
    }
    let incident = said(tree, &["/incident/incident_id"]);
    let alert = said(tree, &["/alert/alert_id"]);
    if matches!(incident, Said::Lost) || matches!(alert, Said::Lost) {
        return;
    }
    let incident = text(incident).map(|id| Subject::Incident(Id::new(&id)));
    let alert = text(alert).map(|id| Subject::Alert(Id::new(&id)));
    let expected = match envelope.event_type.as_str().starts_with("a_") {
        true => alert.or(incident),
        false => incident.or(alert),
    };
    assert_eq!(envelope.subject, expected);
}

fn said(tree: &Value, pointers: &[&str]) -> Said {
    for pointer in pointers {
        let text = match tree.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(word)) => word.to_string(),
            Some(Value::Number(number)) if number.is_f64() => return Said::Lost,
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        if !text.trim().is_empty() && !text.contains("{{") {
            return Said::Text(text);
        }
    }
    Said::Nothing
}

fn text(said: Said) -> Option<String> {
    match said {
        Said::Text(text) => Some(text),
        Said::Nothing | Said::Lost => None,
    }
}

fn is_what_was_said(said: &Said, id: Option<&Id>) {
    if let Some(id) = id {
        let id = id.as_str();
        let fits = (1..=MAX_ID_BYTES).contains(&id.len());
        assert!(fits && id.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    match said {
        Said::Lost => {}
        Said::Nothing => assert_eq!(id, None),
        Said::Text(text) => assert_eq!(id, Some(&Id::new(text))),
    }
}
