//! A look at an expression's characters, before the parser gets to see it.
//!
//! The parser and everything behind it recurses as deep as an expression nests. What is let
//! through here nests so little that no stack is at risk, whatever else is wrong with it.

use super::error::FilterError;

/// The longest expression, in bytes.
pub(super) const LONGEST: usize = 4096;
/// Brackets in brackets.
const DEEPEST: usize = 16;
/// Operators, fields and calls that may hang on one another, over all open brackets.
const STEEPEST: usize = 64;

/// What a token is to this look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An opening bracket, by the one that closes it.
    Open(char),
    Close,
    And,
    Or,
    Question,
    Comma,
    /// Whatever else takes what stands beside it: operators, dots, colons.
    Operator,
    /// A name, a number or a string.
    Operand,
}

/// A piece of the source, by its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The tokens of `source`, when it is short, flat and closed enough to be parsed.
pub(super) fn scan(source: &str) -> Result<Vec<Token>, FilterError> {
    if source.len() > LONGEST {
        let message = format!(
            "the expression takes {} bytes; at most {LONGEST} are allowed",
            source.len()
        );
        return Err(FilterError::at(source, 0, message));
    }
    let mut scanner = Scanner { source, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next()? {
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Err(FilterError::at(source, 0, "the expression is empty"));
    }
    check_nesting(source, &tokens)?;
    Ok(tokens)
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        FilterError::at(self.source, self.at, message)
    }

    fn next(&mut self) -> Result<Option<Token>, FilterError> {
        self.skip_blanks();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let kind = match first {
            '(' | '[' | '{' => {
                self.at += 1;
                Kind::Open(match first {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                })
            }
            ')' | ']' | '}' => self.take(1, Kind::Close),
            ',' => self.take(1, Kind::Comma),
            '?' => self.take(1, Kind::Question),
            '"' | '\'' => self.string(false)?,
            '0'..='9' => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => self.word()?,
            _ => self.operator(first)?,
        };
        Ok(Some(Token {
            kind,
            start,
            end: self.at,
        }))
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at += bytes;
        kind
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len()
                - rest
                    .trim_start_matches([' ', '\t', '\r', '\n', '\x0c'])
                    .len();
            let comment = match rest.strip_prefix("//") {
                Some(comment) => 2 + comment.find('\n').unwrap_or(comment.len()),
                None => 0,
            };
            if blank + comment == 0 {
                return;
            }
            self.at += blank.max(comment);
        }
    }

    fn number(&mut self) -> Kind {
        let bytes = self.rest().as_bytes();
        let digit_at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            if !(byte.is_ascii_alphanumeric() || *byte == b'.' && digit_at(end + 1)) {
                break;
            }
            end += 1;
        }
        self.take(end, Kind::Operand)
    }

    fn word(&mut self) -> Result<Kind, FilterError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let raw = match word {
            "r" | "R" | "br" | "bR" | "Br" | "BR" => Some(true),
            "b" | "B" => Some(false),
            _ => None,
        };
        let kind = match word {
            "in" => Kind::Operator,
            _ => Kind::Operand,
        };
        match raw {
            Some(raw) if behind.starts_with(['"', '\'']) => {
                self.at += end;
                self.string(raw)
            }
            _ => Ok(self.take(end, kind)),
        }
    }

    /// Up to the quotes that close it; in a raw string a backslash is one.
    fn string(&mut self, raw: bool) -> Result<Kind, FilterError> {
        let rest = self.rest();
        let one = rest.get(..1).unwrap_or_default();
        let three = one.repeat(3);
        let quotes = if rest.starts_with(&three) {
            three.as_str()
        } else {
            one
        };
        let mut at = quotes.len();
        while let Some(ahead) = rest.get(at..) {
            if ahead.starts_with(quotes) {
                return Ok(self.take(at + quotes.len(), Kind::Operand));
            }
            let Some(next) = ahead.chars().next() else {
                break;
            };
            if next == '\n' && quotes.len() == 1 {
                break;
            }
            let escaped = match next {
                '\\' if !raw => ahead.chars().nth(1).map_or(0, char::len_utf8),
                _ => 0,
            };
            at += next.len_utf8() + escaped;
        }
        Err(self.error(format!("this text has no closing {quotes}")))
    }

    fn operator(&mut self, first: char) -> Result<Kind, FilterError> {
        let rest = self.rest();
        let two = |operator: &str| rest.starts_with(operator);
        let (bytes, kind) = match first {
            '&' if two("&&") => (2, Kind::And),
            '|' if two("||") => (2, Kind::Or),
            '&' => return Err(self.error("unexpected &; write && for both")),
            '|' => return Err(self.error("unexpected |; write || for either")),
            '=' | '!' | '<' | '>' if rest.as_bytes().get(1) == Some(&b'=') => (2, Kind::Operator),
            '=' => return Err(self.error("unexpected =; write == to compare")),
            '!' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '.' | ':' => (1, Kind::Operator),
            other => {
                let message = format!("unexpected character {}", other.escape_debug());
                return Err(self.error(message));
            }
        };
        Ok(self.take(bytes, kind))
    }
}

