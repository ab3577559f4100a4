//! JSON as a tree in which every integer is exact.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

/// Digits that certainly fit 64 bits.
const SURE: usize = 18;

/// The tree of `body`; `None` when it is no JSON, or deeper than anyone means.
///
/// An integer that 64 bits do not hold becomes the text of its digits: as a number it would be
/// read as a float, and another id.
pub(super) fn read(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let quoted = with_long_integers_quoted(body);
    // Where a name should stand, quotes would make JSON of what is none.
    if matches!(quoted, Cow::Owned(_)) && serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return None;
    }
    serde_json::from_slice(&quoted).ok()
}

/// The body, borrowed unless it holds such an integer.
fn with_long_integers_quoted(body: &[u8]) -> Cow<'_, [u8]> {
    let (mut quoted, mut done): (Vec<u8>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'"' => at = behind_string(body, at),
            b'-' | b'0'..=b'9' => {
                let end = behind_number(body, at);
                if is_long_integer(&body[at..end]) {
                    quoted.extend_from_slice(&body[done..at]);
                    quoted.push(b'"');
                    quoted.extend_from_slice(&body[at..end]);
                    quoted.push(b'"');
                    done = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if done == 0 {
        return Cow::Borrowed(body);
    }
    quoted.extend_from_slice(&body[done..]);
    Cow::Owned(quoted)
}

fn behind_string(body: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < body.len() {
        match body[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

fn behind_number(body: &[u8], start: usize) -> usize {
    let rest = body[start + 1..].iter();
    let more =
        rest.take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    start + 1 + more.count()
}

fn is_long_integer(number: &[u8]) -> bool {
    number.len() > SURE
        && std::str::from_utf8(number).is_ok_and(|text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            // What no JSON parser takes for a number stays wrong without quotes.
            let plain =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            plain && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_beyond_64_bits_are_their_digits_and_all_else_is_as_it_came() {
        let body = r#"{"a":[18446744073709551615,18446744073709551616,-9223372036854775809,1.5,1e30],
            "b":"x 99999999999999999999 \" 99999999999999999999","99999999999999999999":7}"#;
        assert_eq!(
            read(body.as_bytes()).unwrap(),
            json!({
                "a": [u64::MAX, "18446744073709551616", "-9223372036854775809", 1.5, 1e30],
                "b": "x 99999999999999999999 \" 99999999999999999999",
                "99999999999999999999": 7,
            })
        );
    }

    #[test]
    fn what_is_no_json_has_no_tree() {
        for body in [
            "",
            "{",
            "[00000000000000000000001]",
            "\"",
            "{\"a\":-}",
            "\"\\",
            "{99999999999999999999:7}",
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _tree = read(&body);
        }

        #[test]
        fn an_integer_keeps_its_digits(number in "-?[1-9][0-9]{0,40}") {
            let tree = read(format!("[{number}]").as_bytes()).unwrap();
            let text = tree[0].as_str().map_or_else(|| tree[0].to_string(), str::to_owned);
            prop_assert_eq!(text, number);
        }
    }
}
