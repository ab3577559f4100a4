//! A text that is looked for in events.
//!
//! It is found in a body as it came and in what the body means: senders of JSON write a letter itself
//! or escape it, and who searches does not know which. Capitals and small letters of ASCII are the
//! same, as one expects of a search box; nothing in the text stands for anything but itself.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::inbox::query::EventRow;

/// Characters of a text at most.
const LONGEST: usize = 200;
/// Characters beyond ASCII of which traces are looked for: each is read for in two forms.
const TRACED: usize = 2;

/// What a text to look for may be.
pub const TEXT: &str = "1 to 200 characters";

/// A text to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    text: Arc<str>,
    pattern: Arc<Regex>,
}

impl Needle {
    /// `None` for no text, and for one that is too long.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().count() > LONGEST {
            return None;
        }
        let mut pattern = String::new();
        for c in text.chars() {
            let mut bytes = [0; 4];
            let utf8 = c.encode_utf8(&mut bytes);
            if c.is_ascii() {
                pattern.push_str(&regex::escape(utf8));
                continue;
            }
            for byte in utf8.bytes() {
                // Writing to a String cannot fail.
                let _infallible = write!(pattern, "\\x{byte:02X}");
            }
        }
        let pattern = RegexBuilder::new(&pattern)
            .unicode(false)
            .case_insensitive(true)
            .build()
            .ok()?;
        Some(Self {
            text: text.into(),
            pattern: Arc::new(pattern),
        })
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands in the event's id, type or subject, or in its body.
    pub fn is_in(&self, row: &EventRow, body: &[u8]) -> bool {
        let names = [
            row.event_id.as_deref(),
            Some(row.event_type.as_str()),
            row.subject.as_deref(),
        ];
        let mut names = names.into_iter().flatten();
        names.any(|name| self.pattern.is_match(name.as_bytes())) || self.is_in_body(body)
    }

    fn is_in_body(&self, body: &[u8]) -> bool {
        self.pattern.is_match(body)
            || unescaped(body).is_some_and(|body| self.pattern.is_match(&body))
    }

    /// The text in small letters, as far as they are ASCII.
    pub(in crate::inbox) fn folded(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// What a body in small letters holds if the text is in it, each in one of its forms. A database
    /// that cannot read escapes leaves out by these what need not be looked at.
    pub(in crate::inbox) fn traces(&self) -> Vec<Vec<String>> {
        let folded = self.folded();
        let mut traces = Vec::new();
        let runs = folded.split(|c: char| !needs_no_escape(c));
        let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
        if !longest.is_empty() {
            traces.push(vec![longest.to_owned()]);
        }
        let mut traced: Vec<char> = Vec::new();
        for c in folded.chars().filter(|c| !c.is_ascii()) {
            if traced.len() < TRACED && !traced.contains(&c) {
                traced.push(c);
                traces.push(vec![c.to_string(), escaped(c)]);
            }
        }
        traces
    }
}

/// Whether no writer of JSON has a reason to escape it; then an escape of it is left as it stands.
fn needs_no_escape(c: char) -> bool {
    c.is_ascii_alphanumeric() || " !#$%()*,-.:;?@[]^_{|}~".contains(c)
}

/// As JSON may write it, in small letters.
fn escaped(c: char) -> String {
    let mut text = String::new();
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "\\u{unit:04x}");
    }
    text
}

/// The body with the characters that its escapes mean; `None` where it has none.
fn unescaped(body: &[u8]) -> Option<Vec<u8>> {
    let first = body.iter().position(|byte| *byte == b'\\')?;
    let (before, mut rest) = body.split_at(first);
    let mut plain = Vec::with_capacity(body.len());
    plain.extend_from_slice(before);
    while let Some((byte, behind)) = rest.split_first() {
        match escape(rest) {
            Some((c, length)) => {
                plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[length..];
            }
            None => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    Some(plain)
}

/// The character that an escape at the beginning of `text` means, and how long the escape is.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let c = match text.strip_prefix(b"\\")?.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return by_number(text),
        _ => return None,
    };
    Some((c, 2))
}

