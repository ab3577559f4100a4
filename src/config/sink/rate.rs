//! Rates as people write them: `"20/1m"`, or several that all hold.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
use toml::Value;

use super::super::{duration, text};
use crate::inbox::Rate;

/// The store keeps when attempts ended for as long as the longest window.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(100);
/// It also keeps one time for each attempt that may be made in a window.
const MOST: u32 = 100_000;

pub(in crate::config) fn parse(text: &str) -> Result<Rate, String> {
    let wrong = |what: &str| Err(format!("{text:?} {what}"));
    let Some((count, window)) = text.split_once('/') else {
        return wrong("is no rate: a slash and a length of time are missing");
    };
    let Ok(count) = count.trim().parse::<u32>() else {
        return wrong("is no rate: what stands before the slash is no whole number");
    };
    if !(1..=MOST).contains(&count) {
        return wrong("allows no attempt, or more than can be counted");
    }
    let window = match duration::parse(window) {
        Ok(window) => window,
        Err(what) => {
            return Err(format!(
                "{text:?} is no rate: what stands behind the slash {what}"
            ));
        }
    };
    if !(SHORTEST..=LONGEST).contains(&window) {
        return wrong("is over a time that is too short or too long");
    }
    Ok(Rate { count, window })
}

pub(in crate::config) fn format(rate: &Rate) -> String {
    format!("{}/{}", rate.count, duration::format(rate.window))
}

pub(super) fn serialize<S: Serializer>(
    rates: &Arc<[Rate]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rates.iter().map(format))
}

/// Reads one rate or a list of them.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<[Rate]>, D::Error> {
    let list = match Value::deserialize(deserializer)? {
        Value::Array(list) => list,
        single => vec![single],
    };
    list.iter()
        .map(|item| match item {
            Value::String(text) => parse(text),
            other => Err(text::is_no_string(other)),
        })
        .collect::<Result<_, _>>()
        .map_err(D::Error::custom)
}

/// How rates appear in the schema.
pub(super) struct Texts;

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Rates".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one =
            json_schema!({ "type": "string", "pattern": "^[0-9]+ ?/ ?([0-9]+(ms|s|m|h|d))+$" });
        json_schema!({
            "anyOf": [one.clone(), { "type": "array", "items": one }],
            "x-allowed": "attempts and a length of time such as \"20/1m\", from 1 to 100000 attempts in \"100ms\" to \"1d\", or a list of such",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        for text in ["20/1m", "1/1s", "100000/1d", "3/1h30m"] {
            assert_eq!(parse(text).map(|rate| format(&rate)), Ok(text.to_owned()));
        }
        for text in [
            "", "20", "20/m", "20/60", "0/1m", "-1/1m", "1/0s", "1/2d", "1.5/1s", "/1s",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
