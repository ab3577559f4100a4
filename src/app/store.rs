//! The store in use, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::config::{Loaded, Settings, Store as Keys, StoreUrl};
use crate::inbox::postgres::{Glance, PostgresInbox, PostgresOpenError, PostgresOptions, Target};
use crate::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use crate::inbox::{Committer, Inbox};

/// How often a database that is away is looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a start looks for a database that it can do without. Where the listening socket is handed
/// over, pushes wait meanwhile, and the sender gives up after a second. One that has answered is
/// likely to be well, and new tables take a moment.
pub(super) const GLANCE: Glance = Glance {
    connected: Duration::from_millis(500),
    passed: Duration::from_secs(2),
};

/// How the configured store is opened.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// A file, or memory.
    Sqlite(SqliteOptions),
    /// A database.
    Postgres(Box<PostgresOptions>),
}

impl StoreOptions {
    /// As `settings` say.
    ///
    /// # Errors
    /// When a file that they name cannot be read.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let store = &settings.store;
        let location = match &store.url {
            StoreUrl::File(path) => Location::File(path.clone()),
            StoreUrl::Memory => Location::Memory,
            StoreUrl::Postgres(target) => {
                return postgres(store, target).map(Box::new).map(Self::Postgres);
            }
        };
        Ok(Self::Sqlite(SqliteOptions {
            location,
            lock_wait: store.lock_wait,
            max_size: store.max_size,
        }))
    }
}

fn postgres(store: &Keys, target: &Target) -> anyhow::Result<PostgresOptions> {
    let ca = store
        .authorities()
        .map_err(|what| anyhow::anyhow!("store.ca_file {what}"))?;
    let password = store.password.as_ref();
    Ok(PostgresOptions {
        password: password.map(|password| password.secret().clone()),
        ca,
        pool: store.pool,
        pgbouncer: store.pgbouncer,
        max_size: store.max_size,
        ..PostgresOptions::new(target.clone())
    })
}

/// The store in use.
#[derive(Clone)]
pub(super) enum Store {
    Sqlite(Arc<SqliteInbox>),
    Postgres(Arc<PostgresInbox>),
}

impl Store {
    /// Opens the configured store. Waits for who holds the file, or, without a spill, for the
    /// database to answer; with one, a database that is away stays to be looked at.
    pub(super) async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        match StoreOptions::new(&loaded.settings)? {
            StoreOptions::Sqlite(options) => {
                // Waiting for the lock and moving the log into the file take their time.
                let opening = tokio::task::spawn_blocking(move || SqliteInbox::open(options));
                Ok(Self::Sqlite(Arc::new(opening.await??)))
            }
            StoreOptions::Postgres(options) => {
                let inbox = PostgresInbox::new(*options)?;
                let keys = &loaded.settings.store;
                find(&inbox, keys.lock_wait, keys.spill_file().is_some()).await?;
                Ok(Self::Postgres(Arc::new(inbox)))
            }
        }
    }

    pub(super) fn inbox(&self) -> Arc<dyn Inbox> {
        match self {
            Self::Sqlite(inbox) => Arc::clone(inbox) as Arc<dyn Inbox>,
            Self::Postgres(inbox) => Arc::clone(inbox) as Arc<dyn Inbox>,
        }
    }

    /// Whether other receivers may use it as well.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether it was looked at, and is fit.
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(inbox) => inbox.is_known(),
        }
    }

    /// Looks at one that is not known yet.
    pub(super) async fn contact(&self) -> Result<(), PostgresOpenError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(inbox) => inbox.contact().await,
        }
    }

    /// Whether the process before this one did not close it.
    pub(super) fn was_unclean(&self) -> bool {
        match self {
            Self::Sqlite(inbox) => inbox.was_unclean(),
            Self::Postgres(_) => false,
        }
    }

    /// Waits until it breaks, wherever that is noticed first, and says what broke it.
    pub(super) async fn broken(&self) -> String {
        match self {
            Self::Sqlite(inbox) => inbox.broken().await,
            // Whatever happens to a database, it is away.
            Self::Postgres(_) => std::future::pending().await,
        }
    }

    /// Does beforehand what closing would have to do.
    pub(super) async fn flush(&self) {
        match self {
            Self::Sqlite(inbox) => inbox.flush().await,
            Self::Postgres(_) => {}
        }
    }

    /// Looks for what other receivers left, for as long as it is asked to.
    pub(super) async fn share(&self, committer: &Committer) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(inbox) => inbox.listen(|| committer.changed()).await,
        }
    }

    pub(super) async fn close(&self) -> anyhow::Result<()> {
        self.inbox().close().await.context("cannot close the store")
    }
}

/// Looks for the database. One that is away is waited for, unless pushes have a spill to go to; one
/// that answers and lets nobody in is not what the configuration says, and is waited for all the same.
async fn find(
    inbox: &PostgresInbox,
    wait: Duration,
    has_spill: bool,
) -> Result<(), PostgresOpenError> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        let looked = match has_spill {
            true => inbox.contact_within(GLANCE).await,
            false => inbox.contact().await,
        };
        let missing = match looked {
            Err(away @ PostgresOpenError::Away { .. }) if has_spill => {
                tracing::warn!("{away}; the start goes on without it");
                return Ok(());
            }
            Err(missing @ (PostgresOpenError::Away { .. } | PostgresOpenError::Denied { .. })) => {
                missing
            }
            done => return done,
        };
        if Instant::now() >= deadline {
            return Err(missing);
        }
        if !told {
            told = true;
            tracing::warn!("{missing}; waiting up to {wait:?} for it");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
