//! Runs statements unnamed and with their types: that also works through a pooler that gives each
//! transaction another connection, and each is planned for the values at hand.
//!
//! Meant for what is not asked at every push: the server reads such a statement anew each time.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::error::Failure;

/// A value for a statement, with the type the server takes it as.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// All rows of a statement.
pub(super) async fn rows(
    client: &(impl GenericClient + Sync),
    statement: &str,
    values: &[Value<'_>],
) -> Result<Vec<Row>, Failure> {
    Ok(client.query_typed(statement, values).await?)
}

/// The first row of a statement, if there is one.
pub(super) async fn row(
    client: &(impl GenericClient + Sync),
    statement: &str,
    values: &[Value<'_>],
) -> Result<Option<Row>, Failure> {
    Ok(rows(client, statement, values).await?.into_iter().next())
}

/// How many rows a statement changed.
pub(super) async fn run(
    client: &(impl GenericClient + Sync),
    statement: &str,
    values: &[Value<'_>],
) -> Result<u64, Failure> {
    Ok(client.execute_typed(statement, values).await?)
}

/// A text as a `text` column takes it: U+0000 does not exist there.
pub(super) fn text(raw: &str) -> Cow<'_, str> {
    if raw.contains('\0') {
        Cow::Owned(raw.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_character_becomes_the_replacement_character() {
        assert_eq!(text("a\0b"), "a\u{FFFD}b");
        assert_eq!(text("ab"), "ab");
    }
}
