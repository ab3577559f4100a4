//! The receiver's configuration, as the commands use it.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use crate::config::{self, ConfigSource, Loaded, Settings};
use crate::envelope::EnvelopeRules;
use crate::inbox::Inbox;
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
    let source = SourceRules::new(loaded.settings.source_options())
        .map_err(|error| loaded.problem(error.key(), &error.to_string()))?;
    let envelope = EnvelopeRules::new(loaded.settings.envelope_options())
        .map_err(|error| loaded.problem(error.key, &error.to_string()))?;
    Ok((source, envelope))
}

/// The names of the sinks that are on.
pub fn sinks(settings: &Settings) -> Vec<&str> {
    let on = settings.sinks.iter().filter(|(_, sink)| sink.is_enabled());
    on.map(|(name, _)| name.as_str()).collect()
}

/// Opens the store for a command, when no receiver holds it.
///
/// # Errors
/// When somebody does, or there is none.
pub async fn open_store(_settings: &Settings) -> anyhow::Result<Arc<dyn Inbox>> {
    bail!("start the receiver, or name its admin listener with --api")
}
