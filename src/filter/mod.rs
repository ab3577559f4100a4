//! Conditions over JSON-like data, written in CEL: which events a sink wants, which answers are a
//! success, what need not be sent.
//!
//! The language is that of <https://cel.dev>, less what no condition needs:
//!
//! - `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `&&`, `||`, `!`, `? :`, `+`, `-`, `*`, `/`, `%`,
//!   fields (`labels.team`), keys (`labels['host.name']`) and elements (`push.alerts[0]`);
//! - `has(x.y)`, `size`, `contains`, `startsWith`, `endsWith`, `matches`, `lowerAscii`,
//!   `upperAscii`, `int`, `double`, `string`;
//! - `all`, `exists`, `exists_one`, `filter` and `map` over a list or the keys of a map, one
//!   beside the other but not one inside another.
//!
//! Where it says more than CEL, or something else:
//!
//! - What is not there is an error, and an error is no match, also under `!`. As in CEL, an error
//!   does not matter where the other side of `&&` or `||` decides alone. That something is not
//!   there is told apart from what is there and does not fit ([`EvaluationError::is_fault`]).
//! - `has()` asks whether a whole path is there: `has(push.incident.fields.x)` is false for a push
//!   without an incident. It also takes a name alone: `has(title)`.
//! - Numbers are one kind. Whole ones are exact over the range of `i64` and `u64`, and compare by
//!   value with fractions, which JSON does not tell apart: `1 == 1.0`. A text is never equal to a
//!   number.
//! - A pattern is a literal, compiled when the expression is.
//!
//! Nothing that comes in, expression or data, makes an evaluation panic, take more than a stack's
//! usual depth, or take time that grows faster than the data: an expression is bounded in length,
//! depth and parts when it is loaded, and an evaluation in its steps.

mod comprehend;
mod error;
mod evaluate;
mod functions;
mod lexis;
mod lower;
mod node;
mod parse;
mod scope;
#[cfg(test)]
mod tests;
mod value;

pub use self::error::{EvaluationError, FilterError};
pub use self::scope::Scope;

use self::evaluate::Evaluator;
use self::lexis::Joint;
use self::node::Node;

/// A condition, compiled.
#[derive(Debug)]
pub struct Expression {
    source: Box<str>,
    joint: Joint,
    clauses: Vec<Clause>,
}

/// A part of the chain of `&&` or `||` that the whole is; all of it when it is no chain.
#[derive(Debug)]
struct Clause {
    text: Box<str>,
    node: Node,
}

/// What an expression says of some data, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is true.
    pub matched: bool,
    /// The part that decided, as it is written: the first false one of a chain of `&&`, the first
    /// true one of a chain of `||`, the one that could not be evaluated. `None` when no single
    /// part did: all were true, or none was.
    pub clause: Option<String>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
}

impl Expression {
    /// Compiles `source`, in which `variables` are the names there may be.
    ///
    /// # Errors
    /// When it is no expression, uses what there is not, cannot be true or false, or is too long,
    /// too deep or too large to be evaluated safely.
    pub fn compile(source: &str, variables: &[&str]) -> Result<Self, FilterError> {
        let tokens = lexis::scan(source)?;
        // The whole first, so that a complaint says where in the whole it belongs.
        let whole = lower::lower(&parse::parse(source)?, source, variables)?;
        let (joint, texts) = lexis::clauses(source, &tokens);
        let clauses = match texts.as_slice() {
            [_] => vec![Clause {
                text: source.trim().into(),
                node: whole,
            }],
            texts => texts
                .iter()
                .map(|text| {
                    let node = lower::lower(&parse::parse(text)?, text, variables)?;
                    let text = (*text).into();
                    Ok(Clause { text, node })
                })
                .collect::<Result<_, FilterError>>()?,
        };
        Ok(Self {
            source: source.into(),
            joint,
            clauses,
        })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is true of what is in `scope`.
    ///
    /// # Errors
    /// When it is neither true nor false of it; for the caller that is no match.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        self.decide(scope).0
    }

    /// Whether it is true of what is in `scope`, and which part of it says so.
    pub fn explain(&self, scope: &Scope<'_>) -> Explanation {
        let (decision, clause) = self.decide(scope);
        Explanation {
            matched: decision == Ok(true),
            clause: clause.map(|clause| clause.text.to_string()),
            error: decision.err().map(|error| error.to_string()),
        }
    }

    /// Whether it looks at `variable`.
    pub fn references(&self, variable: &str) -> bool {
        self.clauses
            .iter()
            .any(|clause| clause.node.references(variable))
    }

    /// Whether it asks somewhere for `variable` being `text`, by `==` or `in`.
    pub fn compares(&self, variable: &str, text: &str) -> bool {
        self.clauses
            .iter()
            .any(|clause| clause.node.compares(variable, text))
    }

    fn decide(&self, scope: &Scope<'_>) -> (Result<bool, EvaluationError>, Option<&Clause>) {
        let mut evaluator = Evaluator::new(scope);
        let decisive = self.joint == Joint::Any;
        let mut undecided: Option<(EvaluationError, &Clause)> = None;
        for clause in &self.clauses {
            match evaluator.bool(&clause.node, None) {
                Ok(value) if value == decisive => return (Ok(decisive), Some(clause)),
                Ok(_) => {}
                Err(EvaluationError::Exhausted) => {
                    return (Err(EvaluationError::Exhausted), Some(clause));
                }
                Err(error) if error.outdoes(undecided.as_ref().map(|(before, _)| before)) => {
                    undecided = Some((error, clause));
                }
                Err(_) => {}
            }
        }
        let only = match self.clauses.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        match undecided {
            Some((error, clause)) => (Err(error), Some(clause)),
            None => (Ok(!decisive), only),
        }
    }
}
