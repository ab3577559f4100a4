//! Conditions of sinks, compiled as they are read: a wrong one is refused with the place in it.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de::Error as _};

use super::super::text;
use crate::filter::Expression;
use crate::sink::http::ANSWER_NAMES as ANSWER;
use crate::words::WORDS;

/// What earlier answers said about the subject, by name.
const REMEMBERED: &str = "remembered";

/// The names a condition about an event may speak of, and what is remembered of its subject.
fn event_and_memory() -> Vec<&'static str> {
    WORDS.into_iter().chain([REMEMBERED]).collect()
}

/// Compiles a condition about an answer.
pub(super) fn compile_answer(source: &str) -> Result<Expression, String> {
    Expression::compile(source, &ANSWER).map_err(|error| error.to_string())
}

/// Compiles a condition about an event, with what is remembered.
pub(super) fn compile_skip(source: &str) -> Result<Expression, String> {
    Expression::compile(source, &event_and_memory()).map_err(|error| error.to_string())
}

pub(super) fn serialize<S: Serializer>(
    condition: &Arc<Expression>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(condition.source())
}

pub(super) fn serialize_option<S: Serializer>(
    condition: &Option<Arc<Expression>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match condition {
        Some(condition) => serialize(condition, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads a condition about an event; an empty one is none.
pub(super) fn event<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<Expression>>, D::Error> {
    optional(deserializer, |source| {
        Expression::compile(source, &WORDS).map_err(|error| error.to_string())
    })
}

/// Reads a condition about an event that may ask what is remembered; an empty one is none.
pub(super) fn skip<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<Expression>>, D::Error> {
    optional(deserializer, compile_skip)
}

/// Reads a condition about an answer.
pub(super) fn answer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<Expression>, D::Error> {
    let source = text::read_string(deserializer)?;
    compile_answer(&source)
        .map(Arc::new)
        .map_err(D::Error::custom)
}

fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
    compile: impl FnOnce(&str) -> Result<Expression, String>,
) -> Result<Option<Arc<Expression>>, D::Error> {
    let source = text::read_string(deserializer)?;
    if source.trim().is_empty() {
        return Ok(None);
    }
    let compiled = compile(&source).map_err(D::Error::custom)?;
    Ok(Some(Arc::new(compiled)))
}

fn described(about: &str) -> Schema {
    json_schema!({
        "type": "string",
        "x-allowed": format!("a condition in CEL over {about}"),
    })
}

/// How a condition about an event appears in the schema.
pub(super) struct OfEvent;

impl JsonSchema for OfEvent {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        described(&WORDS.join(", "))
    }
}

/// How a condition about an event appears that may ask what is remembered.
pub(super) struct OfMemory;

impl JsonSchema for OfMemory {
    fn schema_name() -> Cow<'static, str> {
        "Skip".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        described(&event_and_memory().join(", "))
    }
}

/// How a condition about an answer appears in the schema.
pub(super) struct OfAnswer;

impl JsonSchema for OfAnswer {
    fn schema_name() -> Cow<'static, str> {
        "Answer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        described(&ANSWER.join(", "))
    }
}
