//! Reads an event's time, whose unit depends on who wrote the body.
//!
//! Times are compared, so a guess is worse than none: what is no positive whole number of a
//! plausible size yields nothing. Digits never pass through a float.

/// Below this a number counts seconds; as seconds it is the year 5138.
const FIRST_MILLISECOND: i64 = 100_000_000_000;
/// Below this a number counts milliseconds.
const FIRST_MICROSECOND: i64 = FIRST_MILLISECOND * 1000;
/// From here on a number is no time at all.
const END: i64 = FIRST_MICROSECOND * 1000;
/// No plausible time is written longer, whatever its trailing zeros.
const MAX_DIGITS: usize = 40;

/// Milliseconds since the Unix epoch out of seconds, milliseconds or microseconds.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    match whole_number(text.trim())? {
        ..=0 => None,
        seconds @ ..FIRST_MILLISECOND => Some(seconds * 1000),
        milliseconds @ ..FIRST_MICROSECOND => Some(milliseconds),
        microseconds @ ..END => Some(microseconds / 1000),
        _ => None,
    }
}

/// The value of a JSON number such as `17`, `17.0` or `1.7e1`, if it is whole and not negative.
fn whole_number(text: &str) -> Option<i64> {
    if text.len() > MAX_DIGITS {
        return None;
    }
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = usize::try_from(i64::try_from(whole.len()).ok()? + i64::from(exponent)).ok()?;
    if point > MAX_DIGITS {
        return None;
    }
    let (before, after) = digits.split_at_checked(point).unwrap_or((&digits, ""));
    if after.bytes().any(|byte| byte != b'0') {
        return None;
    }
    format!("{before:0<point$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_told_by_the_magnitude() {
        for text in [
            "1775980860",
            "1775980860000",
            "1775980860000000",
            "1775980860.0",
            "1.77598086e9",
            "1.77598086E+12",
            "17759808600000e-1",
            "177598086e1",
            " 1775980860000 ",
        ] {
            assert_eq!(milliseconds(text), Some(1_775_980_860_000), "{text}");
        }
        assert_eq!(milliseconds("1775980860137"), Some(1_775_980_860_137));
        assert_eq!(milliseconds("1775980860137999"), Some(1_775_980_860_137));
        assert_eq!(milliseconds("1"), Some(1000));
    }

    #[test]
    fn what_cannot_be_compared_is_no_time() {
        for text in [
            "",
            "0",
            "-1775980860",
            "0.0",
            "-0",
            "1775980860.5",
            "1e-3",
            "1e400",
            "1e99999999999",
            "100000000000000000",
            "9223372036854775808",
            "soon",
            "2026-04-12T08:01:00Z",
            "0x10",
            ".e1",
            "e",
            "NaN",
            "1 2",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        assert_eq!(milliseconds(&"9".repeat(1_000_000)), None);
    }
}
