//! `[sink.NAME]`: where events are delivered.
//!
//! The key `type` decides which other keys a table may have, so a sink is read by its type, never
//! as an untagged union.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use toml::Value;

use super::{duration, text};
use crate::sink::line::LabelStyle;

/// The sink that is there without being configured.
pub const LOG_SINK: &str = "log";

/// A configured sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Sink {
    /// One line on standard output for each event.
    Log(LogSink),
}

impl Sink {
    /// Whether anything is delivered to it.
    pub fn is_enabled(&self) -> bool {
        match self {
            Self::Log(log) => log.enabled,
        }
    }

    /// Whether it gets events that were overtaken by later ones.
    pub fn includes_stale(&self) -> bool {
        match self {
            Self::Log(log) => log.include_stale,
        }
    }
}

/// A sink of type `log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogSink {
    /// Whether anything is delivered to it.
    pub enabled: bool,
    /// How an event's labels are written.
    #[serde(
        serialize_with = "serialize_labels",
        deserialize_with = "deserialize_labels"
    )]
    #[schemars(with = "Labels")]
    pub labels: LabelStyle,
    /// Whether events that were overtaken by later ones are delivered too.
    pub include_stale: bool,
    /// Events older than this are not delivered any more; by default none is too old.
    #[serde(
        serialize_with = "duration::serialize_option",
        deserialize_with = "duration::deserialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "duration::Text", extend("x-min" = "1s", "x-max" = "3650d"))]
    pub max_age: Option<Duration>,
}

impl Default for LogSink {
    fn default() -> Self {
        Self {
            enabled: true,
            labels: LabelStyle::Object,
            include_stale: false,
            max_age: None,
        }
    }
}

/// Writes the word, or the keys to lift out.
fn serialize_labels<S: Serializer>(style: &LabelStyle, serializer: S) -> Result<S::Ok, S::Error> {
    match style {
        LabelStyle::Object => serializer.serialize_str("object"),
        LabelStyle::String => serializer.serialize_str("string"),
        LabelStyle::Lift(keys) => keys.serialize(serializer),
    }
}

/// Reads the word, or the keys to lift out.
fn deserialize_labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LabelStyle, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(word) if word == "object" => Ok(LabelStyle::Object),
        Value::String(word) if word == "string" => Ok(LabelStyle::String),
        Value::String(_) => Err(D::Error::custom("is an unknown word")),
        Value::Array(keys) => lift(keys).map(LabelStyle::Lift).map_err(D::Error::custom),
        other => Err(D::Error::custom(text::is_no_string(&other))),
    }
}

fn lift(keys: Vec<Value>) -> Result<Vec<String>, &'static str> {
    let mut names = Vec::with_capacity(keys.len());
    for key in keys {
        match key {
            Value::String(name) if name.trim().is_empty() => return Err("has an empty key"),
            Value::String(name) if names.contains(&name) => return Err("names a key twice"),
            Value::String(name) => names.push(name),
            _ => return Err("has a key that is no string"),
        }
    }
    Ok(names)
}

/// How the key `labels` appears in the schema.
struct Labels;

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": ["object", "string"] },
                { "type": "array", "items": { "type": "string" } },
            ],
            "x-allowed": "\"object\", \"string\", or a list of label keys",
        })
    }
}
