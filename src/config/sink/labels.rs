//! The key `labels`: how an event's labels are written into its line.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};
use toml::Value;

use super::super::text;
use crate::sink::line::LabelStyle;

/// Writes the word, or the keys to lift out.
pub(super) fn serialize<S: Serializer>(
    style: &LabelStyle,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match style {
        LabelStyle::Object => serializer.serialize_str("object"),
        LabelStyle::String => serializer.serialize_str("string"),
        LabelStyle::Lift(keys) => keys.serialize(serializer),
    }
}

/// Reads the word, or the keys to lift out.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<LabelStyle, D::Error> {
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

/// How the key appears in the schema.
pub(super) struct Labels;

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
