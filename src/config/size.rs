//! Numbers of bytes as people write them: `"64KiB"`, `"1MiB"`, `"1GB"`, and `"0"`.
//!
//! `KiB` and its like count in 1024s, `KB` and its like in 1000s; the case does not matter.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de::Error as _};

use super::text;

/// Binary units from the largest, then decimal ones: the order in which a size is written.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a whole number with its unit; only zero needs none.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (number, unit) = text::split_while(text, |c| c.is_ascii_digit());
    if number.is_empty() {
        return Err("is no size".to_owned());
    }
    if unit.is_empty() && number.bytes().all(|digit| digit == b'0') {
        return Ok(0);
    }
    if unit.is_empty() {
        return Err(format!("has no unit (did you mean \"{number}B\"?)"));
    }
    let (_, scale) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))
        .ok_or_else(|| "is no size".to_owned())?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*scale))
        // Stores count in signed 64 bits.
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| "is too large".to_owned())
}

/// Writes `bytes` with the first unit that leaves no rest.
pub(super) fn format(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    UNITS
        .iter()
        .find(|(_, scale)| bytes.is_multiple_of(*scale))
        .map(|(unit, scale)| format!("{}{unit}", bytes / scale))
        .expect("every number is a multiple of one byte")
}

pub(super) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = text::read(deserializer, |number| match number {
        0 => "is a bare number (did you mean \"0\"?)".to_owned(),
        _ => format!("has no unit (did you mean \"{number}B\"?)"),
    })?;
    parse(&text).map_err(D::Error::custom)
}

/// How a size appears in the schema.
pub(super) struct Text;

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0|[0-9]+ ?([kKmMgGtT][iI]?)?[bB])$",
            "x-kind": "size",
            "x-allowed": "a number with a unit of B, KiB, MiB, GiB or TiB (KB and so on count in thousands), such as \"64KiB\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binary_and_decimal_units_are_told_apart() {
        for (text, bytes) in [
            ("0", 0),
            ("1B", 1),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1MiB", 1_048_576),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "1024",
            "1.5MiB",
            "MiB",
            "-1B",
            "1M",
            "9999999TiB",
            "1 M iB",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse("1024").unwrap_err(),
            "has no unit (did you mean \"1024B\"?)"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 0..=i64::MAX.unsigned_abs()) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_parser_fail_to_answer(text in "\\PC*") {
            let _answer = parse(&text);
        }
    }
}
