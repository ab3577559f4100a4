//! What is wrong with a configuration, and where.
//!
//! One line a problem: place, key, value, what is wrong with it, and what is allowed. Secrets, and
//! values of unknown keys (which may be misspelt secrets), are shown as `***`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::origins::Origins;
use super::shape::Shape;
use super::watch::Seen;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: it is built in.
    Default,
    /// In a preset of this name.
    Preset(String),
    /// In a file, as a whole.
    File(Arc<PathBuf>),
    /// In a line of a file; counted from 1.
    Line(Arc<PathBuf>, usize),
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::Preset(name) => write!(f, "from preset {name}"),
            Self::File(path) => path.display().fmt(f),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The dotted key, such as `source.allow[2]`; none when the file itself is the problem.
    pub key: Option<String>,
    /// The value as it may be shown.
    pub value: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(key) = &self.key {
            OneLine(key).fmt(f)?;
            if let Some(value) = &self.value {
                write!(f, " = {}", OneLine(value))?;
            }
            f.write_str(": ")?;
        }
        OneLine(&self.what).fmt(f)?;
        match &self.allowed {
            Some(allowed) => write!(f, "; allowed: {}", OneLine(allowed)),
            None => Ok(()),
        }
    }
}

/// Text that may quote what a file holds: a quoted key is free to hold line breaks.
struct OneLine<'t>(&'t str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A configuration that cannot be used: all problems that were found, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
    seen: Option<Seen>,
}

impl ConfigError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self {
            problems,
            seen: None,
        }
    }

    /// The same after these files were read.
    pub(super) fn having_seen(self, seen: Seen) -> Self {
        Self {
            seen: Some(seen),
            ..self
        }
    }

    /// The files whose change may mend it, secrets that were not there among them; `None` when what
    /// was read did not even say which they are.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// What was found, in the order of files and lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// Collects problems, and knows where they stand.
pub(super) struct Report<'a> {
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) fn new(origins: &'a Origins) -> Self {
        Self {
            origins,
            problems: Vec::new(),
        }
    }

    /// Adds a problem; what is allowed comes from the schema.
    pub(super) fn add(&mut self, key: &str, what: impl Into<String>) {
        let allowed = self.shape(key).and_then(Shape::allowed);
        self.add_allowing(key, what, allowed);
    }

    /// Adds a problem of several keys together, which the schema knows nothing of.
    pub(super) fn add_allowing(
        &mut self,
        key: &str,
        what: impl Into<String>,
        allowed: Option<String>,
    ) {
        let (place, value) = self.origins.find(key);
        self.problems.push(Problem {
            place,
            key: Some(key.to_owned()),
            value,
            what: what.into(),
            allowed,
        });
    }

    /// What may stand at `key`.
    pub(super) fn shape(&self, key: &str) -> Option<Shape<'static>> {
        self.origins.shape(key)
    }

    /// Whether nobody wrote `key`, but a preset has it.
    pub(super) fn is_of_preset(&self, key: &str) -> bool {
        matches!(self.origins.find(key).0, Place::Preset(_))
    }

    /// Whether `key`, or something in it, is already known to be wrong.
    pub(super) fn blames(&self, key: &str) -> bool {
        self.problems
            .iter()
            .filter_map(|problem| problem.key.as_deref())
            .any(|known| {
                known
                    .strip_prefix(key)
                    .is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '[']))
            })
    }

    /// The error, when there is anything to report.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(self.into_error())
    }

    /// What was reported, as an error.
    pub(super) fn into_error(self) -> ConfigError {
        ConfigError::new(self.problems)
    }
}
