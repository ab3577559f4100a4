//! Where each key of the merged configuration comes from, and its value as it may be shown.
//!
//! What is kept here goes into messages: a secret, the value of an unknown key (which may be a
//! misspelt secret) and the credentials in a URL are replaced before they get in.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::problem::Place;
use super::secret::HIDDEN;
use super::shape::Shape;

/// Longest value shown in a message, in characters.
const SHOWN_CHARS: usize = 100;

/// Place and shown value of every dotted key.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    keys: BTreeMap<String, (Place, String)>,
    /// The type of each sink, which says what its keys are.
    types: BTreeMap<String, String>,
}

impl Origins {
    /// Walks the merged tree; a key without a place is built in.
    pub(super) fn trace(merged: &Table, places: &BTreeMap<String, Place>) -> Self {
        let mut tracer = Tracer {
            places,
            origins: Self::default(),
        };
        for (key, value) in merged {
            tracer.note(key.clone(), value, Shape::root().key(key), &Place::Default);
        }
        let types = merged.get("sink").and_then(Value::as_table);
        tracer.origins.types = types
            .into_iter()
            .flatten()
            .filter_map(|(name, sink)| Some((name.clone(), sink.get("type")?.as_str()?.to_owned())))
            .collect();
        tracer.origins
    }

    /// What may stand at `key`; inside a sink, what its type allows.
    pub(super) fn shape(&self, key: &str) -> Option<Shape<'static>> {
        let inside = key.strip_prefix("sink.");
        let parted = inside.map(|inside| inside.split_once('.').unwrap_or((inside, "")));
        let Some((name, rest)) = parted else {
            return Shape::at(key);
        };
        let any = Shape::at("sink")?.key(name)?;
        let sink = match self.types.get(name) {
            Some(word) => any.variant(word),
            None => any,
        };
        if rest.is_empty() {
            Some(sink)
        } else {
            sink.inside(rest)
        }
    }

    /// Place and value of `key`; where it is not set, the place of the nearest key around it.
    pub(super) fn find(&self, key: &str) -> (Place, Option<String>) {
        if let Some((place, value)) = self.keys.get(key) {
            let place = match place {
                Place::Default => self.first_inside(key).unwrap_or(place),
                place => place,
            };
            return (place.clone(), Some(value.clone()));
        }
        match key.rsplit_once(['.', '[']) {
            Some((around, _)) => (self.find(around).0, None),
            None => (Place::Default, None),
        }
    }

    /// Where something in the table `key` was set: variables set keys without setting the tables
    /// around them.
    fn first_inside(&self, key: &str) -> Option<&Place> {
        let inside = format!("{key}.");
        self.keys
            .range(inside.clone()..)
            .take_while(|(key, _)| key.starts_with(&inside))
            .map(|(_, (place, _))| place)
            .find(|place| **place != Place::Default)
    }
}

struct Tracer<'a> {
    places: &'a BTreeMap<String, Place>,
    origins: Origins,
}

impl Tracer<'_> {
    /// `around` is where a list element is that has no place of its own.
    fn note(&mut self, key: String, value: &Value, shape: Option<Shape<'_>>, around: &Place) {
        let place = self.places.get(&key).unwrap_or(around).clone();
        let shape = shape.map(|shape| shape.of(value));
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let shape = shape.and_then(|shape| shape.key(name));
                    self.note(format!("{key}.{name}"), value, shape, &Place::Default);
                }
            }
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    let shape = shape.and_then(|shape| shape.item());
                    self.note(format!("{key}[{index}]"), item, shape, &place);
                }
            }
            _ => {}
        }
        self.origins.keys.insert(key, (place, show(value, shape)));
    }
}

fn show(value: &Value, shape: Option<Shape<'_>>) -> String {
    let Some(shape) = shape else {
        return HIDDEN.to_owned();
    };
    if shape.is_secret() {
        return HIDDEN.to_owned();
    }
    let shown = match value {
        Value::String(text) if shape.is_document() && !text.starts_with("file:") => {
            HIDDEN.to_owned()
        }
        Value::String(text) => match text.split_once(':') {
            Some((scheme, rest)) if rest.contains('@') => format!("\"{scheme}:{HIDDEN}\""),
            _ => format!("{text:?}"),
        },
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| show(item, shape.item())).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(_) => "{…}".to_owned(),
        other => other.to_string(),
    };
    match shown.char_indices().nth(SHOWN_CHARS) {
        Some((cut, _)) => format!("{}…", shown.split_at(cut).0),
        None => shown,
    }
}
