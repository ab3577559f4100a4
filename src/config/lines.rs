//! From the bytes of a TOML file to the line of each key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// Notes the line of every key and list element of one file.
pub(super) struct Lines<'a> {
    pub(super) path: Arc<PathBuf>,
    pub(super) text: &'a str,
    /// By dotted key; what an earlier file said is replaced.
    pub(super) places: &'a mut BTreeMap<String, Place>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Lines<'_> {
    /// Notes what is in `table`, which stands at the dotted key `around`.
    pub(super) fn note_table(&mut self, table: &DeTable<'_>, around: &str) {
        for (key, value) in table {
            let dotted = if around.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{around}.{}", key.get_ref())
            };
            self.note(dotted, key.span(), value);
        }
    }

    fn note(&mut self, key: String, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let place = Place::Line(Arc::clone(&self.path), line_at(self.text, span.start));
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(table, &key),
            DeValue::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    self.note(format!("{key}[{index}]"), item.span(), item);
                }
            }
            DeValue::Integer(number)
                if i64::from_str_radix(number.as_str(), number.radix()).is_err() =>
            {
                self.problems.push(Problem {
                    place: place.clone(),
                    key: Some(key.clone()),
                    value: Some(number.as_str().to_owned()),
                    what: "does not fit 64 bits".to_owned(),
                    allowed: super::shape::Shape::at(&key).and_then(super::shape::Shape::allowed),
                });
            }
            _ => {}
        }
        self.places.insert(key, place);
    }
}

/// What the parser objects to. The line itself is not quoted: it may hold a secret.
pub(super) fn syntax_problem(path: Arc<PathBuf>, text: &str, error: &toml::de::Error) -> Problem {
    let place = match error.span() {
        Some(span) => Place::Line(path, line_at(text, span.start)),
        None => Place::File(path),
    };
    let key = match &place {
        Place::Line(_, line) => key_on(text, *line),
        _ => None,
    };
    Problem {
        place,
        key,
        value: None,
        what: format!("is not TOML: {}", error.message()),
        allowed: None,
    }
}

/// The line, counted from 1, of the byte at `offset`.
fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|&byte| byte == b'\n').count()
}

/// The dotted key that `line` seems to set, by its looks alone.
fn key_on(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let (last, before) = lines.split_last()?;
    let key = last.split_once('=')?.0.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || !key.chars().all(bare) {
        return None;
    }
    let section = before.iter().rev().find_map(|line| {
        let inner = line.trim().strip_prefix('[')?.strip_suffix(']')?;
        inner.chars().all(bare).then_some(inner)
    });
    Some(section.map_or_else(|| key.to_owned(), |section| format!("{section}.{key}")))
}
