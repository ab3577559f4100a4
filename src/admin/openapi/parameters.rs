//! Parameters by name: each means the same wherever it is taken, but for one.

use serde_json::{Value, json};

use crate::admin::api::{OUTCOMES, STATES};
use crate::admin::params::{DEFAULT_LIMIT, MAX_LIMIT};

/// What a parameter of a query means, and what it may be.
pub(super) fn of_query(name: &str) -> Value {
    optional(name, told(name))
}

/// `source` where events are searched: it may be a block as well.
pub(super) fn source_or_block() -> Value {
    let schema = json!({ "anyOf": [
        { "type": "string", "format": "ipv4" },
        { "type": "string", "format": "ipv6" },
        { "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$" },
    ] });
    optional(
        "source",
        ("From this client address, or this block.", schema),
    )
}

fn optional(name: &str, (description, schema): (&str, Value)) -> Value {
    json!({
        "name": name,
        "in": "query",
        "required": false,
        "description": description,
        "schema": schema,
    })
}

/// The same of a path.
pub(super) fn of_path(name: &str) -> Value {
    let (description, schema) = match name {
        "seq" => ("An event's position.", whole()),
        "id" => ("An unreadable push's number.", whole()),
        _ => ("An incident or alert.", subject()),
    };
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": schema,
    })
}

fn told(name: &str) -> (&'static str, Value) {
    let text = || json!({ "type": "string" });
    match name {
        "cursor" => (
            "The `next_cursor` of the page before.",
            json!({ "type": "string", "pattern": "^[0-9]+([-~][0-9]+)*$" }),
        ),
        "limit" => (
            "Rows of a page at most.",
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": DEFAULT_LIMIT,
            }),
        ),
        "since" => ("At or after this time, or so long ago.", moment()),
        "until" => ("Before this time, or what it was so long ago.", moment()),
        "subject" => ("About this incident or alert.", subject()),
        "outcome" => (
            "Judged so.",
            json!({ "type": "string", "enum": OUTCOMES.map(|(word, _)| word) }),
        ),
        "state" => (
            "In this state.",
            json!({ "type": "string", "enum": STATES.map(|(word, _)| word) }),
        ),
        "seq" => ("Of the event at this position.", whole()),
        "after" => (
            "Behind this position.",
            json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        ),
        "source" => (
            "From this client address.",
            json!({ "anyOf": [
                { "type": "string", "format": "ipv4" },
                { "type": "string", "format": "ipv6" },
            ] }),
        ),
        "route" => (
            "To the URL that ends like this: `TAG`, `?QUERY`, `TAG?QUERY`, or nothing for the bare \
             path.",
            text(),
        ),
        "reason" => (
            "Whose reason holds this; the case of ASCII letters does not count.",
            text(),
        ),
        "text" => (
            "Which hold this text; the case of ASCII letters does not count.",
            json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
        ),
        "open" => (
            "Whether somebody still has to see to it.",
            json!({ "type": "boolean" }),
        ),
        "severity" => (
            "Of this severity by now; the case of ASCII letters does not count.",
            text(),
        ),
        "event_id" => ("With this id.", text()),
        "event_type" => ("Of this type.", text()),
        "sink" => ("To this sink.", text()),
        "action" => ("Such as `replay`.", text()),
        _ => ("As it is named.", text()),
    }
}

fn whole() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

fn subject() -> Value {
    json!({ "type": "string", "pattern": r"^(incident|alert):[\s\S]+$" })
}

/// More can be written as a span; who writes it differently is told how it may be.
fn moment() -> Value {
    json!({ "anyOf": [
        { "type": "string", "format": "date-time" },
        { "type": "string", "pattern": "^([0-9]{1,4}[dhms])+$" },
    ] })
}
