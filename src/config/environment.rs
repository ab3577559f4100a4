//! The environment, captured once, and the settings in it: `FLASHDUTY__SECTION__KEY`.
//!
//! Values are strings. Only where the key's type is a number, a flag or a list is the text read as
//! one, so that a secret such as `007` stays as it is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use toml::{Table, Value};

use super::shape::Shape;

/// What every setting in the environment begins with.
const PREFIX: &str = "FLASHDUTY__";

/// The process's variables, as they were when they were captured.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Captures the variables of this process; names that are no UTF-8 are none of ours.
    pub fn capture() -> Self {
        let ours =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(ours.collect())
    }

    /// An environment of exactly these variables.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.into());
        Self(pairs.into_iter().map(owned).collect())
    }

    /// The value of `name`, or what is the matter with it.
    pub(super) fn get(&self, name: &str) -> Result<String, &'static str> {
        let value = self.0.get(name).ok_or("is not set")?;
        value
            .to_str()
            .map(str::to_owned)
            .ok_or("is not valid UTF-8")
    }

    /// What a supervisor calls the sockets it hands over, in their order (`sd_listen_fds(3)`).
    pub fn socket_names(&self) -> Vec<String> {
        let names = self.get("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').filter(|_| !names.is_empty());
        names.map(str::to_owned).collect()
    }

    /// The settings, by the name of their variable: the dotted key's parts and the text.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting<'_>> {
        self.0.keys().filter_map(|name| {
            let tail = name.strip_prefix(PREFIX)?;
            Some(Setting {
                name,
                key: tail.split("__").map(str::to_lowercase).collect(),
                text: self.get(name),
            })
        })
    }
}

/// One `FLASHDUTY__…` variable.
pub(super) struct Setting<'a> {
    pub(super) name: &'a str,
    /// `FLASHDUTY__SINK__LOG__LABELS` gives `["sink", "log", "labels"]`.
    pub(super) key: Vec<String>,
    pub(super) text: Result<String, &'static str>,
}

/// Reads `text` as what the key's type wants; what does not read as that stays a string, and is
/// refused later with the key's own message.
pub(super) fn typed(text: &str, shape: Option<Shape<'_>>) -> Value {
    let string = || Value::String(text.to_owned());
    let Some(shape) = shape else {
        return string();
    };
    if shape.words().contains(&text) {
        return string();
    }
    if shape.is_list() {
        return Value::Array(list(text, shape));
    }
    let number = || text.parse().ok().filter(|_| shape.is_integer());
    let flag = || text.parse().ok().filter(|_| shape.is_boolean());
    number()
        .map(Value::Integer)
        .or_else(|| flag().map(Value::Boolean))
        .unwrap_or_else(string)
}

/// Puts `value` at `key` in `table`; false when something that is no table is in the way.
pub(super) fn insert(table: &mut Table, key: &[String], value: Value) -> bool {
    let Some((last, parents)) = key.split_last() else {
        return false;
    };
    let mut table = table;
    for parent in parents {
        let entry = table
            .entry(parent.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return false;
        };
        table = inner;
    }
    table.insert(last.clone(), value).is_none()
}

/// Splits at commas. Empty text is the empty list, but for secrets: there it is far more likely a
/// variable that was meant to hold one, and no list of secrets means no check.
fn list(text: &str, shape: Shape<'_>) -> Vec<Value> {
    if text.trim().is_empty() && !shape.is_secret() {
        return Vec::new();
    }
    text.split(',')
        .map(|item| typed(item.trim(), shape.item()))
        .collect()
}