/// What hangs on what within one pair of brackets: each operator nests what stands beside it, each
/// question what follows it. A chain of `&&` or `||` is as flat as its parts.
#[derive(Default)]
struct Level {
    closer: Option<char>,
    start: usize,
    questions: usize,
    operators: usize,
}

fn check_nesting(source: &str, tokens: &[Token]) -> Result<(), FilterError> {
    let mut levels = vec![Level::default()];
    for token in tokens {
        let text = source.get(token.start..token.end).unwrap_or_default();
        let error = |message: String| FilterError::at(source, token.start, message);
        match token.kind {
            Kind::Open(closer) => {
                // A call or an index hangs on what stands before it.
                if let Some(level) = levels.last_mut() {
                    level.operators += 1;
                }
                levels.push(Level {
                    closer: Some(closer),
                    start: token.start,
                    ..Level::default()
                });
            }
            Kind::Close => {
                let closed = levels.pop().and_then(|level| level.closer);
                match closed {
                    Some(closer) if text.starts_with(closer) => {}
                    Some(closer) => {
                        return Err(error(format!("unexpected {text}; expected {closer}")));
                    }
                    None => return Err(error(format!("unexpected {text}; nothing is open here"))),
                }
            }
            Kind::And | Kind::Or | Kind::Comma => {
                if let Some(level) = levels.last_mut() {
                    level.operators = 0;
                }
            }
            Kind::Question => {
                if let Some(level) = levels.last_mut() {
                    level.questions += 1;
                }
            }
            Kind::Operator => {
                if let Some(level) = levels.last_mut() {
                    level.operators += 1;
                }
            }
            Kind::Operand => {}
        }
        let depth = |level: &Level| 1 + level.questions + level.operators;
        if levels.len() > DEEPEST || levels.iter().map(depth).sum::<usize>() > STEEPEST {
            return Err(error("the expression is nested too deep here".to_owned()));
        }
    }
    match levels.last() {
        Some(Level {
            closer: Some(closer),
            start,
            ..
        }) => Err(FilterError::at(
            source,
            *start,
            format!("this bracket is never closed; a {closer} is missing"),
        )),
        _ => Ok(()),
    }
}

/// How the parts of an expression are joined at its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// By `&&`, or there is only one.
    All,
    /// By `||`.
    Any,
}

/// The parts of the chain of `&&` or `||` that `source` is, each as it is written.
pub(super) fn clauses<'s>(source: &'s str, tokens: &[Token]) -> (Joint, Vec<&'s str>) {
    let tokens = unwrapped(tokens);
    let at_top = |kind: Kind| {
        let mut depth = 0_usize;
        let mut places = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            match token.kind {
                Kind::Open(_) => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                found if found == kind && depth == 0 => places.push(place),
                _ => {}
            }
        }
        places
    };
    let (joint, places) = if !at_top(Kind::Question).is_empty() {
        (Joint::All, Vec::new())
    } else {
        match at_top(Kind::Or) {
            ors if ors.is_empty() => (Joint::All, at_top(Kind::And)),
            ors => (Joint::Any, ors),
        }
    };
    let mut texts = Vec::with_capacity(places.len() + 1);
    let mut from = 0;
    for to in places.into_iter().chain([tokens.len()]) {
        let part = tokens.get(from..to).unwrap_or_default();
        if let (Some(first), Some(last)) = (part.first(), part.last()) {
            texts.push(source.get(first.start..last.end).unwrap_or_default());
        }
        from = to + 1;
    }
    (joint, texts)
}

/// Without the round brackets around all of it.
fn unwrapped(mut tokens: &[Token]) -> &[Token] {
    while let [first, inner @ .., last] = tokens {
        let mut depth = 1_usize;
        let closes_early = inner.iter().any(|token| {
            match token.kind {
                Kind::Open(_) => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        if first.kind != Kind::Open(')') || last.kind != Kind::Close || closes_early {
            break;
        }
        tokens = inner;
    }
    tokens
}
