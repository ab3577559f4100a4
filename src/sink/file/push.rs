//! The push as the last member of its line.

use serde::de::IgnoredAny;

/// Turns the line that `out` ends with into one that also holds `body`.
///
/// The bytes stay as they came, but for line breaks between tokens, which become spaces. What is no
/// JSON, which no accepted event is, becomes a string.
pub(super) fn append(out: &mut Vec<u8>, body: &[u8]) {
    debug_assert!(out.ends_with(b"}\n"), "a line is an object");
    out.truncate(out.len().saturating_sub(2));
    out.extend_from_slice(b",\"push\":");
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if is_json(body) {
        // JSON allows them between tokens only; inside a string they are escaped.
        let one_line = body.iter().map(|byte| match byte {
            b'\r' | b'\n' => b' ',
            other => *other,
        });
        out.extend(one_line);
    } else {
        // Writing to a Vec cannot fail.
        let _infallible = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(body));
    }
    out.extend_from_slice(b"}\n");
}

fn is_json(body: &[u8]) -> bool {
    if std::str::from_utf8(body).is_err() {
        return false;
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde::Deserialize::deserialize(&mut reader)
        .and_then(|IgnoredAny| reader.end())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(body: &[u8]) -> String {
        let mut out = b"{\"a\":1}\n".to_vec();
        append(&mut out, body);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_line_breaks_between_tokens_change() {
        assert_eq!(
            line(b"\xef\xbb\xbf{\r\n\t\"b\" : 1.0e5,\n\"c\":\"\\n\\ud800\",\"b\":184467440737095516160}\n"),
            "{\"a\":1,\"push\":{  \t\"b\" : 1.0e5, \"c\":\"\\n\\ud800\",\"b\":184467440737095516160} }\n"
        );
    }

    #[test]
    fn what_is_no_json_is_a_string() {
        for body in [
            &b"{\"a\":\n"[..],
            b"\xff\n{}",
            b"",
            b"{} {}",
            b"{\"a\":\"x\ny\"}",
        ] {
            let line = line(body);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(read["push"].is_string(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_body_there_is_one_line(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let line = line(&body);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(serde_json::from_str::<IgnoredAny>(&line).is_ok());
        }
    }
}
