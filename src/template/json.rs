//! Values placed in JSON.
//!
//! Authors write `"title": {{ title }}` and `"text": "about {{ title }}"` alike, and both mean the
//! same title. Which of the two it is can only be told from what has been rendered before it, also
//! through loops and macros. So values are written as whole JSON values between two marks, and when
//! all is rendered, [`settle`] knows for each whether it stands between quotes. The marks are control
//! characters that JSON escapes and a template's source may not hold: no data can forge them.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};
use serde::de::IgnoredAny;

use super::{RenderError, is_captured};

/// serde reads no deeper either, so that no push holds more.
const MAX_DEPTH: usize = 128;

const BEGIN: char = '\u{1}';
const END: char = '\u{2}';

/// Writes `value` as JSON between marks.
pub(super) fn write(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if is_captured(value) {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    let value = text(value)?;
    Ok(write!(out, "{BEGIN}{value}{END}")?)
}

/// `value` as JSON.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    if is_deeper(value, MAX_DEPTH) {
        let what = "a value is nested too deeply";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Looks no deeper than `limit` itself. A lazy sequence is looked through as often as it is asked.
fn is_deeper(value: &Value, limit: usize) -> bool {
    let is_leaf = !matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    );
    if is_leaf {
        return false;
    }
    let Some(limit) = limit.checked_sub(1) else {
        return true;
    };
    value.try_iter().is_ok_and(|mut items| {
        items.any(|item| match value.kind() {
            ValueKind::Map => value
                .get_item(&item)
                .is_ok_and(|item| is_deeper(&item, limit)),
            _ => is_deeper(&item, limit),
        })
    })
}

/// What the text of a captured block says, with its values as text.
pub(super) fn unmarked(captured: &str) -> String {
    let mut text = String::with_capacity(captured.len());
    for (at, part) in captured.split([BEGIN, END]).enumerate() {
        if at % 2 == 0 {
            text.push_str(part);
        } else {
            match serde_json::from_str(part) {
                Ok(serde_json::Value::String(value)) => text.push_str(&value),
                Ok(_) | Err(_) => text.push_str(part),
            }
        }
    }
    text
}

/// Gives each value the form that its place asks for, takes out the marks, and makes sure that the
/// whole is JSON.
pub(super) fn settle(name: &str, marked: &str) -> Result<String, RenderError> {
    let mut settled = String::with_capacity(marked.len());
    let mut place = Place::default();
    let mut rest = marked;
    while let Some(begin) = rest.find([BEGIN, END]) {
        let (literal, tail) = rest.split_at(begin);
        place.pass(literal);
        settled.push_str(literal);
        let inside = tail
            .strip_prefix(BEGIN)
            .and_then(|tail| tail.split_once(END));
        let Some((value, behind)) = inside.filter(|(value, _)| !value.contains(BEGIN)) else {
            return Err(fault(
                name,
                &settled,
                "text with values in it was cut apart",
            ));
        };
        if place.is_escaping {
            return Err(fault(name, &settled, "a value stands behind a backslash"));
        }
        push(&mut settled, value, place.is_in_string);
        rest = behind;
    }
    settled.push_str(rest);
    match serde_json::from_str::<IgnoredAny>(&settled) {
        Ok(_) => Ok(settled),
        Err(error) => Err(RenderError::NoJson {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
            what: described(&error),
        }),
    }
}

fn push(settled: &mut String, value: &str, in_string: bool) {
    let inside = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    match inside {
        Some(inside) if in_string => settled.push_str(inside),
        None if in_string && value == "null" => {}
        // A list or an object between quotes is its JSON, as text.
        None if in_string => {
            for character in value.chars() {
                if matches!(character, '"' | '\\') {
                    settled.push('\\');
                }
                settled.push(character);
            }
        }
        Some(_) | None => settled.push_str(value),
    }
}

/// serde's words without its place, which is told apart.
fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

fn fault(name: &str, before: &str, what: &str) -> RenderError {
    let last = before.rsplit('\n').next().unwrap_or_default();
    RenderError::NoJson {
        name: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: last.len() + 1,
        what: what.to_owned(),
    }
}

/// Where in JSON the text so far ends.
#[derive(Default)]
struct Place {
    is_in_string: bool,
    is_escaping: bool,
}

impl Place {
    fn pass(&mut self, literal: &str) {
        for byte in literal.bytes() {
            if self.is_escaping {
                self.is_escaping = false;
            } else if byte == b'"' {
                self.is_in_string = !self.is_in_string;
            } else if byte == b'\\' {
                self.is_escaping = self.is_in_string;
            }
        }
    }
}
