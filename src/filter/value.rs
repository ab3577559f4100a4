//! Values during an evaluation, borrowed from the data and the expression wherever that can be.

use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::{Map, Number, Value as Json};

/// A value. Every whole number of JSON is exact: `i128` holds all of `i64` and `u64`.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(&'a Map<String, Json>),
}

#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Lent(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Made(text) => text,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Lent(&'a [Json]),
    Made(Rc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lent(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Lent(items) => items.get(at).map(Value::from),
            Self::Made(items) => items.get(at).cloned(),
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).map_while(|at| self.get(at))
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::from(number),
            Json::String(text) => Self::Text(Text::Lent(text)),
            Json::Array(items) => Self::List(List::Lent(items)),
            Json::Object(map) => Self::Map(map),
        }
    }
}

impl From<&Number> for Value<'_> {
    fn from(number: &Number) -> Self {
        match number.as_i128() {
            Some(integer) => Self::Integer(integer),
            // Every number that is no integer is a float, as long as digits are not kept as text.
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }
}

impl Value<'_> {
    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The order of two numbers, texts or bools; anything else has none.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Integer(a), Self::Float(b)) => order_exactly(*a, *b),
            (Self::Float(a), Self::Integer(b)) => order_exactly(*b, *a).map(Ordering::reverse),
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Compares without turning the integer into a float, which would make neighbouring ids equal.
fn order_exactly(integer: i128, float: f64) -> Option<Ordering> {
    /// Beyond any 64-bit integer, and well within what an `i128` holds.
    const FAR: f64 = 1e20;
    if float.is_nan() {
        return None;
    }
    if float >= FAR {
        return Some(Ordering::Less);
    }
    if float <= -FAR {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and within range"
    )]
    let whole = float.trunc() as i128;
    let by_fraction = || 0.0.partial_cmp(&float.fract());
    match integer.cmp(&whole) {
        Ordering::Equal => by_fraction(),
        other => Some(other),
    }
}
