//! Filters: any text is compiled or refused with a place in it, and any data is judged within bounds,
//! the same at each look, and the other way round under `!`.
//!
//! The expression stands above a line of three dashes, the body of a push below it.

use std::panic;
use std::sync::Once;
use std::thread;

use flashduty_receiver::filter::{EvaluationError, Expression, FilterError, Scope};
use flashduty_receiver::words::{WORDS, Words};

use super::push;

/// The thread on which expressions are parsed.
const PARSER: &str = "parse-filter";

/// The most of a message that is not repeated out of the expression.
const MESSAGE_BYTES: usize = 512;

/// Compiles an expression and evaluates it.
pub fn check(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else {
        return;
    };
    spare_the_parser();
    let (source, body) = push::parts(input);
    match Expression::compile(source, &WORDS) {
        Ok(expression) => it_judges(&expression, body),
        Err(error) => a_refusal_says_where(&error, source),
    }
}

/// A panic of the parser is caught where it is called, and becomes a refusal, so it is no finding: the
/// fuzzer's hook, which ends the process at any panic, does not get to know of it.
pub fn spare_the_parser() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name() != Some(PARSER) {
                hook(panic);
            }
        }));
    });
}

fn a_refusal_says_where(error: &FilterError, source: &str) {
    let lines = 1 + source.matches('\n').count();
    assert!((1..=lines).contains(&error.line), "{error:?}");
    assert!(error.column >= 1 && !error.message.is_empty(), "{error:?}");
}

fn it_judges(expression: &Expression, body: &str) {
    let event = push::event(body);
    let words = Words::new(&event);
    let scope = Scope::new(words.tree());
    let judged = expression.evaluate(&scope);
    assert_eq!(judged, expression.evaluate(&scope));

    let explained = expression.explain(&scope);
    assert_eq!(explained.matched, judged == Ok(true));
    assert_eq!(explained.error.is_some(), judged.is_err());
    // A character may take ten bytes where it is escaped.
    let most = MESSAGE_BYTES + 10 * expression.source().len();
    let message = explained.error.unwrap_or_default();
    assert!(message.len() <= most, "{} bytes: {message}", message.len());

    // The line break ends a comment.
    let negated = format!("!({}\n)", expression.source());
    let Ok(negated) = Expression::compile(&negated, &WORDS) else {
        return;
    };
    match (judged, negated.evaluate(&scope)) {
        // The one may have taken a step more than the other.
        (Err(EvaluationError::Exhausted), _) | (_, Err(EvaluationError::Exhausted)) => {}
        (judged, negated) => assert_eq!(judged.ok().map(|truth| !truth), negated.ok()),
    }
}
