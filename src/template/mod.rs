//! Templates for what a sink sends: bodies, methods and URLs, written in minijinja.
//!
//! What an event says stays data, whatever it says. In a JSON template a placed value is written as
//! JSON, between quotes as the inside of a string, and the result must be JSON; in a URL it is
//! percent-encoded. Templates are strict, so that a word that is not there is an error rather than a
//! gap, and bounded in work and size. They reach no file, no other template and no network.

mod error;
mod filters;
mod json;
mod text;
mod url;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::Map;

pub use error::{RenderError, TemplateError};
pub use url::{UrlPath, UrlTemplate};

use crate::words::WORDS;

/// The most a template may render, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The longest source of a template, in bytes.
pub const MAX_SOURCE_BYTES: usize = 64 << 10;

/// What one rendering may do: about 200,000 steps, or 12 MiB of text made and thrown away.
const FUEL: u64 = 200_000;

/// Macros that call each other and nested loops; the default would allow more than a thread's stack.
const MAX_DEPTH: usize = 64;

/// Names a template may use besides the words.
const MORE_WORDS: [&str; 4] = ["remembered", "attempt", "redelivered", "timezone"];

/// The zone that times are shown in unless a sink names another.
pub const DEFAULT_TIMEZONE: &str = "Asia/Shanghai";

/// Whether the bundled zone data knows `name`, such as `Europe/Berlin`.
pub fn is_timezone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

/// What becomes of a value that is placed in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON: values are written as JSON, and what comes out must be JSON.
    Json,
    /// Text, where values stand as they are.
    Text,
    /// Part of a URL: values are percent-encoded, and none may be empty.
    Url,
}

