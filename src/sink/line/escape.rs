//! Text as the inside of a JSON string that is safe on a terminal.
//!
//! Escaped is what JSON demands, and what a terminal or a log viewer might obey: all control
//! characters (C0, DEL, C1), the line and paragraph separators, and the marks that reorder text.

/// Appends `text` escaped, as long as what is appended stays within `room` bytes.
///
/// Returns whether all of it went in; what did is whole characters.
pub(super) fn append_escaped(out: &mut Vec<u8>, text: &str, room: usize) -> bool {
    let end = out.len().saturating_add(room);
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest.as_bytes()));
        let left = end - out.len();
        if plain.len() > left {
            let (fitting, _) = plain.split_at(plain.floor_char_boundary(left));
            out.extend_from_slice(fitting.as_bytes());
            return false;
        }
        out.extend_from_slice(plain.as_bytes());

        let mut chars = tail.chars();
        let Some(special) = chars.next() else {
            return true;
        };
        let (escape, len) = escape(special);
        if len > end - out.len() {
            return false;
        }
        out.extend_from_slice(&escape[..len]);
        rest = chars.as_str();
    }
}

/// How many bytes from the beginning need no escape; ends at a character's boundary.
fn plain_len(bytes: &[u8]) -> usize {
    let needs_escape = |at: &usize| match bytes.get(*at..) {
        Some(rest @ [b'"' | b'\\' | ..0x20 | 0x7f | 0xc2 | 0xe2, ..]) => is_special(rest),
        _ => false,
    };
    // Nearly all text is plain: eight bytes at a time are passed over together.
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        if !is_plain_ascii(u64::from_le_bytes(*word))
            && let Some(special) = (at * 8..at * 8 + 8).find(needs_escape)
        {
            return special;
        }
    }
    let mut tail = words.len() * 8..bytes.len();
    tail.find(needs_escape).unwrap_or(bytes.len())
}

/// Whether none of eight bytes is a control character, a quote, a backslash or beyond ASCII.
fn is_plain_ascii(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    // Of bytes of ASCII a subtraction sets the top bit where the byte is smaller, and borrows only
    // there; the addition sets it for DEL.
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let delete = word.wrapping_add(ONES);
    (control | quote | backslash | delete | word) & TOPS == 0
}

/// Whether the character that `bytes` begin with, a suspect, does need an escape.
fn is_special(bytes: &[u8]) -> bool {
    match bytes {
        // U+0080 to U+009F
        [0xc2, next, ..] => matches!(next, ..0xa0),
        // U+2028 to U+202E, U+2066 to U+2069
        [0xe2, next, last, ..] => matches!((next, last), (0x80, 0xa8..=0xae) | (0x81, 0xa6..=0xa9)),
        _ => true,
    }
}

/// The escape of one of the characters [`plain_len`] stops at: all below U+FFFF.
fn escape(special: char) -> ([u8; 6], usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match special {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => {
            let digit = |shift: u32| HEX[(u32::from(special) >> shift & 0xf) as usize];
            return ([b'\\', b'u', digit(12), digit(8), digit(4), digit(0)], 6);
        }
    };
    ([b'\\', short, 0, 0, 0, 0], 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str, room: usize) -> (String, bool) {
        let mut out = b"<".to_vec();
        let whole = append_escaped(&mut out, text, room);
        (String::from_utf8(out).unwrap().split_off(1), whole)
    }

    #[test]
    fn what_a_terminal_might_obey_is_escaped() {
        let all = "a\"\\\n\r\t\0\u{1b}[0m\u{7f}\u{80}\u{9f}\u{a0}é\u{2027}\u{2028}\u{202e}\u{2066}\u{206a}😀";
        assert_eq!(
            escaped(all, 1000).0,
            "a\\\"\\\\\\n\\r\\t\\u0000\\u001b[0m\\u007f\\u0080\\u009f\u{a0}é\u{2027}\\u2028\\u202e\\u2066\u{206a}😀"
        );
    }

    proptest! {
        #[test]
        fn a_cut_text_is_a_prefix_of_whole_characters_within_the_room(
            text in "[a\"\\u{0}-\\u{a0}é\\u{2020}-\\u{2070}😀]{0,20}",
            room in 0_usize..60,
        ) {
            let (cut, whole) = escaped(&text, room);
            prop_assert!(cut.len() <= room);
            let read: String = serde_json::from_str(&format!("\"{cut}\"")).unwrap();
            prop_assert!(text.starts_with(&read));
            prop_assert_eq!(whole, read == text);
            prop_assert_eq!(whole, escaped(&text, 1000).0.len() <= room);
            prop_assert!(!cut.chars().any(char::is_control));
        }
    }
}
