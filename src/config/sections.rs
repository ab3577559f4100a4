//! From the merged tree to typed settings, with every wrong value reported, not only the first.
//!
//! serde stops at the first error. So a wrong value is reported, taken out of the tree (its default
//! steps in) and the section is read again, until it reads. What serde ignored is an unknown key.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment, Track};
use toml::{Table, Value};

use super::Settings;
use super::problem::Report;
use super::shape::Shape;
use super::sink;

/// A misspelt key is at least so similar to what was meant; from 0 to 1.
const SIMILAR: f64 = 0.75;

/// Reads all sections. When `report` has problems afterwards the settings must not be used.
pub(super) fn read(mut merged: Table, report: &mut Report<'_>) -> Settings {
    let mut take = |name: &str| merged.remove(name).unwrap_or_else(|| Table::new().into());
    let settings = Settings {
        server: section("server", take("server"), report),
        admin: section("admin", take("admin"), report),
        source: section("source", take("source"), report),
        store: section("store", take("store"), report),
        admission: section("admission", take("admission"), report),
        envelope: section("envelope", take("envelope"), report),
        log: section("log", take("log"), report),
        flashduty: section("flashduty", take("flashduty"), report),
        recover: section("recover", take("recover"), report),
        otlp: section("otlp", take("otlp"), report),
        sinks: sink::sinks(take("sink"), report),
    };
    for unknown in merged.keys() {
        report_unknown("", unknown, Shape::root(), report);
    }
    settings
}

/// Reads what stands at the dotted key `name`.
pub(super) fn section<T: DeserializeOwned + Default>(
    name: &str,
    mut value: Value,
    report: &mut Report<'_>,
) -> T {
    if !value.is_table() {
        report.add(name, "is no table");
        return T::default();
    }
    let mut taken = Taken::default();
    loop {
        let mut unknown = Vec::new();
        let mut track = Track::new();
        let tracked = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
        let read = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
        let error: toml::de::Error = match read {
            Ok(section) => {
                for key in unknown {
                    let dotted = format!("{name}.{key}");
                    let Some((around, key)) = dotted.rsplit_once('.') else {
                        continue;
                    };
                    if let Some(shape) = report.shape(around) {
                        report_unknown(around, key, shape, report);
                    }
                }
                return section;
            }
            Err(error) => error,
        };
        let path = track.path();
        let key = format!("{name}.{}", taken.original(&path));
        if !report.blames(&key) {
            let what = wording(report.shape(&key), &error);
            report.add(&key, what);
        }
        if !taken.take(&mut value, &path) {
            return T::default();
        }
    }
}

/// What serde says of types is in Rust's words, and quotes the value once more.
fn wording(shape: Option<Shape<'_>>, error: &toml::de::Error) -> String {
    let message = error.message();
    let shape = match shape {
        Some(shape) if shape.is_secret() => return "is no secret".to_owned(),
        Some(shape) if message.starts_with("invalid ") || message.starts_with("unknown ") => shape,
        _ => return message.to_owned(),
    };
    let what = if !shape.words().is_empty() {
        "is an unknown word"
    } else if shape.is_integer() {
        "is no whole number"
    } else if shape.is_boolean() {
        "is neither true nor false"
    } else if shape.is_list() {
        "is no list"
    } else if shape.is_table() {
        "is no table"
    } else {
        "is no string"
    };
    what.to_owned()
}

fn report_unknown(section: &str, key: &str, shape: Shape<'_>, report: &mut Report<'_>) {
    let known = shape.keys();
    let mut what = match section {
        "" => "is an unknown section".to_owned(),
        _ => "is an unknown key".to_owned(),
    };
    what.push_str(&did_you_mean(key, &known));
    let dotted = match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    };
    report.add_allowing(&dotted, what, Some(known.join(", ")));
}

/// Asks whether the word in `known` that is most like `word` was meant, if any is like it.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(name, word), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SIMILAR);
    match near {
        Some((_, name)) => format!(" (did you mean {name}?)"),
        None => String::new(),
    }
}

/// Wrong values that were taken out of a section. Taking one from a list moves the ones behind it,
/// so their original positions are computed from what was taken.
#[derive(Default)]
struct Taken {
    /// For each list, the original positions of what was taken from it, ascending.
    from_lists: BTreeMap<String, Vec<usize>>,
}

impl Taken {
    /// The key `path` had before anything was taken.
    fn original(&self, path: &Path) -> String {
        let mut key = String::new();
        for segment in path {
            match segment {
                Segment::Map { key: name } => {
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(name);
                }
                Segment::Seq { index } => {
                    let index = self.original_index(&key, *index);
                    key.push_str(&format!("[{index}]"));
                }
                // An enumeration's word is the value, not a part of the key.
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        key
    }

    fn original_index(&self, list: &str, index: usize) -> usize {
        let taken = self.from_lists.get(list).map_or(&[][..], Vec::as_slice);
        taken
            .iter()
            .fold(index, |index, &gone| index + usize::from(gone <= index))
    }

    /// Takes what stands at `path` out of `value`; false when it cannot be found.
    fn take(&mut self, value: &mut Value, path: &Path) -> bool {
        let keys =
            |segment: &&Segment| matches!(segment, Segment::Map { .. } | Segment::Seq { .. });
        let segments: Vec<&Segment> = path.iter().filter(keys).collect();
        let Some((last, around)) = segments.split_last() else {
            return false;
        };
        let mut inner = value;
        let mut list = String::new();
        for segment in around {
            let next = match segment {
                Segment::Map { key } => {
                    list.push_str(key);
                    inner.get_mut(key)
                }
                Segment::Seq { index } => inner.get_mut(*index),
                Segment::Enum { .. } | Segment::Unknown => None,
            };
            let Some(next) = next else { return false };
            inner = next;
        }
        match (last, inner) {
            (Segment::Map { key }, Value::Table(table)) => table.remove(key).is_some(),
            (Segment::Seq { index }, Value::Array(items)) if *index < items.len() => {
                let original = self.original_index(&list, *index);
                let taken = self.from_lists.entry(list).or_default();
                taken.push(original);
                taken.sort_unstable();
                items.remove(*index);
                true
            }
            _ => false,
        }
    }
}
