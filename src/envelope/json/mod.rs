//! Walks JSON text without building it: names and values come out as slices of the body.
//!
//! The text is passed over once. Every value is checked against the whole grammar on the way, at
//! any depth and without recursion. Numbers stay the digits they came as. Half a surrogate pair is
//! valid grammar, so it fails nothing; only who asks for that very string gets replacement
//! characters. What is accepted is exactly what `serde_json` accepts, and it is `serde_json` that
//! says what is wrong with the rest.

mod fault;
mod text;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::str::Utf8Error;

pub(super) use self::fault::{check, fault_of_object};
pub(super) use self::text::unquote;

/// What a value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The kind of the valid JSON value `raw`.
pub(super) fn kind(raw: &str) -> Kind {
    raw.trim_ascii_start()
        .as_bytes()
        .first()
        .map_or(Kind::Null, |byte| Kind::of(*byte))
}

impl Kind {
    fn of(first: u8) -> Self {
        match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b't' | b'f' => Self::Bool,
            b'-' | b'0'..=b'9' => Self::Number,
            _ => Self::Null,
        }
    }
}

/// The body as text without its byte order mark.
pub(super) fn text(body: &[u8]) -> Result<&str, Utf8Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body)
}

/// The text is not the JSON that was asked for; [`fault_of_object`] knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A place in JSON text, and the way on from there.
///
/// `members` and `elements` hand the walk to a closure at each value, which has to pass over
/// exactly that one.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    text: &'a str,
    /// What is still ahead: the end of `text`.
    rest: &'a [u8],
    /// The brackets that [`Walk::skip`] has open; empty between two calls.
    open: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// A walk that begins where `text` does.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.as_bytes(),
            open: Vec::new(),
        }
    }

    /// Fails when anything but white space is left.
    pub(super) fn end(mut self) -> Result<(), Malformed> {
        match self.token() {
            Ok(_) => Err(Malformed),
            Err(Malformed) => Ok(()),
        }
    }

    /// The kind of the value that comes next, which is checked only when it is passed over.
    pub(super) fn kind(&mut self) -> Result<Kind, Malformed> {
        self.token().map(Kind::of)
    }

    /// Passes over the next value, and returns its text.
    pub(super) fn value(&mut self) -> Result<&'a str, Malformed> {
        self.value_by(Self::skip)
    }

    /// Passes over the next value with `pass`, and returns its text.
    pub(super) fn value_by(
        &mut self,
        pass: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<&'a str, Malformed> {
        self.token()?;
        let start = self.at();
        pass(self)?;
        self.text.get(start..self.at()).ok_or(Malformed)
    }

    /// Passes over the next value, and returns what it says when it is a string.
    pub(super) fn string(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        if self.token()? == b'"' {
            self.quoted().map(Some)
        } else {
            self.skip().map(|()| None)
        }
    }

    /// Passes over the next value, an object; calls `each` with the name of every member before
    /// its value, in the order they stand, duplicates too.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.quoted()?;
            self.expect(b':')?;
            each(self, name)?;
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }

    /// Passes over the next value, an array; calls `each` with the position of every element
    /// before its value.
    pub(super) fn elements(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            each(self, index)?;
            if !self.another(b']')? {
                return Ok(());
            }
            index += 1;
        }
    }

    /// Passes over the next value.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        loop {
            match self.token()? {
                b'{' => {
                    self.expect(b'{')?;
                    if !self.take(b'}') {
                        self.skip_name()?;
                        self.open.push(b'}');
                        continue;
                    }
                }
                b'[' => {
                    self.expect(b'[')?;
                    if !self.take(b']') {
                        self.open.push(b']');
                        continue;
                    }
                }
                first => self.skip_scalar(first)?,
            }
            // A value is over, and with it perhaps some of those it stands in.
            loop {
                let Some(&close) = self.open.last() else {
                    return Ok(());
                };
                if self.another(close)? {
                    if close == b'}' {
                        self.skip_name()?;
                    }
                    break;
                }
                self.open.pop();
            }
        }
    }

    /// After a member or element: passes over the comma before another one, or over `close`.
    #[inline]
    fn another(&mut self, close: u8) -> Result<bool, Malformed> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close).map(|()| false)
    }

    fn skip_name(&mut self) -> Result<(), Malformed> {
        self.expect(b'"')?;
        self.skip_string()?;
        self.expect(b':')
    }

    /// Passes over a string, and returns what it says.
    #[inline]
    fn quoted(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.expect(b'"')?;
        let start = self.at();
        let escaped = self.skip_string()?;
        let end = self.at() - 1;
        if escaped {
            let quoted = self.text.get(start - 1..=end);
            return quoted.map(unquote).ok_or(Malformed);
        }
        let plain = self.text.get(start..end);
        plain.map(Cow::Borrowed).ok_or(Malformed)
    }

    /// Where in the text the walk stands.
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Passes over `byte` if it comes next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        if self.token() != Ok(byte) {
            return false;
        }
        self.rest = self.rest.get(1..).unwrap_or_default();
        true
    }

    /// The next byte that is no white space, which is where the walk then stands.
    #[inline]
    fn token(&mut self) -> Result<u8, Malformed> {
        match self.rest {
            [byte @ (0x21..), ..] => Ok(*byte),
            _ => self.token_behind_space(),
        }
    }

    /// Apart, so that what is called at every token stays short: senders write few spaces.
    #[inline(never)]
    fn token_behind_space(&mut self) -> Result<u8, Malformed> {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied().ok_or(Malformed)
    }
}
