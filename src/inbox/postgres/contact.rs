//! The first contact: a database is looked at before anything is asked of it.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio::time::timeout;

use super::error::{self, Failure};
use super::gate::{self, Refused};
use super::session::Session;
use super::{PostgresInbox, PostgresOptions};
use crate::inbox::InboxError;

/// Why the store cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresOpenError {
    /// Something in the configuration cannot be used.
    #[error("the store {target} cannot be used: {what}")]
    Misconfigured {
        /// The database.
        target: String,
        /// What is wrong.
        what: String,
    },
    /// The database would not keep what it confirms, or has no place for the store.
    #[error("the store {target} {what}")]
    Unfit {
        /// The database.
        target: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The server answers, and does not let this receiver in.
    #[error("the store {target} does not take this receiver: {what}")]
    Denied {
        /// The database.
        target: String,
        /// What the server says.
        what: String,
    },
    /// The database cannot be reached now.
    #[error("the store {target} cannot be reached: {what}")]
    Away {
        /// The database.
        target: String,
        /// What failed.
        what: String,
    },
}

/// How long a look may take that should not hold anybody up.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// Until there is a connection: one that is not refused may just hang.
    pub connected: Duration,
    /// Then, until the gate is passed and the tables are up to date.
    pub passed: Duration,
}

impl PostgresInbox {
    /// Opens the store: passes the gate and brings the tables up to date.
    ///
    /// # Errors
    /// When the options cannot be used, the database is unfit, or away.
    pub async fn open(options: PostgresOptions) -> Result<Self, PostgresOpenError> {
        let inbox = Self::new(options)?;
        inbox.contact().await?;
        Ok(inbox)
    }

    /// Whether somebody has looked at the database, and it is fit.
    pub fn is_known(&self) -> bool {
        self.passed.initialized()
    }

    /// Looks at the database, if nobody has done so yet.
    ///
    /// # Errors
    /// When the database is unfit, denies itself, or is away.
    pub async fn contact(&self) -> Result<(), PostgresOpenError> {
        self.pass().await.map_err(|refused| self.told(refused))
    }

    /// As [`Self::contact`], for as long as `glance` says: after that the database counts as away.
    ///
    /// # Errors
    /// As there.
    pub async fn contact_within(&self, glance: Glance) -> Result<(), PostgresOpenError> {
        let late = |within| {
            let what = format!("no answer within {within:?}");
            self.told(Refused::Away(InboxError::Away(what)))
        };
        match timeout(glance.connected, self.connection()).await {
            // It goes back to the pool, and the look finds it there.
            Ok(Ok(_session)) => {}
            Ok(Err(refused)) => return Err(self.told(refused)),
            Err(_elapsed) => return Err(late(glance.connected)),
        }
        let passing = timeout(glance.passed, self.contact()).await;
        passing.unwrap_or_else(|_elapsed| Err(late(glance.passed)))
    }

    async fn pass(&self) -> Result<(), Refused> {
        let mut session = self.connection().await?;
        let pass = async {
            let passing = async {
                gate::pass(&mut session).await?;
                self.routes.load(&mut session).await?;
                Ok(())
            };
            match timeout(self.options.patience, passing).await {
                Ok(passed) => passed,
                Err(_elapsed) => Err(Refused::Away(self.late())),
            }
        };
        self.passed.get_or_try_init(|| pass).await?;
        Ok(())
    }

    /// A connection to a database that may not be known yet.
    pub(super) async fn connection(&self) -> Result<Session, Refused> {
        let error = match self.pool.get().await {
            Ok(client) => return Ok(Session::new(client, self.options.pgbouncer)),
            Err(PoolError::Backend(error)) if error::is_denial(&error) => {
                return Err(Refused::Denied(error::chain(&error)));
            }
            Err(PoolError::Backend(error)) => match error::sort(&error) {
                // Nothing was asked yet that could be refused.
                Failure::Final(InboxError::Refused(what)) | Failure::Again(what) => {
                    InboxError::Away(what)
                }
                Failure::Final(error) => error,
            },
            Err(PoolError::Closed) => InboxError::Closed,
            Err(PoolError::Timeout(_)) => {
                InboxError::Away(format!("no connection within {:?}", self.options.patience))
            }
            Err(error) => InboxError::Away(error.to_string()),
        };
        Err(Refused::Away(error))
    }

    pub(super) fn told(&self, refused: Refused) -> PostgresOpenError {
        let target = self.options.target.to_string();
        match refused {
            Refused::Unfit(what) => PostgresOpenError::Unfit { target, what },
            Refused::Denied(what) => PostgresOpenError::Denied { target, what },
            Refused::Away(InboxError::Away(what)) => PostgresOpenError::Away { target, what },
            Refused::Away(other) => PostgresOpenError::Away {
                target,
                what: other.to_string(),
            },
        }
    }
}
