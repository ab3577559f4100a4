//! The fields of one line, written so that nothing in them can end the line or forge another.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};

/// What one event recorded.
#[derive(Debug, Default)]
pub(super) struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    /// A number or a boolean, as JSON writes it.
    Plain(String),
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, Value::Text(format!("{value:?}")));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let finite = value.is_finite();
        self.take(
            field,
            if finite {
                Value::Plain(value.to_string())
            } else {
                Value::Text(value.to_string())
            },
        );
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Value::Plain(value.to_string()));
    }
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }

    /// Writes the rest of a JSON object whose `"message":` is written; at most `max` bytes in all.
    pub(super) fn write_json(&self, line: &mut String, max: usize) {
        let mut truncated = Vec::new();
        // Room for the names of what is cut, and the end of the object.
        let room = max.saturating_sub(400);
        if !write_text(line, &self.message, room) {
            truncated.push("message");
        }
        for (name, value) in &self.others {
            let before = line.len();
            let _infallible = write!(line, ",\"{name}\":");
            let whole = match value {
                Value::Plain(text) => {
                    line.push_str(text);
                    true
                }
                Value::Text(text) => write_text(line, text, room),
            };
            if line.len() > room + 8 {
                line.truncate(before);
            }
            if !whole {
                truncated.push(name);
            }
        }
        if !truncated.is_empty() {
            let names = truncated.iter().take(8).map(|name| format!("\"{name}\""));
            let _infallible = write!(
                line,
                ",\"truncated\":[{}]",
                names.collect::<Vec<_>>().join(",")
            );
        }
        line.push('}');
    }

    /// Writes the message and `name=value` pairs.
    pub(super) fn write_pretty(&self, line: &mut String) {
        for character in self.message.chars() {
            push_pretty(line, character);
        }
        for (name, value) in &self.others {
            let _infallible = write!(line, " {name}=");
            let (Value::Text(text) | Value::Plain(text)) = value;
            for character in text.chars() {
                push_pretty(line, character);
            }
        }
    }
}

/// Writes `text` as a JSON string in ASCII; false when it had to be cut to stay within `room`.
fn write_text(line: &mut String, text: &str, room: usize) -> bool {
    line.push('"');
    let mut whole = true;
    for character in text.chars() {
        // The longest escape, two units of six, and the closing quote.
        if line.len() + 13 > room {
            whole = false;
            break;
        }
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            ' '..='~' => line.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let _infallible = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
    whole
}

fn push_pretty(line: &mut String, character: char) {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        let _infallible = write!(line, "{}", character.escape_unicode());
    } else {
        line.push(character);
    }
}
