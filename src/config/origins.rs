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
pub(super) struct Origins(BTreeMap<String, (Place, String)>);

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
        tracer.origins
    }

    /// Place and value of `key`; where it is not set, the place of the nearest key around it.
    pub(super) fn find(&self, key: &str) -> (Place, Option<String>) {
        if let Some((place, value)) = self.0.get(key) {
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
        self.0
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
        self.origins.0.insert(key, (place, show(value, shape)));
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
