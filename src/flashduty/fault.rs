//! Why a call failed, named for what the caller does next.

use std::time::Duration;

use http::HeaderMap;

use crate::clock;

/// Why a call failed. No text holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The key, its permission or the plan does not allow it: nothing helps but a person.
    #[error("{what}")]
    Refused {
        /// What it said, which may differ each time.
        what: String,
        /// Status and code, which are the same for the same cause.
        cause: String,
    },
    /// This request is wrong, or asks for what is not there; another may be answered.
    #[error("{0}")]
    Invalid(String),
    /// Too many requests.
    #[error("{what}")]
    Throttled {
        /// What it said.
        what: String,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// It may work later.
    #[error("{0}")]
    Transient(String),
    /// A good answer, but not to what was asked. It may be another one later.
    #[error("{0}")]
    Strange(String),
    /// The answer is longer than is taken.
    #[error("{0}")]
    TooLarge(String),
}

/// What an answer other than a good one means. The code is the API's own word, where it has one;
/// what stands in between answers with a status alone. `said` is all of it, and what of it is the
/// same for the same cause.
pub(super) fn of(status: u16, code: &str, headers: &HeaderMap, said: (String, String)) -> Fault {
    let (what, cause) = said;
    match (code, status) {
        ("RequestTooFrequently", _) | (_, 429) => Fault::Throttled {
            what,
            after: clock::asked_pause(headers, None),
        },
        ("Unauthorized" | "AccessDenied", _) | (_, 401..=403) => Fault::Refused { what, cause },
        ("InternalError", _) | (_, 408 | 425 | 500..) => Fault::Transient(what),
        ("InvalidParameter", _) | (_, 300..=499) => Fault::Invalid(what),
        _ => Fault::Transient(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str) -> &'static str {
        match of(status, code, &HeaderMap::new(), Default::default()) {
            Fault::Refused { .. } => "refused",
            Fault::Invalid(_) => "invalid",
            Fault::Throttled { .. } => "throttled",
            Fault::Transient(_) => "transient",
            Fault::Strange(_) => "strange",
            Fault::TooLarge(_) => "too large",
        }
    }

    #[test]
    fn a_code_goes_before_the_status_and_a_status_alone_suffices() {
        for (status, code, wanted) in [
            (401, "Unauthorized", "refused"),
            (400, "AccessDenied", "refused"),
            (403, "", "refused"),
            (402, "NoSuchPlan", "refused"),
            (400, "InvalidParameter", "invalid"),
            (404, "", "invalid"),
            (302, "", "invalid"),
            (400, "RequestTooFrequently", "throttled"),
            (429, "", "throttled"),
            (500, "InternalError", "transient"),
            (400, "InternalError", "transient"),
            (502, "", "transient"),
            (408, "", "transient"),
            (200, "Whatever", "transient"),
        ] {
            assert_eq!(kind(status, code), wanted, "{status} {code}");
        }
    }
}