fn by_number(text: &[u8]) -> Option<(char, usize)> {
    let high = unit(text)?;
    let (c, length) = match char::from_u32(u32::from(high)) {
        Some(c) => (c, 6),
        // The first half of a pair.
        None => {
            let low = unit(text.get(6..)?)?;
            (char::decode_utf16([high, low]).next()?.ok()?, 12)
        }
    };
    (!needs_no_escape(c)).then_some((c, length))
}

fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, body: &str) -> bool {
        Needle::new(text).unwrap().is_in_body(body.as_bytes())
    }

    #[test]
    fn a_text_is_found_in_a_body_as_it_came_and_in_what_it_means() {
        for body in [
            r#"{"title":"Disk 磁盘 > 90% c:/x 😀"}"#,
            r#"{"title":"Disk \u78c1\u76D8 \u003e 90% c:\/x \ud83d\uDE00"}"#,
            r#"{"title":"Disk \u78C1盘 > 90% c:\/x \ud83d\ude00"}"#,
        ] {
            for text in ["disk 磁盘 > 90%", "盘", "C:/X", "😀", "% c"] {
                assert!(found(text, body), "{text} in {body}");
            }
            for text in ["磁 盘", "9_%", "d.sk", "diskk", "😁"] {
                assert!(!found(text, body), "{text} in {body}");
            }
        }
    }

    #[test]
    fn an_escaped_backslash_begins_no_escape_and_half_a_pair_is_no_character() {
        assert!(!found("中", r#"{"a":"\\u4e2d"}"#));
        assert!(found("中", r#"{"a":"\\\u4e2d"}"#));
        assert!(found(r"\u4e2d", r#"{"a":"\\u4e2d"}"#));
        assert!(found(r"\u4E2D", r#"{"a":"\u4e2d"}"#));
        assert!(found("b", r#"{"a":"\ud83d b"}"#));
        assert!(found("b", "{\"a\":\"\\u12\u{e9} b\\"));
        assert!(found("a\nb\"", r#"{"a":"a\nb\""}"#));
        assert!(!found("é", r"\u+0e9"));
    }

    #[test]
    fn small_and_large_are_the_same_in_ascii_only() {
        assert!(found("DISK", "disk"));
        assert!(!found("é", "É"));
        assert!(Needle::new("").is_none());
        assert!(Needle::new(&"é".repeat(LONGEST)).is_some());
        assert!(Needle::new(&"é".repeat(LONGEST + 1)).is_none());
    }

    /// `text` in JSON: each character as it is, or escaped where there may be a reason to.
    fn written(text: &str, ways: &[bool]) -> String {
        let mut body = String::new();
        for (c, escapes) in text.chars().zip(ways.iter().cycle()) {
            match c {
                '"' | '\\' => body.extend(['\\', c]),
                c if (*escapes && !needs_no_escape(c)) || c.is_control() => body += &escaped(c),
                c => body.push(c),
            }
        }
        body
    }

    proptest! {
        #[test]
        fn every_way_to_write_a_text_is_found_and_leaves_its_traces(
            text in "[a-zA-Z0-9 %_<>/'\"\\\\é磁盘😀\n]{1,12}",
            ways in prop::collection::vec(any::<bool>(), 1..12),
            before in "[a-z磁 ]{0,8}",
        ) {
            let needle = Needle::new(&text).unwrap();
            let body = format!("{{\"title\":\"{}\"}}", written(&format!("{before}{text}"), &ways));
            prop_assert!(needle.is_in_body(body.as_bytes()));
            let folded = body.to_ascii_lowercase();
            for forms in needle.traces() {
                let there = forms.iter().any(|form| folded.contains(form.as_str()));
                prop_assert!(there, "{forms:?} in {folded}");
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _plain = unescaped(&body);
        }
    }
}
