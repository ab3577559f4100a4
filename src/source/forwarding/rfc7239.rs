//! Reads `Forwarded` (RFC 7239) from the right.
//!
//! A quoted string may hold commas, semicolons and escaped quotes, so the header cannot be split
//! first; and reading it from the left would let a client open a quote that swallows what the
//! proxy appended. From the right a well-formed element has one reading, whatever precedes its
//! comma: its last value is a bare one, or ends in a quote. In the latter case every quote inside
//! is escaped, by a run of backslashes of odd length, and the opening quote follows `=`, so the
//! first quote to the left without a backslash before it is the opening one. Then come `=`, a
//! name, and `;` (one more pair), `,` or the start of the instance.

use std::net::IpAddr;

use http::HeaderMap;

use super::{Fault, Unreadable, address};

/// Longer than any address with a port, escapes removed.
const NODE_BYTES: usize = 64;

/// The `for` addresses of `Forwarded`, the rightmost first. An instance whose grammar is broken
/// ends there: without it the elements further left have no bounds.
pub(crate) fn forwarded(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<IpAddr, Unreadable<'_>>> {
    let instances = headers.get_all(http::header::FORWARDED).iter().rev();
    instances.flat_map(|value| Elements {
        rest: Some(value.as_bytes()),
    })
}

/// The elements of one header instance, from the right.
struct Elements<'h> {
    /// What stands left of the elements read; `None` when there is nothing more.
    rest: Option<&'h [u8]>,
}

impl<'h> Iterator for Elements<'h> {
    type Item = Result<IpAddr, Unreadable<'h>>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let address = self.read(text);
        let left = self.rest.map_or(0, |rest| rest.len() + ",".len());
        let text = text[left..].trim_ascii();
        Some(address.map_err(|fault| Unreadable { text, fault }))
    }
}

impl<'h> Elements<'h> {
    /// Reads the last element of `text`, pair by pair.
    fn read(&mut self, mut text: &'h [u8]) -> Result<IpAddr, Fault> {
        let mut node = None;
        let mut empty = true;
        loop {
            let (pair, left) = last_pair(text).ok_or(Fault::Malformed)?;
            empty &= pair.is_none();
            if let Some(value) = pair.and_then(Pair::node)
                && node.replace(value).is_some()
            {
                return Err(Fault::TwoFors);
            }
            match left {
                [before @ .., b';'] => text = before,
                [before @ .., b','] => {
                    self.rest = Some(before);
                    break;
                }
                _ => break,
            }
        }
        match node {
            Some(value) => value.address(),
            None if empty => Err(Fault::Empty),
            None => Err(Fault::NoFor),
        }
    }
}

/// A parameter of an element.
#[derive(Debug, Clone, Copy)]
struct Pair<'h> {
    name: &'h [u8],
    value: Value<'h>,
}

/// What follows the `=`.
#[derive(Debug, Clone, Copy)]
enum Value<'h> {
    /// A token; also with the colons and brackets that the grammar wants quoted, and empty, as
    /// some proxies write it.
    Bare(&'h [u8]),
    /// What stands between the quotes, escapes and all.
    Quoted(&'h [u8]),
}

impl<'h> Pair<'h> {
    fn node(self) -> Option<Value<'h>> {
        self.name.eq_ignore_ascii_case(b"for").then_some(self.value)
    }
}

impl Value<'_> {
    fn address(self) -> Result<IpAddr, Fault> {
        let raw = match self {
            Self::Bare(raw) => return address::node(raw),
            Self::Quoted(raw) => raw,
        };
        let mut plain = [0; NODE_BYTES];
        let mut length = 0;
        let mut bytes = raw.iter();
        while let Some(&byte) = bytes.next() {
            let byte = match byte {
                b'\\' => *bytes.next().ok_or(Fault::Malformed)?,
                byte => byte,
            };
            *plain.get_mut(length).ok_or(Fault::NotAnAddress)? = byte;
            length += 1;
        }
        address::node(&plain[..length])
    }
}

/// The last pair of `text`, which may be missing (`;;` is allowed), and what is left before it:
/// nothing, or something that ends in `,` or `;`. `None`: the grammar is broken.
fn last_pair(text: &[u8]) -> Option<(Option<Pair<'_>>, &[u8])> {
    let text = trim_end(text);
    let (value, left) = match text.last() {
        None | Some(b',' | b';') => return Some((None, text)),
        Some(b'"') => {
            let open = opening_quote(text)?;
            (
                Value::Quoted(&text[open + 1..text.len() - 1]),
                &text[..open],
            )
        }
        Some(_) => {
            let (left, bare) = split_run(text, is_bare);
            (Value::Bare(bare), left)
        }
    };
    let (left, name) = split_run(left.strip_suffix(b"=")?, is_name);
    if name.is_empty() {
        return None;
    }
    let left = trim_end(left);
    matches!(left.last(), None | Some(b',' | b';')).then_some((Some(Pair { name, value }), left))
}

/// Where the quoted string begins that `text` ends with.
fn opening_quote(text: &[u8]) -> Option<usize> {
    let closing = text.len() - 1;
    if backslashes_before(text, closing) % 2 == 1 {
        return None;
    }
    let mut end = closing;
    loop {
        let quote = text[..end].iter().rposition(|&byte| byte == b'"')?;
        match backslashes_before(text, quote) {
            0 => return Some(quote),
            run if run % 2 == 1 => end = quote,
            // Neither escaped nor after `=`.
            _ => return None,
        }
    }
}

fn backslashes_before(text: &[u8], at: usize) -> usize {
    let before = text[..at].iter().rev();
    before.take_while(|&&byte| byte == b'\\').count()
}

/// Splits off the longest run of bytes that fit, at the end.
fn split_run(text: &[u8], fits: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let run = text.iter().rev().take_while(|&&byte| fits(byte)).count();
    text.split_at(text.len() - run)
}

fn trim_end(text: &[u8]) -> &[u8] {
    split_run(text, |byte| matches!(byte, b' ' | b'\t')).0
}

/// A `tchar` of RFC 9110 section 5.6.2.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Any visible character that does not delimit.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;=\\".contains(&byte)
}
