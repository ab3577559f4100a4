//! What a failure of the database means for the caller.
//!
//! A connection that is lost, or an answer that does not come, says nothing about what was done:
//! the same is offered again, and keys recognise what is in the store already. The database's own
//! disk is the database's affair; whatever fails there, this process goes on.

use tokio_postgres::error::{DbError, Error, SqlState};

use crate::inbox::InboxError;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It lost against another transaction; tried again from the beginning, it may not.
    Again(String),
    /// There is nothing more to be done about it here.
    Final(InboxError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        sort(&error)
    }
}

impl From<InboxError> for Failure {
    fn from(error: InboxError) -> Self {
        Self::Final(error)
    }
}

impl From<Failure> for InboxError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Again(what) => Self::Away(what),
            Failure::Final(error) => error,
        }
    }
}

/// Sorts `error` by what the caller does next.
pub(super) fn sort(error: &Error) -> Failure {
    let Some(answer) = error.as_db_error() else {
        let text = chain(error);
        // What cannot be written down or read back concerns the one request only.
        let own = ["error serializing", "error deserializing", "error encoding"];
        return Failure::Final(if own.iter().any(|start| text.starts_with(start)) {
            InboxError::Refused(text)
        } else {
            InboxError::Away(text)
        });
    };
    by_code(answer.code(), answer.constraint(), described(answer))
}

/// Whether a server says in `error` that this role may not come in, that there is no such database, or
/// nothing that proves who it is: the set-up is wrong, and waiting does not mend it.
pub(super) fn is_denial(error: &Error) -> bool {
    error.code().is_some_and(denies) || is_unproven(error)
}

/// Whether the server's certificate is not to be trusted.
fn is_unproven(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        // What the handshake says comes in an error of the connection.
        let inner = cause.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(std::io::Error::get_ref);
        let handshake = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => cause.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(_)) = handshake {
            return true;
        }
        next = cause.source();
    }
    false
}

fn denies(code: &SqlState) -> bool {
    code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME
}

fn by_code(code: &SqlState, constraint: Option<&str>, text: String) -> Failure {
    match code.code() {
        // Serialization, deadlock, and what another replica made just now.
        "40001" | "40P01" | "55P03" => return Failure::Again(text),
        "23505"
            if matches!(
                constraint,
                Some("subjects_pkey" | "lanes_pkey" | "sinks_name_key")
            ) =>
        {
            return Failure::Again(text);
        }
        "53100" => return Failure::Final(InboxError::Full(text)),
        // Another session's statements, or none of this one's.
        "26000" | "42P05" => {
            let hint = "behind a pooler in transaction mode set store.pgbouncer = true";
            return Failure::Final(InboxError::Away(format!("{text}; {hint}")));
        }
        _ => {}
    }
    // Values that do not fit, and rows that an index cannot hold.
    let own = ["22", "23", "54"];
    Failure::Final(if own.iter().any(|class| code.code().starts_with(class)) {
        InboxError::Refused(text)
    } else {
        InboxError::Away(text)
    })
}

fn described(answer: &DbError) -> String {
    let (code, message) = (answer.code().code(), answer.message());
    match answer.detail() {
        // Details quote values, which may be anything that came in a push.
        Some(detail) if detail.len() < 200 && !code.starts_with('2') => {
            format!("{message}: {detail} (code {code})")
        }
        _ => format!("{message} (code {code})"),
    }
}

/// `error` with what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(code: &str) -> Failure {
        by_code(&SqlState::from_code(code), None, code.to_owned())
    }

    #[test]
    fn what_the_database_says_is_sorted_by_what_to_do_next() {
        for code in ["40001", "40P01"] {
            assert!(matches!(sorted(code), Failure::Again(_)), "{code}");
        }
        for code in [
            "08006", "57P01", "57P03", "57014", "53300", "25006", "XX001", "58030", "28P01",
        ] {
            let sorted = sorted(code);
            let away = matches!(sorted, Failure::Final(InboxError::Away(_)));
            assert!(away, "{code}: {sorted:?}");
        }
        for code in ["22021", "23502", "54000"] {
            let sorted = sorted(code);
            let refused = matches!(sorted, Failure::Final(InboxError::Refused(_)));
            assert!(refused, "{code}: {sorted:?}");
        }
        assert!(matches!(
            sorted("53100"),
            Failure::Final(InboxError::Full(_))
        ));
    }

    #[test]
    fn a_server_that_does_not_let_one_in_is_told_from_one_that_is_away() {
        for (code, denied) in [
            ("28P01", true),
            ("28000", true),
            ("3D000", true),
            ("57P03", false),
            ("53300", false),
            ("08006", false),
            ("42501", false),
        ] {
            assert_eq!(denies(&SqlState::from_code(code)), denied, "{code}");
        }
    }

    #[test]
    fn statements_that_a_pooler_mixed_up_name_the_key_that_helps() {
        let InboxError::Away(what) = sorted("26000").into() else {
            panic!("it is not the data's fault");
        };
        assert!(what.contains("store.pgbouncer = true"), "{what}");
    }

    #[test]
    fn a_lane_that_another_made_just_now_is_no_fault_of_the_data() {
        let unique = SqlState::UNIQUE_VIOLATION;
        let lanes = by_code(&unique, Some("lanes_pkey"), String::new());
        assert!(matches!(lanes, Failure::Again(_)), "{lanes:?}");
    }
}
