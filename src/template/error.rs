//! Why a template cannot be used, and why it gave nothing for an event.
//!
//! Both name the template and the line. Neither quotes its text, which may hold a secret.

use minijinja::{Error, ErrorKind};

/// A template that cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", place(name, *line))]
pub struct TemplateError {
    name: String,
    line: Option<usize>,
    what: String,
}

impl TemplateError {
    pub(super) fn new(name: &str, line: Option<usize>, what: &str) -> Self {
        Self {
            name: name.to_owned(),
            line,
            what: what.to_owned(),
        }
    }

    pub(super) fn of(name: &str, error: &Error) -> Self {
        Self::new(name, error.line(), &described(error))
    }

    /// The line of the template, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

/// A template gave nothing for this event; it will give nothing for it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A name that is not there, a filter that cannot take what it was given, and the like.
    #[error("{}: {what}", place(name, *line))]
    Failed {
        /// The template.
        name: String,
        /// Its line, from 1.
        line: Option<usize>,
        /// What is wrong there.
        what: String,
    },
    /// It did more than a template may.
    #[error("{}: takes too many steps", place(name, *line))]
    OutOfFuel {
        /// The template.
        name: String,
        /// The line it had come to, from 1.
        line: Option<usize>,
    },
    /// It gave more than [`super::MAX_BYTES`].
    #[error("{name}: renders more than 1 MiB")]
    TooLarge {
        /// The template.
        name: String,
    },
    /// What it gave is no JSON.
    #[error("{name}: renders no JSON: {what} at line {line}, column {column} of what it rendered")]
    NoJson {
        /// The template.
        name: String,
        /// The line of the result, from 1.
        line: usize,
        /// The column of the result, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// What it gave cannot be (part of) a URL.
    #[error("{name}: renders no usable URL: {what}")]
    NoUrl {
        /// The template.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl RenderError {
    pub(super) fn of(name: &str, error: &Error, is_full: bool) -> Self {
        let (name, line) = (name.to_owned(), error.line());
        match error.kind() {
            _ if is_full => Self::TooLarge { name },
            ErrorKind::OutOfFuel => Self::OutOfFuel { name, line },
            _ => Self::Failed {
                name,
                line,
                what: described(error),
            },
        }
    }
}

fn place(name: &str, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{name}, line {line}"),
        None => name.to_owned(),
    }
}

/// The detail alone where there is one: the kind mostly says the same in fewer words.
fn described(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError | ErrorKind::InvalidOperation, Some(detail)) => {
            detail.to_owned()
        }
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}
