//! The variables an expression is evaluated over.

use serde_json::{Map, Value};

/// Names and their values, lent: making one copies nothing, and it serves any number of
/// expressions.
///
/// A value may nest as deep as `serde_json` reads, which is 128 levels.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    words: Option<&'a Map<String, Value>>,
    more: Vec<(&'a str, &'a Value)>,
}

impl<'a> Scope<'a> {
    /// Every entry of `words` is a variable.
    pub fn new(words: &'a Map<String, Value>) -> Self {
        Self {
            words: Some(words),
            more: Vec::new(),
        }
    }

    /// One more variable, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &'a Value) -> Self {
        self.more.push((name, value));
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let later = self.more.iter().rev().find(|(known, _)| *known == name);
        later
            .map(|(_, value)| *value)
            .or_else(|| self.words.and_then(|words| words.get(name)))
    }
}
