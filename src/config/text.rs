//! Reading values that are written as one TOML string.

use serde::{Deserialize as _, Deserializer, de::Error as _};

/// Reads a string; a bare number is refused with what `number_hint` says about it.
///
/// Going through [`toml::Value`] gives one wording for every other type.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
    number_hint: impl FnOnce(i64) -> String,
) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Err(D::Error::custom(number_hint(number))),
        other => Err(D::Error::custom(is_no_string(&other))),
    }
}

/// Reads a string; a bare number is refused like every other type.
pub(super) fn read_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, |number| {
        is_no_string(&toml::Value::Integer(number))
    })
}

/// Says what stands there instead of a string.
pub(super) fn is_no_string(value: &toml::Value) -> String {
    format!("is of type {}, where a string belongs", value.type_str())
}

/// Splits `text` behind its longest beginning whose characters all satisfy `belongs`.
pub(super) fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}
