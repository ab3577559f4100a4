//! The parser, and what it complains of, in other words.

use std::thread;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::{Env, ParseError};

use super::error::FilterError;

/// The deepest expression that the scanner lets through takes the parser a fifth of this, when it
/// is compiled without optimisation.
const STACK: usize = 16 << 20;

/// A tree and where its parts stand.
pub(super) struct Parsed {
    pub(super) tree: IdedExpr,
    pub(super) info: SourceInfo,
}

/// Parses what the scanner let through. Macros stay the calls they are written as.
///
/// It happens on a thread of its own, so that the depth of an expression is no matter of how much
/// stack the caller has left.
pub(super) fn parse(source: &str) -> Result<Parsed, FilterError> {
    let failed = |message: &str| FilterError::at(source, 0, message);
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("parse-filter".to_owned())
            .stack_size(STACK);
        match thread.spawn_scoped(scope, || parse_here(source)) {
            Ok(parsing) => parsing
                .join()
                .unwrap_or_else(|_panic| Err(failed("this cannot be understood"))),
            Err(error) => Err(failed(&format!(
                "there is no thread to parse it on: {error}"
            ))),
        }
    })
}

fn parse_here(source: &str) -> Result<Parsed, FilterError> {
    let parser = Env::default().with_optional_support(false).parser();
    match parser.parse_with_source_info(source) {
        Ok((tree, info)) => Ok(Parsed { tree, info }),
        Err(errors) => Err(match errors.errors.first() {
            Some(error) => translated(source, error),
            None => FilterError::at(source, 0, "this is no expression"),
        }),
    }
}

/// The parser lists every token of its grammar that would have fitted; what stands there instead
/// helps more.
fn translated(source: &str, error: &ParseError) -> FilterError {
    let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
    let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
    let said = error
        .msg
        .strip_prefix("Syntax error: ")
        .unwrap_or(&error.msg);
    let found = said.split('\'').nth(1).unwrap_or_default();
    let message = if said.contains("int literal") {
        "this number is too large; one that fits 64 bits without a sign ends with a u, such as \
         18446744073709551615u"
            .to_owned()
    } else if said.starts_with("invalid string literal")
        || said.starts_with("token recognition error")
    {
        "this text holds a \\ that means nothing; write \\\\ for the character itself".to_owned()
    } else if let Some(name) = said.strip_prefix("reserved identifier: ") {
        format!("{name} is a reserved word")
    } else if found == "<EOF>" {
        "the expression ends too early".to_owned()
    } else if error.pos.0 < 1 || found.is_empty() {
        "this cannot be understood".to_owned()
    } else {
        // Some messages quote all that was read so far; the last piece is what did not fit.
        let there = offending(source, line, column).unwrap_or(found);
        match there {
            "and" | "AND" => "unexpected and; write && for both".to_owned(),
            "or" | "OR" => "unexpected or; write || for either".to_owned(),
            _ => format!("unexpected {there}"),
        }
    };
    let lines = source.lines().count().max(1);
    FilterError {
        line: line.min(lines),
        column,
        message,
    }
}

/// The word, or else the character, at a place.
fn offending(source: &str, line: usize, column: usize) -> Option<&str> {
    let line = source.lines().nth(line - 1)?;
    let (start, first) = line.char_indices().nth(column - 1)?;
    let rest = line.get(start..)?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    rest.get(
        ..if is_word(first) {
            end
        } else {
            first.len_utf8()
        },
    )
}
