//! Lengths of time as people write them: `"900ms"`, `"5m"`, `"1h30m"`.
//!
//! A number without a unit is refused: it could mean seconds or milliseconds.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de::Error as _};

use super::text;

/// From the longest, which is also the order in which they are written.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads one or more numbers, each with its unit; the sum must fit 64 bits of milliseconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut millis = Some(0_u64);
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    while !rest.is_empty() {
        let (number, tail) = text::split_while(rest, |c| c.is_ascii_digit());
        let (unit, tail) = text::split_while(tail, |c| c.is_alphabetic());
        if number.is_empty() {
            return Err("is no length of time".to_owned());
        }
        if unit.is_empty() && tail.is_empty() {
            return Err(no_unit(text.trim()));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err("is no length of time".to_owned());
        };
        millis = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*scale))
            .and_then(|part| millis?.checked_add(part));
        rest = tail;
    }
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| "is too long to count in milliseconds".to_owned())
}

fn no_unit(number: &str) -> String {
    format!("has no unit (did you mean \"{number}ms\" or \"{number}s\"?)")
}

/// Writes `duration` with the largest units that fit, in whole milliseconds.
pub(super) fn format(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in UNITS {
        let count = rest / u128::from(scale);
        rest %= u128::from(scale);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

pub(super) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = text::read(deserializer, |number| no_unit(&number.to_string()))?;
    parse(&text).map_err(D::Error::custom)
}

/// Writes a key that may be left out.
pub(super) fn serialize_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads a key that may be left out; when it is there it has a value.
pub(super) fn deserialize_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// How a length of time appears in the schema.
pub(super) struct Text;

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            "x-kind": "duration",
            "x-allowed": "numbers with a unit of ms, s, m, h or d, such as \"90s\" or \"1h30m\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_and_their_sums_are_read() {
        for (text, millis) in [
            ("900ms", 900),
            ("0s", 0),
            ("5m", 300_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            (" 2s ", 2_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "5",
            "1.5s",
            "s",
            "5 m",
            "-1s",
            "5M",
            "1h30",
            "999999999999d",
            "1µs",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse("30").unwrap_err(),
            "has no unit (did you mean \"30ms\" or \"30s\"?)"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0..u64::MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_fail_to_answer(text in "\\PC*") {
            let _answer = parse(&text);
        }
    }
}
