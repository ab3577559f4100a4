//! Walks JSON text without building it: names and values come out as slices of the body.
//!
//! Every value is checked against the whole grammar while it is skipped, at any depth and without
//! recursion. Numbers stay the digits they came as. Half a surrogate pair is valid grammar, so it
//! fails nothing; only who asks for that very string gets replacement characters.

use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The kind of the valid JSON value `raw`.
pub(super) fn kind(raw: &str) -> Kind {
    match raw.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        _ => Kind::Null,
    }
}

/// The body as text without its byte order mark.
pub(super) fn text(body: &[u8]) -> Result<&str, Utf8Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body)
}

/// Calls `each` with the name and value of every member, in the order they stand, duplicates too.
///
/// Fails when `raw` is not exactly one valid object.
pub(super) fn members<'a>(
    raw: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(raw);
    json.deserialize_map(Members(each))?;
    json.end()
}

/// Calls `each` with the position and value of every element.
///
/// Fails when `raw` is not exactly one valid array.
pub(super) fn elements<'a>(
    raw: &'a str,
    each: impl FnMut(usize, &'a str),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(raw);
    json.deserialize_seq(Elements(each))?;
    json.end()
}

/// Checks that `raw` is exactly one valid JSON value.
pub(super) fn check(raw: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(raw).map(drop)
}

/// The text of a valid JSON string, borrowed unless it holds an escape.
pub(super) fn unquote(raw: &str) -> Cow<'_, str> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(raw);
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    // As bytes, because only then the parser lets half a surrogate pair through.
    let mut json = serde_json::Deserializer::from_str(raw);
    json.deserialize_bytes(Lossy)
        .map_or(Cow::Borrowed(inner), Cow::Owned)
}

struct Members<F>(F);

impl<'a, F: FnMut(Cow<'a, str>, &'a str)> Visitor<'a> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&'a RawValue, &'a RawValue>()? {
            (self.0)(unquote(name.get()), value.get());
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'a, F: FnMut(usize, &'a str)> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = seq.next_element::<&'a RawValue>()? {
            (self.0)(index, value.get());
            index += 1;
        }
        Ok(())
    }
}

struct Lossy;

impl Visitor<'_> for Lossy {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_with_their_bytes() {
        let mut seen = Vec::new();
        members(
            r#" {"a" : 1e400, "\u0061":[ {} ] ,"":"\ud800"} "#,
            |name, value| {
                seen.push((name.into_owned(), value));
            },
        )
        .unwrap();
        let expected = [("a", "1e400"), ("a", "[ {} ]"), ("", r#""\ud800""#)];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn elements_come_with_their_position() {
        let mut seen = Vec::new();
        elements("[7, [8],null]", |index, value| seen.push((index, value))).unwrap();
        assert_eq!(seen, [(0, "7"), (1, "[8]"), (2, "null")]);
    }

    #[test]
    fn what_is_not_the_whole_grammar_is_refused() {
        for raw in [
            "",
            "{",
            "{}x",
            "{\"a\":01}",
            "{'a':1}",
            "{\"a\":\"\n\"}",
            "{\"a\":1,}",
            "[1]",
        ] {
            assert!(members(raw, |_, _| {}).is_err(), "{raw}");
        }
    }

    #[test]
    fn nesting_a_million_deep_is_walked_without_recursion() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        members(&deep, |_, value| assert_eq!(value.len(), 2 << 20)).unwrap();
        assert!(check(&"[".repeat(1 << 20)).is_err());
    }

    #[test]
    fn a_string_is_borrowed_unless_it_holds_an_escape() {
        assert!(matches!(unquote("\"plain ü\""), Cow::Borrowed("plain ü")));
        assert_eq!(unquote(r#""a\n\u0000\ud83d\ude00""#), "a\n\0\u{1f600}");
        assert!(unquote(r#""half \ud83d.""#).starts_with("half \u{fffd}"));
    }
}
