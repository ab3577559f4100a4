//! A text that is looked for: found exactly where a naive search finds it, in the body as it came or
//! in what its escapes mean.
//!
//! The text stands in the first line, the body below it.

use flashduty_receiver::event::{Origin, Outcome, Seq};
use flashduty_receiver::inbox::query::EventRow;
use flashduty_receiver::inbox::search::Needle;
use jiff::Timestamp;

/// Characters that nobody has a reason to escape; where somebody did, it stays as it is.
const PLAIN: &str = " !#$%()*,-.:;?@[]^_{|}~";

/// Looks for a text in a body.
pub fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (text, body) = data.split_at(end.unwrap_or(data.len()));
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Some(needle) = Needle::new(text) else {
        let length = text.chars().count();
        assert!(length == 0 || length > 200, "{text:?} can be looked for");
        return;
    };
    assert_eq!(needle.as_str(), text);
    let expected = holds(body, text) || holds(&meant(body), text);
    assert_eq!(needle.is_in(&row(), body), expected, "{text:?}");
}

/// An event that says nothing but its body.
fn row() -> EventRow {
    EventRow {
        seq: Seq(1),
        event_id: None,
        event_type: String::new(),
        event_time: None,
        subject: None,
        outcome: Outcome::Accepted,
        command: false,
        tag: None,
        query: None,
        source_ip: None,
        peer_ip: None,
        received_at: Timestamp::UNIX_EPOCH,
        origin: Origin::Push,
        body_bytes: 0,
        title: None,
        severity: None,
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let body = body.to_ascii_lowercase();
    let mut places = body.windows(text.len());
    places.any(|place| place == text.as_bytes())
}

/// The body with its escapes undone, one after the other.
fn meant(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        let escaped = match (*byte, body.get(at + 1)) {
            (b'\\', Some(b'u')) => by_number(body, at),
            (b'\\', Some(next)) => short(*next).map(|c| (c, 2)),
            _ => None,
        };
        let Some((c, length)) = escaped else {
            plain.push(*byte);
            at += 1;
            continue;
        };
        plain.extend_from_slice(c.to_string().as_bytes());
        at += length;
    }
    plain
}

fn short(next: u8) -> Option<char> {
    let known = "\"\"\\\\//b\u{8}f\u{c}n\nr\rt\t";
    let mut pairs = known.chars();
    while let (Some(written), Some(meant)) = (pairs.next(), pairs.next()) {
        if char::from(next) == written {
            return Some(meant);
        }
    }
    None
}

fn by_number(body: &[u8], at: usize) -> Option<(char, usize)> {
    let high = unit(body, at)?;
    let (number, length) = match high {
        0xd800..=0xdbff => match unit(body, at + 6)? {
            low @ 0xdc00..=0xdfff => (0x1_0000 + (high - 0xd800) * 0x400 + (low - 0xdc00), 12),
            _ => return None,
        },
        _ => (high, 6),
    };
    let c = char::from_u32(number)?;
    let stays = c.is_ascii_alphanumeric() || PLAIN.contains(c);
    (!stays).then_some((c, length))
}

/// The four digits behind a `\u` that stands at `at`.
fn unit(body: &[u8], at: usize) -> Option<u32> {
    let escape = body.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    let mut number = 0;
    for digit in digits {
        number = number * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(number)
}
