//! The statements of one transaction, prepared once for all that it does.
//!
//! The connection's own cache is asked by the text of a statement, which costs a good part of
//! running one. Here a text is known by where it stands in the program.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use rusqlite::{CachedStatement, Connection, Statement};

/// The connection of a transaction, and what was prepared on it.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    prepared: RefCell<Vec<(&'static str, Option<CachedStatement<'c>>)>>,
}

/// A statement in use; kept for the next time when dropped.
pub(super) struct Prepared<'s, 'c> {
    statements: &'s Statements<'c>,
    text: &'static str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            prepared: RefCell::default(),
        }
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// The statement `text`, ready to be run.
    pub(super) fn prepare(&self, text: &'static str) -> rusqlite::Result<Prepared<'_, 'c>> {
        let mut prepared = self.prepared.borrow_mut();
        let kept = prepared
            .iter_mut()
            .find(|(known, _)| std::ptr::eq(*known, text))
            .and_then(|(_, statement)| statement.take());
        let statement = match kept {
            Some(statement) => statement,
            None => self.connection.prepare_cached(text)?,
        };
        Ok(Prepared {
            statements: self,
            text,
            statement: Some(statement),
        })
    }
}

impl Drop for Prepared<'_, '_> {
    fn drop(&mut self) {
        let mut prepared = self.statements.prepared.borrow_mut();
        let place = prepared
            .iter_mut()
            .find(|(known, _)| std::ptr::eq(*known, self.text));
        match place {
            Some((_, place)) => *place = self.statement.take(),
            None => prepared.push((self.text, self.statement.take())),
        }
    }
}

impl<'c> Deref for Prepared<'_, 'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        self.statement.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for Prepared<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.statement.as_mut().expect("there until it is dropped")
    }
}
