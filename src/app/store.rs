//! The store in use, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::config::{Loaded, Settings, Store as Keys, StoreUrl};
use crate::inbox::postgres::{PostgresInbox, PostgresOpenError, PostgresOptions, Target};
use crate::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use crate::inbox::{Committer, Inbox};

/// How often a database that is away is looked for at the start.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    /// Opens the configured store. Waits for who holds the file, or for the database to answer.
    pub(super) async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        match StoreOptions::new(&loaded.settings)? {
            StoreOptions::Sqlite(options) => {
                // Waiting for the lock and moving the log into the file take their time.
                let opening = tokio::task::spawn_blocking(move || SqliteInbox::open(options));
                Ok(Self::Sqlite(Arc::new(opening.await??)))
            }
            StoreOptions::Postgres(options) => {
                let inbox = PostgresInbox::new(*options)?;
                wait_for(&inbox, loaded.settings.store.lock_wait).await?;
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
            Self::Postgres(inbox) => inbox.broken().await,
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

/// Waits for a database that is away, which is said once.
async fn wait_for(inbox: &PostgresInbox, wait: Duration) -> Result<(), PostgresOpenError> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        let away = match inbox.contact().await {
            Err(away @ PostgresOpenError::Away { .. }) => away,
            done => return done,
        };
        if Instant::now() >= deadline {
            return Err(away);
        }
        if !told {
            told = true;
            tracing::warn!("{away}; waiting up to {wait:?} for it");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
