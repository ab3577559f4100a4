//! Names of HTTP headers, and tables of headers with the values that will do for each.

use std::borrow::Cow;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

use super::secret::{self, HIDDEN};
use super::text;

pub(super) fn serialize<S: Serializer>(
    name: &HeaderName,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HeaderName, D::Error> {
    let text = text::read_string(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<HeaderName, &'static str> {
    HeaderName::try_from(text).map_err(|_| "is no name of a header")
}

/// Writes the names; every value is a secret.
pub(super) fn serialize_table<S: Serializer>(
    headers: &[(HeaderName, Vec<SecretString>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let hidden = |(name, values): &(HeaderName, Vec<SecretString>)| {
        (name.as_str().to_owned(), vec![HIDDEN; values.len()])
    };
    serializer.collect_map(headers.iter().map(hidden))
}

/// Reads headers with their values, in the order of their names, each once whatever its case.
pub(super) fn deserialize_table<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(HeaderName, Vec<SecretString>)>, D::Error> {
    let mut headers: Vec<(HeaderName, Vec<SecretString>)> = Vec::new();
    for (name, values) in toml::Table::deserialize(deserializer)? {
        let header = parse(&name).map_err(|fault| D::Error::custom(format!("{name:?} {fault}")))?;
        if headers.iter().any(|(known, _)| *known == header) {
            let fault = format!("{header} is given twice, in different spellings");
            return Err(D::Error::custom(fault));
        }
        headers.push((header, secret::read_list(values)?));
    }
    Ok(headers)
}

/// Writes the names; every value is a secret.
pub(super) fn serialize_fixed<S: Serializer>(
    headers: &[(HeaderName, SecretString)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let hidden = |(name, _): &(HeaderName, SecretString)| (name.as_str().to_owned(), HIDDEN);
    serializer.collect_map(headers.iter().map(hidden))
}

/// Reads headers that are sent, each with its one value.
pub(super) fn deserialize_fixed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(HeaderName, SecretString)>, D::Error> {
    let headers = deserialize_table(deserializer)?;
    let fixed = headers.into_iter().map(|(name, mut values)| {
        let value = values.pop().filter(|_| values.is_empty());
        let fault = || D::Error::custom(format!("{name} has not exactly one value"));
        let value = value.ok_or_else(fault)?;
        Ok((name, value))
    });
    fixed.collect()
}

/// How a table of headers with one value each appears in the schema.
pub(super) struct Fixed;

impl JsonSchema for Fixed {
    fn schema_name() -> Cow<'static, str> {
        "FixedHeaders".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<secret::Text>(),
            "x-allowed": "a table of header names, each with its value",
        })
    }
}

/// How a table of headers appears in the schema.
pub(super) struct Table;

impl JsonSchema for Table {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<secret::TextList>(),
            "x-allowed": "a table of header names, each with one value or a list of values",
        })
    }
}
