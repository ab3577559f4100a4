//! What is wrong with an expression, said where it is wrong and in words its author understands, and why one cannot be
//! evaluated.

use std::fmt;

use super::evaluate::MOST_STEPS;

/// Names at least this much alike are worth suggesting.
const SIMILAR: f64 = 0.8;

/// An expression that cannot be used, with the place of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Within the expression, from 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what to write instead where that is known.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
        } = self;
        match line {
            1 => write!(f, "at column {column}: {message}"),
            _ => write!(f, "at line {line}, column {column}: {message}"),
        }
    }
}

impl std::error::Error for FilterError {}

impl FilterError {
    /// For what stands `offset` bytes into `source`.
    pub(super) fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
            message: message.into(),
        }
    }
}

/// Why an expression is neither true nor false of some data. For the caller it is no match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// It touches something that is not there.
    #[error("{0}")]
    Missing(String),
    /// Something is there, but of a kind that does not fit.
    #[error("{0}")]
    Unfit(String),
    /// The data is too much for it.
    #[error("gave up after {MOST_STEPS} steps")]
    Exhausted,
}

impl EvaluationError {
    /// Whether something is wrong with the expression or the data, rather than that the data lacks what is asked for,
    /// as most events lack most labels.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Missing(_))
    }

    /// Whether it is what is said of parts that are all looked at, after `before`: a fault counts wherever it stands.
    pub(super) fn outdoes(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| self.is_fault() && !before.is_fault())
    }
}

/// The one of `names` that was probably meant by `name`.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = name.to_lowercase();
    names
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &wanted), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .map(|(_, known)| known)
}
