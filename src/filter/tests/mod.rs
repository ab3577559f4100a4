//! What filters promise, a sentence each.

mod explaining;
mod hostile;
mod language;
mod oracle;
mod properties;
mod refusals;

use serde_json::{Map, Value, json};

use super::{EvaluationError, Expression, Scope};
use crate::words::WORDS;

fn compile(source: &str) -> Expression {
    Expression::compile(source, &WORDS).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn refusal(source: &str) -> String {
    match Expression::compile(source, &WORDS) {
        Ok(_) => panic!("{source} was taken"),
        Err(error) => error.to_string(),
    }
}

fn map(tree: Value) -> Map<String, Value> {
    match tree {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// The words of an incident, most of them.
fn words() -> Map<String, Value> {
    map(json!({
        "event_id": "e1",
        "event_type": "i_new",
        "event_time": 1_777_888_800_000_i64,
        "severity": "Critical",
        "labels": {"team": "db", "host.name": "a1", "empty": ""},
        "channel_id": 1_552_048_792_504_i64,
        "person": {"id": 123, "name": "Li"},
        "stale": false,
        "replay": false,
        "push": {
            "event_type": "i_new",
            "one": 1.0,
            "half": 0.5,
            "nothing": null,
            "largest": u64::MAX,
            "beyond": "18446744073709551616",
            "incident": {
                "title": "disk almost full",
                "fields": {"x": [1, 2.5, "three"]},
                "responders": [
                    {"person_id": 1, "email": "li@example.com"},
                    {"person_id": 2},
                ],
            },
        },
    }))
}

fn evaluate(source: &str) -> Result<bool, EvaluationError> {
    compile(source).evaluate(&Scope::new(&words()))
}

#[track_caller]
fn assert_all(expected: Result<bool, ()>, sources: &[&str]) {
    for source in sources {
        let evaluated = evaluate(source);
        assert_eq!(
            evaluated.clone().map_err(|_| ()),
            expected,
            "{source}: {evaluated:?}"
        );
    }
}