impl Kind {
    /// JSON for a name such as `ticket.json.j2` or `ticket.json`, else text.
    pub fn of(name: &str) -> Self {
        let name = [".j2", ".jinja", ".jinja2"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        if name.ends_with(".json") {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// What a template may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The event's words, those that are there.
    pub words: &'a Map<String, serde_json::Value>,
    /// What earlier answers about the subject told this sink to remember.
    pub remembered: &'a Map<String, serde_json::Value>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether an earlier attempt began, or may have begun.
    pub redelivered: bool,
    /// The zone times are shown in; one that [`is_timezone`] knows.
    pub timezone: &'a str,
}

impl<'a> Context<'a> {
    /// A first attempt, with times in [`DEFAULT_TIMEZONE`].
    pub fn new(
        words: &'a Map<String, serde_json::Value>,
        remembered: &'a Map<String, serde_json::Value>,
    ) -> Self {
        Self {
            words,
            remembered,
            attempt: 1,
            redelivered: false,
            timezone: DEFAULT_TIMEZONE,
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        match name {
            "remembered" => Some(placed_map(self.remembered)),
            "attempt" => Some(self.attempt.into()),
            "redelivered" => Some(self.redelivered.into()),
            "timezone" => Some(self.timezone.into()),
            word => self.words.get(word).map(placed),
        }
    }
}

/// A compiled template.
pub struct Template {
    name: Box<str>,
    kind: Kind,
    environment: Environment<'static>,
    names: HashSet<String>,
}

impl Template {
    /// Compiles `source`, as JSON or as text, whichever [`Kind::of`] says about `name`.
    pub fn compile(name: &str, source: &str) -> Result<Self, TemplateError> {
        Self::compile_as(Kind::of(name), name, source)
    }

    /// Compiles `source` as `kind`. `name` is what errors call it.
    pub fn compile_as(kind: Kind, name: &str, source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(TemplateError::new(name, None, "is longer than 64 KiB"));
        }
        let is_odd = |character: char| character.is_control() && !"\t\n\r".contains(character);
        if let Some(at) = source.find(is_odd) {
            let line = source
                .bytes()
                .take(at)
                .filter(|byte| *byte == b'\n')
                .count()
                + 1;
            return Err(TemplateError::new(
                name,
                Some(line),
                "has a control character",
            ));
        }
        let mut environment = Environment::new();
        configure(&mut environment, kind);
        environment
            .add_template_owned(name.to_owned(), source.to_owned())
            .map_err(|error| TemplateError::of(name, &error))?;
        let names = environment
            .get_template(name)
            .map_err(|error| TemplateError::of(name, &error))?
            .undeclared_variables(false);
        Ok(Self {
            name: name.into(),
            kind,
            environment,
            names,
        })
    }

    /// What it was compiled as.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it may look at `name`, such as `remembered` or `push`, on any of its branches.
    pub fn references(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names it uses that no event will ever have: most likely misspelt. Sorted.
    pub fn unknown_names(&self) -> Vec<&str> {
        let globals: HashSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let mut names: Vec<&str> = self
            .names
            .iter()
            .map(String::as_str)
            .filter(|name| {
                !WORDS.contains(name) && !MORE_WORDS.contains(name) && !globals.contains(name)
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// The text for one event. JSON when the template is; see [`Kind`].
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let name = &*self.name;
        // The push is worth leaving out where it is not asked for: it may be megabytes.
        let values: Vec<(String, Value)> = self
            .names
            .iter()
            .map(String::as_str)
            // The filter for times asks for it, where the template itself may not.
            .chain(["timezone"])
            .filter_map(|word| Some((word.to_owned(), context.value(word)?)))
            .collect();
        let mut out = Bounded::default();
        self.environment
            .get_template(name)
            .and_then(|template| {
                template
                    .render_captured_to(Value::from_pairs(values), &mut out)
                    .map(drop)
            })
            .map_err(|error| RenderError::of(name, &error, out.is_full))?;
        let text = String::from_utf8_lossy(&out.bytes);
        if self.kind == Kind::Json {
            json::settle(name, &text)
        } else {
            Ok(text.into_owned())
        }
    }
}

impl fmt::Debug for Template {
    /// Without the source, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

fn configure(environment: &mut Environment<'static>, kind: Kind) {
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    // Without it an undefined name is not named.
    environment.set_debug(true);
    // What stands in the template itself is not escaped, and neither is text that was captured from
    // it with the values in it escaped already. Marking anything else so would let data out.
    for filter in ["safe", "escape", "e"] {
        environment.remove_filter(filter);
    }
    environment.remove_global("debug");
    // A loop could nest a value in itself, deeper than a stack is when it is dropped.
    environment.remove_global("namespace");
    filters::add_to(environment);
    let (escape, write): (_, fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> _) = match kind {
        Kind::Json => (AutoEscape::Json, json::write),
        Kind::Text => (AutoEscape::None, write_text),
        Kind::Url => (AutoEscape::Custom("url".into()), url::write),
    };
    environment.set_auto_escape_callback({
        let escape = escape.clone();
        move |_| escape.clone()
    });
    environment.set_formatter(move |out, state, value| {
        if *state.auto_escape() != escape {
            let what = "escaping cannot be turned off or changed";
            return Err(Error::new(ErrorKind::InvalidOperation, what));
        }
        write(out, state, value)
    });
}

/// Writes `value` as it reads: none is nothing, and true is not Python's.
fn write_text(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => Ok(()),
        ValueKind::Bool => Ok(write!(out, "{}", value.is_true())?),
        _ => Ok(write!(out, "{value}")?),
    }
}

/// JSON as the engine holds it. No deeper than the parser that read it allows.
fn placed(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => number.as_f64().map_or(Value::from(()), Value::from),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from_iter(items.iter().map(placed)),
        serde_json::Value::Object(members) => placed_map(members),
    }
}

fn placed_map(members: &Map<String, serde_json::Value>) -> Value {
    let members = members.iter();
    Value::from_pairs(members.map(|(name, value)| (name.as_str(), placed(value))))
}

/// Whether `value` is text that came out of the template itself, as a macro's does.
fn is_captured(value: &Value) -> bool {
    value.kind() == ValueKind::String && value.is_safe()
}

/// Takes [`MAX_BYTES`] and no more.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > MAX_BYTES {
            self.is_full = true;
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
