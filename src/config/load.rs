//! Loading: read the layers, resolve secrets, read the sections, check what they say together.

use std::path::PathBuf;

use super::layers::{ConfigSource, Layers, Need};
use super::origins::Origins;
use super::problem::{ConfigError, Report};
use super::secret::{self, Resolver};
use super::shape::Shape;
use super::tls::Identities;
use super::watch::Seen;
use super::{Settings, check, sections, sink};

/// A configuration that can be used, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was configured.
    pub settings: Settings,
    /// The files that were read, in order: later ones win.
    pub files: Vec<PathBuf>,
    /// The files whose change may change the settings: those above, those that would be read if
    /// they were there, and those that secrets and certificates are read from.
    pub watched: Seen,
    /// The files that secrets, and the keys of certificates, were read from.
    pub secret_files: Vec<PathBuf>,
    /// What the listeners show, read from the files that the settings name.
    pub identities: Identities,
    /// What a person should know, although it does not keep the receiver from starting.
    pub warnings: Vec<String>,
    origins: Origins,
}

impl Loaded {
    /// The error for a problem that others found, such as an address that cannot be bound: it
    /// names the place where `key` (dotted, such as `source.allow[2]`) was set, and its value.
    pub fn problem(&self, key: &str, what: impl Into<String>) -> ConfigError {
        let mut report = Report::new(&self.origins);
        report.add(key, what);
        report.into_error()
    }
}

/// Reads and checks the configuration.
///
/// # Errors
///
/// All problems that can be told apart, each with its place. What cannot be read or is no TOML is
/// reported alone, because everything behind it would be guesswork.
pub fn load(source: &ConfigSource) -> Result<Loaded, ConfigError> {
    let layers = Layers::read(source)?;
    let mut watched = layers.seen;
    let origins = layers.origins;
    let mut report = Report::new(&origins);
    let mut resolver = Resolver {
        directory: &source.directory,
        environment: &source.environment,
        seen: &mut watched,
        secrets: Vec::new(),
    };
    let mut merged = layers.merged;
    for (key, value) in &mut merged {
        let shape = Shape::root().key(key);
        secret::resolve_all(value, shape, key, &mut resolver, &mut report);
        check::ranges(value, shape, key, &mut report);
    }
    let mut settings = sections::read(merged, &mut report);
    sink::finish(&mut settings.sinks, &mut resolver, &mut report);
    settings.otlp.finish(&mut resolver, &mut report);
    let identities = Identities::read(&settings, &mut resolver, &mut report);
    check::contradictions(&settings, &mut report);
    let secret_files = resolver.secrets;
    if let Err(error) = report.finish() {
        return Err(error.having_seen(watched));
    }

    let mut warnings: Vec<String> = layers
        .absent
        .iter()
        .filter(|(_, need)| *need == Need::Expected)
        .map(|(path, _)| format!("{} is not there: going on without it", path.display()))
        .collect();
    warnings.extend(check::warnings(&settings, &origins));
    Ok(Loaded {
        settings,
        files: layers.files,
        watched,
        secret_files,
        identities,
        warnings,
        origins,
    })
}
