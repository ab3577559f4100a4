//! What may stand at a key, asked of the configuration's JSON Schema.
//!
//! The schema is made from the types of the settings, so it is the one place that knows every key,
//! its type and its range. Besides the standard words it carries `x-allowed` (what is allowed, for
//! people), `x-kind` (`duration` or `size`) and `x-min` and `x-max` (the range of such a string),
//! `x-literal` and `x-empty` (hidden text that is no reference, or may be empty) and `x-document`
//! (text that may stand in a file of its own).

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;

static ROOT: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<Settings>()
        .into()
});

/// The JSON Schema of a configuration file, draft 2020-12, by which editors complete and check one.
pub fn schema() -> Value {
    let mut schema = ROOT.clone();
    if let Some(root) = schema.as_object_mut() {
        // Settings are whole. A file leaves out what stays as it is.
        root.remove("required");
    }
    close(&mut schema);
    schema
}

/// Forbids keys that a table does not name, as the receiver does, unless it takes any.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(words) => {
            if words.contains_key("properties") {
                let rest = words.entry("additionalProperties");
                rest.or_insert(Value::Bool(false));
            }
            words.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// One node of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a>(&'a Value);

impl Shape<'static> {
    /// The whole configuration.
    pub(super) fn root() -> Self {
        Self(&ROOT)
    }

    /// What stands at a dotted key, such as `source.allow[2]`.
    pub(super) fn at(key: &str) -> Option<Self> {
        Self::root().inside(key)
    }
}

impl<'a> Shape<'a> {
    /// What stands at a dotted key inside.
    pub(super) fn inside(self, key: &str) -> Option<Self> {
        key.split('.').try_fold(self, |shape, part| {
            let mut pieces = part.split('[');
            let named = shape.key(pieces.next()?)?;
            pieces.try_fold(named, |shape, _index| shape.item())
        })
    }

    /// What stands under `key` in a table of this shape. Where several alternatives have the key,
    /// one that must not be shown goes before others.
    pub(super) fn key(self, key: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        let mut fallback = None;
        for branch in self.branches() {
            if let Some(known) = branch.get("properties").and_then(|keys| keys.get(key)) {
                let known = Self(known);
                if found.is_none() || known.is_secret() {
                    found = Some(known);
                }
            }
            fallback = fallback.or_else(|| {
                branch
                    .get("additionalProperties")
                    .filter(|any| any.is_object())
            });
        }
        found.or(fallback.map(Self))
    }

    /// The alternative whose key `type` is `word`; the shape itself when there is none.
    pub(super) fn variant(self, word: &str) -> Self {
        let is_it = |branch: &&'a Value| {
            let name = branch.get("properties").and_then(|keys| keys.get("type"));
            name.and_then(|name| name.get("const")?.as_str()) == Some(word)
        };
        self.branches().find(is_it).map_or(self, Self)
    }

    /// The alternative that `value` is, by its key `type`.
    pub(super) fn of(self, value: &toml::Value) -> Self {
        match value.get("type").and_then(toml::Value::as_str) {
            Some(word) => self.variant(word),
            None => self,
        }
    }

    /// What stands in a list of this shape.
    pub(super) fn item(self) -> Option<Self> {
        self.branches()
            .find_map(|branch| branch.get("items"))
            .map(Self)
    }

    /// The keys a table of this shape knows; none where any key will do.
    pub(super) fn keys(self) -> Vec<&'a str> {
        let tables = self
            .branches()
            .filter_map(|branch| branch.get("properties")?.as_object());
        let mut keys: Vec<&str> = tables
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The words that are allowed as such.
    pub(super) fn words(self) -> Vec<&'a str> {
        let mut words = Vec::new();
        for branch in self.branches() {
            words.extend(branch.get("const").and_then(Value::as_str));
            let list = branch.get("enum").and_then(Value::as_array);
            words.extend(list.into_iter().flatten().filter_map(Value::as_str));
        }
        words
    }

    pub(super) fn is_list(self) -> bool {
        self.has_type("array")
    }

    pub(super) fn is_integer(self) -> bool {
        self.has_type("integer")
    }

    pub(super) fn is_boolean(self) -> bool {
        self.has_type("boolean")
    }

    pub(super) fn is_table(self) -> bool {
        self.has_type("object")
    }

    /// Whether what stands here, or in a list here, must never be shown.
    pub(super) fn is_secret(self) -> bool {
        self.branches()
            .any(|branch| branch.get("writeOnly") == Some(&Value::Bool(true)))
            || self.item().is_some_and(Self::is_secret)
    }

    /// Whether what stands here is what it is, and not where to find it.
    pub(super) fn is_literal(self) -> bool {
        self.0.get("x-literal") == Some(&Value::Bool(true))
    }

    /// Whether a secret may be left empty.
    pub(super) fn may_be_empty(self) -> bool {
        self.0.get("x-empty") == Some(&Value::Bool(true))
    }

    /// Whether text may stand here that is as long as a file, and may hold a secret.
    pub(super) fn is_document(self) -> bool {
        self.0.get("x-document") == Some(&Value::Bool(true))
    }

    /// `duration` or `size` for a string that has an order.
    pub(super) fn kind(self) -> Option<&'a str> {
        self.word("x-kind")
    }

    /// The ends of the range as they are written; an end that is not there is open.
    pub(super) fn range(self) -> (Option<&'a str>, Option<&'a str>) {
        (self.word("x-min"), self.word("x-max"))
    }

    /// The least and the greatest number.
    pub(super) fn bounds(self) -> Option<(i64, i64)> {
        let bound = |name| self.0.get(name)?.as_i64();
        Some((bound("minimum")?, bound("maximum")?))
    }

    /// What is allowed here, in words.
    pub(super) fn allowed(self) -> Option<String> {
        let text = match self.word("x-allowed") {
            Some(text) => text.to_owned(),
            None => self.standard()?,
        };
        Some(match self.range() {
            (Some(min), Some(max)) => format!("{text}, from \"{min}\" to \"{max}\""),
            (Some(min), None) => format!("{text}, at least \"{min}\""),
            (None, Some(max)) => format!("{text}, at most \"{max}\""),
            (None, None) => text,
        })
    }

    fn standard(self) -> Option<String> {
        let words: Vec<String> = self
            .words()
            .iter()
            .map(|word| format!("{word:?}"))
            .collect();
        if !words.is_empty() {
            return Some(words.join(" or "));
        }
        if self.is_boolean() {
            return Some("true or false".to_owned());
        }
        if let Some((min, max)) = self.bounds() {
            return Some(format!("a whole number from {min} to {max}"));
        }
        self.is_table().then(|| "a table".to_owned())
    }

    fn has_type(self, name: &str) -> bool {
        self.branches().any(|branch| match branch.get("type") {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        })
    }

    fn word(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// The node itself and its alternatives.
    fn branches(self) -> impl Iterator<Item = &'a Value> {
        let alternatives = ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(|name| self.0.get(name)?.as_array());
        std::iter::once(self.0).chain(alternatives.flatten())
    }
}
