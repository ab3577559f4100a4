//! From the bytes of a TOML file to the line of each key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};
use super::secret::HIDDEN;
use super::shape::Shape;

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
            if around.is_empty() && bare(key.get_ref()).is_none_or(|key| key.contains('.')) {
                // Merging would take it apart as a path into the tree.
                self.refuse_section(key);
                continue;
            }
            let dotted = if around.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{around}.{}", key.get_ref())
            };
            self.note(dotted, key.span(), value);
        }
    }

    /// What no type of setting could hold, merging could not either.
    fn refuse_number(&mut self, key: &str, place: &Place, number: &str) {
        let shape = Shape::at(key);
        let can_be_shown = shape.is_some_and(|shape| !shape.is_secret());
        self.problems.push(Problem {
            place: place.clone(),
            key: Some(key.to_owned()),
            value: Some(if can_be_shown { number } else { HIDDEN }.to_owned()),
            what: "does not fit 64 bits".to_owned(),
            allowed: shape.and_then(Shape::allowed),
        });
    }

    fn refuse_section(&mut self, key: &Spanned<Cow<'_, str>>) {
        self.problems.push(Problem {
            place: Place::Line(Arc::clone(&self.path), line_at(self.text, key.span().start)),
            key: Some(format!("{:?}", key.get_ref())),
            value: Some(HIDDEN.to_owned()),
            what: "is an unknown section".to_owned(),
            allowed: Some(Shape::root().keys().join(", ")),
        });
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
                self.refuse_number(&key, &place, number.as_str());
            }
            DeValue::Float(number)
                if number.as_str().parse().is_ok_and(f64::is_infinite)
                    && !number.as_str().ends_with("inf") =>
            {
                self.refuse_number(&key, &place, number.as_str());
            }
            _ => {}
        }
        self.places.insert(key, place);
    }
}

/// What the parser objects to. Of the line itself only what cannot be a secret is quoted.
pub(super) fn syntax_problem(path: Arc<PathBuf>, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| line_at(text, span.start));
    let (key, value) = line.and_then(|line| setting_on(text, line)).unzip();
    let shape = key.as_deref().and_then(Shape::at);
    let can_be_shown = shape.is_some_and(|shape| !shape.is_secret() && !shape.is_table());
    Problem {
        place: match line {
            Some(line) => Place::Line(path, line),
            None => Place::File(path),
        },
        key,
        value: value.map(|value| {
            // An @ may stand behind a password in a URL.
            let shown = can_be_shown && !value.contains('@');
            if shown { value } else { HIDDEN }.to_owned()
        }),
        what: format!("is not TOML: {}", error.message()),
        allowed: shape.and_then(Shape::allowed),
    }
}

/// The line, counted from 1, of the byte at `offset`.
fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|&byte| byte == b'\n').count()
}

/// The dotted key that `line` seems to set, and what it sets it to, by their looks alone.
fn setting_on(text: &str, line: usize) -> Option<(String, &str)> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let (last, before) = lines.split_last()?;
    let (key, value) = last.split_once('=')?;
    let key = bare(key)?;
    let header = before.iter().rev().find(|line| line.starts_with('['));
    let dotted = match header {
        Some(header) => {
            let uncommented = header.split('#').next().unwrap_or_default();
            let inner = uncommented.trim().strip_prefix('[')?.strip_suffix(']')?;
            format!("{}.{key}", bare(inner)?)
        }
        None => key.to_owned(),
    };
    Some((dotted, value.trim()))
}

/// `key` without blanks around it, if it needs no quotes.
fn bare(key: &str) -> Option<&str> {
    let key = key.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!key.is_empty() && key.chars().all(fits)).then_some(key)
}
