//! The receiver's configuration, as the commands use it.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use crate::app;
use crate::config::{self, ConfigSource, Loaded, Settings};
use crate::envelope::EnvelopeRules;
use crate::inbox::Inbox;
use crate::inbox::postgres::PostgresInbox;
use crate::inbox::sqlite::{Location, SqliteInbox};
use crate::source::SourceRules;

/// Loads what the receiver would be started with.
///
/// # Errors
/// When it would not start with it: a [`config::ConfigError`].
pub fn load(file: Option<&Path>) -> anyhow::Result<Loaded> {
    let source = ConfigSource::from_process(file.map(Path::to_owned));
    Ok(config::load(&source)?)
}

/// The rules a push is judged by.
///
/// # Errors
/// When they contradict themselves: a [`config::ConfigError`] with file and line.
pub fn rules(loaded: &Loaded) -> anyhow::Result<(SourceRules, EnvelopeRules)> {
    let source = SourceRules::new(loaded.settings.source.options())
        .map_err(|error| loaded.problem(error.key(), error.to_string()))?;
    let envelope = EnvelopeRules::new(loaded.settings.envelope_options())
        .map_err(|error| loaded.problem(error.key, error.to_string()))?;
    Ok((source, envelope))
}

/// Opens the store for a command, when no receiver holds it. Nothing is made: a store that is not
/// there is an error.
///
/// # Errors
/// When somebody holds it, or there is none.
pub async fn open_store(settings: &Settings) -> anyhow::Result<Arc<dyn Inbox>> {
    let mut options = match app::StoreOptions::new(settings)? {
        app::StoreOptions::Sqlite(options) => options,
        // Several may use a database at once; nobody holds it.
        app::StoreOptions::Postgres(options) => {
            return Ok(Arc::new(PostgresInbox::open(*options).await?));
        }
    };
    options.lock_wait = std::time::Duration::ZERO;
    match &options.location {
        Location::File(path) if path.exists() => {}
        Location::File(path) => bail!(
            "there is no store at {}: start the receiver, or name its admin listener with --api",
            path.display()
        ),
        Location::Memory => bail!("a store in memory is gone with its receiver"),
    }
    let opened = tokio::task::spawn_blocking(move || SqliteInbox::open(options)).await?;
    Ok(Arc::new(opened?))
}
