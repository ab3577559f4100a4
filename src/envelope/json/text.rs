//! The parts of the grammar that hold no other values: strings, numbers and words.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Visitor};

use super::{Malformed, Walk};

impl Walk<'_> {
    /// Passes over the string, number or word that begins with `first`, the byte that is next.
    #[inline]
    pub(super) fn skip_scalar(&mut self, first: u8) -> Result<(), Malformed> {
        match first {
            b'"' => {
                self.next()?;
                self.skip_string().map(drop)
            }
            b'-' | b'0'..=b'9' => self.skip_number(),
            b't' => self.skip_word(b"true"),
            b'f' => self.skip_word(b"false"),
            b'n' => self.skip_word(b"null"),
            _ => Err(Malformed),
        }
    }

    /// Passes over a string behind its first quote; returns whether it holds an escape.
    pub(super) fn skip_string(&mut self) -> Result<bool, Malformed> {
        let mut escaped = false;
        loop {
            self.rest = behind_plain(self.rest);
            match self.next()? {
                b'"' => return Ok(escaped),
                b'\\' => {
                    escaped = true;
                    self.skip_escape()?;
                }
                _control => return Err(Malformed),
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), Malformed> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let (digits, rest) = self.rest.split_first_chunk::<4>().ok_or(Malformed)?;
                self.rest = rest;
                let hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
                hexadecimal.then_some(()).ok_or(Malformed)
            }
            _ => Err(Malformed),
        }
    }

    fn skip_number(&mut self) -> Result<(), Malformed> {
        if let [b'-', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if let [b'0', rest @ ..] = self.rest {
            // A digit behind it is where something else should stand.
            self.rest = rest;
        } else {
            self.skip_digits()?;
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.skip_digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.skip_digits()?;
        }
        Ok(())
    }

    /// Passes over one digit or more.
    fn skip_digits(&mut self) -> Result<(), Malformed> {
        let mut rest = self.rest;
        while let [b'0'..=b'9', behind @ ..] = rest {
            rest = behind;
        }
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some.then_some(()).ok_or(Malformed)
    }

    fn skip_word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        self.rest = self.rest.strip_prefix(word).ok_or(Malformed)?;
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }
}

/// What is left of a string where a byte does not stand for itself: from a quote, a backslash or a
/// control character.
///
/// Looks at eight bytes at a time: most strings end within the first or second such step, too
/// early for wider ones to pay.
#[inline]
fn behind_plain(mut rest: &[u8]) -> &[u8] {
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            let plain = (special.trailing_zeros() / 8) as usize;
            return rest.get(plain..).unwrap_or_default();
        }
        rest = behind;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let plain = rest.iter().position(special).unwrap_or(rest.len());
    rest.get(plain..).unwrap_or_default()
}

/// The top bit of each byte that does not stand for itself; above the lowest of them there may be
/// others, as subtraction borrows from the byte above.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    // Subtraction sets the top bit of a byte that is smaller, or had it set before: those are
    // bytes beyond ASCII, and left out at the end.
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & TOPS
}

/// The text of a valid JSON string, borrowed unless it holds an escape.
pub(crate) fn unquote(raw: &str) -> Cow<'_, str> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(raw);
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    // As bytes, because only then the parser lets half a surrogate pair through.
    let mut json = serde_json::Deserializer::from_str(raw);
    json.deserialize_bytes(Lossy)
        .map_or(Cow::Borrowed(inner), Cow::Owned)
}

struct Lossy;

impl Visitor<'_> for Lossy {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}
