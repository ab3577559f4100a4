//! What of an answer is remembered: texts and numbers that pointers lead to, digit for digit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The longest value that is remembered, in bytes.
const MAX_BYTES: usize = 1024;

/// A name, and the JSON pointer (RFC 6901) to its value.
#[derive(Debug)]
pub(super) struct Wish {
    name: String,
    path: Vec<String>,
}

impl Wish {
    /// `None` when `pointer` is no JSON pointer.
    pub(super) fn new(name: &str, pointer: &str) -> Option<Self> {
        let path = match pointer {
            "" => Vec::new(),
            _ => pointer
                .strip_prefix('/')?
                .split('/')
                .map(unescaped)
                .collect::<Option<_>>()?,
        };
        Some(Self {
            name: name.to_owned(),
            path,
        })
    }
}

/// A tilde is followed by 0, for itself, or by 1, for a slash.
fn unescaped(segment: &str) -> Option<String> {
    let bad = segment
        .split('~')
        .skip(1)
        .any(|behind| !behind.starts_with(['0', '1']));
    (!bad).then(|| segment.replace("~1", "/").replace("~0", "~"))
}

/// The names and values that `answer` has for `wishes`.
pub(super) fn remembered(wishes: &[Wish], answer: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for wish in wishes {
        match value(answer, &wish.path) {
            Ok(value) => found.push((wish.name.clone(), value)),
            Err(why) => tracing::debug!("{} is not remembered: {why}", wish.name),
        }
    }
    found
}

fn value(answer: &[u8], path: &[String]) -> Result<String, &'static str> {
    let mut at: &RawValue = serde_json::from_slice(answer).map_err(|_| "the answer is no JSON")?;
    for segment in path {
        at = member(at.get(), segment).ok_or("the answer does not have it")?;
    }
    let raw = at.get();
    let value = match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).map_err(|_| "it is no text")?,
        Some(b'-' | b'0'..=b'9') => raw.to_owned(),
        _ => return Err("it is neither a text nor a number"),
    };
    if value.len() > MAX_BYTES {
        return Err("it is longer than 1 KiB");
    }
    Ok(value)
}

/// What stands at `segment` of an object or a list. Only what is passed through is read.
fn member<'a>(json: &'a str, segment: &str) -> Option<&'a RawValue> {
    if json.starts_with('{') {
        let members: BTreeMap<Cow<'_, str>, &'a RawValue> = serde_json::from_str(json).ok()?;
        return members.get(segment).copied();
    }
    let is_index = segment == "0" || !segment.starts_with(['0', '+']);
    let index: usize = segment.parse().ok().filter(|_| is_index)?;
    let items: Vec<&'a RawValue> = serde_json::from_str(json).ok()?;
    items.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pointer: &str, answer: &str) -> Option<String> {
        let wishes = [Wish::new("ticket", pointer).unwrap()];
        let found = remembered(&wishes, answer.as_bytes());
        found.into_iter().next().map(|(_, value)| value)
    }

    #[test]
    fn texts_are_taken_as_they_are_and_numbers_digit_for_digit() {
        let answer = r#"{"key":"OPS-1 \"磁盘\"","id":123456789012345678901234567890,
            "f":1.50,"list":[{"a/b":7,"~":8}],"\u006bey2":"x"}"#;
        assert_eq!(one("/key", answer).unwrap(), "OPS-1 \"磁盘\"");
        assert_eq!(
            one("/id", answer).unwrap(),
            "123456789012345678901234567890"
        );
        assert_eq!(one("/f", answer).unwrap(), "1.50");
        assert_eq!(one("/list/0/a~1b", answer).unwrap(), "7");
        assert_eq!(one("/list/0/~0", answer).unwrap(), "8");
        assert_eq!(one("/key2", answer).unwrap(), "x");
        assert_eq!(one("", "\"whole\"").unwrap(), "whole");
    }

    #[test]
    fn nothing_else_is_remembered() {
        let long = format!(r#"{{"key":"{}"}}"#, "x".repeat(MAX_BYTES + 1));
        for answer in [
            "",
            "not json",
            "{}",
            r#"{"key":null}"#,
            r#"{"key":true}"#,
            r#"{"key":["x"]}"#,
            r#"{"key":{"x":1}}"#,
            r#"{"key":"\ud800"}"#,
            long.as_str(),
        ] {
            assert_eq!(one("/key", answer), None, "{answer}");
        }
        for pointer in ["/list/01", "/list/-", "/list/+0", "/list/1", "/list/0/x"] {
            assert_eq!(one(pointer, r#"{"list":[1]}"#), None, "{pointer}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_told() {
        for pointer in ["key", "/a~2", "/~"] {
            assert!(Wish::new("ticket", pointer).is_none(), "{pointer}");
        }
    }
}
