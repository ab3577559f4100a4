//! What filters do to text. Pure functions.

use std::borrow::Cow;

/// Stands where text was cut, and counts.
const ELLIPSIS: &str = "…";

/// Beyond this many marks on one character nobody reads it as one.
const LONGEST_CLUSTER: usize = 16;

/// The beginning of `text` that has at most `limit` bytes, an ellipsis included if it was cut.
///
/// The cut is on a character's boundary, and leaves no emoji or accented letter half.
pub(super) fn truncated(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let Some(room) = limit.checked_sub(ELLIPSIS.len()) else {
        return Cow::Borrowed("");
    };
    let (begin, _) = text.split_at(boundary(text, room));
    Cow::Owned(format!("{}{ELLIPSIS}", begin.trim_end()))
}

/// The last place at or before `limit` where something that reads as one character ends.
fn boundary(text: &str, limit: usize) -> usize {
    let mut at = text.floor_char_boundary(limit);
    for _ in 0..LONGEST_CLUSTER {
        let (before, behind) = text.split_at(at);
        let Some(last) = before.chars().next_back() else {
            break;
        };
        let continues = behind.chars().next().is_some_and(is_extending);
        if !continues && last != '\u{200d}' {
            return at;
        }
        at -= last.len_utf8();
    }
    text.floor_char_boundary(limit)
}

/// Whether a character belongs to the one before: marks, joiners, selectors, skin tones, tags.
fn is_extending(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' | '\u{3099}' | '\u{309a}'
        | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The text on one line: each run of white space and control characters is one space. Characters
/// that turn the direction of writing, or break lines without being seen, count among them.
pub(super) fn on_one_line(text: &str) -> String {
    let is_gap = |at: char| {
        at.is_whitespace()
            || at.is_control()
            || matches!(at, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let words: Vec<&str> = text.split(is_gap).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Everything but what RFC 3986 calls unreserved as `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    encoded(text, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
    })
}

/// A URL that a person may be shown and a markdown link may hold: `http` or `https`, and nothing in
/// it that ends a link. `None` when it is another scheme, or longer than `limit`.
pub(super) fn web_url(url: &str, limit: usize) -> Option<String> {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_web || rest.is_empty() || rest.starts_with('/') {
        return None;
    }
    let url = encoded(url, |byte| {
        byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&+,;=%".contains(&byte)
    });
    (url.len() <= limit).then_some(url)
}

fn encoded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            let digits = [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]);
            encoded.push('%');
            encoded.extend(digits);
        }
    }
    encoded
}

/// Whose markdown it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// What knows the backslash.
    CommonMark,
    /// Feishu's and Lark's, which knows character references.
    Feishu,
    /// DingTalk's and WeCom's, which promise no way to escape.
    Plain,
    /// Slack's, which has three references and no way to escape the rest.
    Slack,
}

impl Dialect {
    /// The names that templates use.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "commonmark" => Some(Self::CommonMark),
            "feishu" | "lark" => Some(Self::Feishu),
            "dingtalk" | "wecom" => Some(Self::Plain),
            "slack" => Some(Self::Slack),
            _ => None,
        }
    }
}

/// The text so that markdown shows it and does not follow it: no emphasis, link, image, tag or
/// mention comes of it.
///
/// Where a dialect has no way to escape a character, its full-width form stands for it: a reader sees
/// the same, and the robot sees a letter. An underscore within a word is nothing to any of them.
pub(super) fn markdown_escaped(text: &str, dialect: Dialect) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut last = ' ';
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        let is_inside = last.is_alphanumeric() && next.is_alphanumeric();
        match dialect {
            _ if character == '_' && is_inside => escaped.push('_'),
            Dialect::CommonMark => {
                if "\\`*_{}[]<>()#+-!|~&@:".contains(character) {
                    escaped.push('\\');
                }
                escaped.push(character);
            }
            Dialect::Feishu => {
                if "\\`*_[]<>()#!~&".contains(character) {
                    escaped.push_str(&format!("&#{};", u32::from(character)));
                } else {
                    escaped.push(character);
                }
            }
            Dialect::Slack => match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                other => escaped.push(if "*_`~".contains(other) {
                    wide(other)
                } else {
                    other
                }),
            },
            Dialect::Plain => escaped.push(if "*_`~[]<@#\\".contains(character) {
                wide(character)
            } else {
                character
            }),
        }
        last = character;
    }
    escaped
}

/// The full-width form of a visible ASCII character.
fn wide(character: char) -> char {
    char::from_u32(u32::from(character) + 0xfee0).unwrap_or(character)
}
