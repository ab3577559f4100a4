//! Why a look ends early, by what helps.

use crate::flashduty::Fault;
use crate::inbox::InboxError;

/// Why a look ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// A person has to do something.
    #[error("{what}")]
    Refused {
        /// What the API said.
        what: String,
        /// What of it is the same for the same cause.
        cause: String,
    },
    /// It may work later.
    #[error("{0}")]
    Later(String),
}

impl From<InboxError> for Stop {
    fn from(error: InboxError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused { what, cause } => Self::Refused { what, cause },
            other => Self::Later(other.to_string()),
        }
    }
}
