//! What is sifted out here, of all that the receiver sends: it selects by one type only, and by no
//! severity.

use crate::inbox::query::EventRow;

/// What passes; empty lists let everything pass.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    pub(super) types: Vec<String>,
    /// In whatever case.
    pub(super) severities: Vec<String>,
}

impl Sieve {
    pub(super) fn passes(&self, row: &EventRow) -> bool {
        let severity = row.severity.as_deref().unwrap_or_default();
        let is_severe = |wanted: &String| wanted.eq_ignore_ascii_case(severity);
        (self.types.is_empty() || self.types.contains(&row.event_type))
            && (self.severities.is_empty() || self.severities.iter().any(is_severe))
    }

    /// Whether nothing is sifted out.
    pub(super) fn is_open(&self) -> bool {
        self.types.is_empty() && self.severities.is_empty()
    }
}
