//! The layers of a configuration, merged: built-in defaults, files, environment; later wins.
//!
//! Tables merge, everything else replaces. Each file is also read with positions, so that every
//! key of the result can be traced to a line or a variable.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use config::{Config, File, FileFormat};
use toml::Table;
use toml::de::DeTable;

use super::Settings;
use super::environment::{self, Environment};
use super::lines::{self, Lines};
use super::origins::Origins;
use super::problem::{ConfigError, Place, Problem};
use super::secret::HIDDEN;
use super::shape::Shape;
use super::sink::{self, LOG_SINK};
use super::watch::Seen;

/// The file that is read without being named, if it is there.
const DEFAULT_FILE: &str = "config/default.toml";

/// Names the configuration file for those who cannot pass `--config`.
const FILE_VARIABLE: &str = "FLASHDUTY_CONFIG";

/// Where a configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// Relative paths start here; empty is the working directory.
    pub directory: PathBuf,
    /// The file that was named, if any.
    pub file: Option<NamedFile>,
    /// Settings, and secrets given as `env:NAME`.
    pub environment: Environment,
}

/// A configuration file someone named.
#[derive(Debug, Clone)]
pub struct NamedFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it must be there. `--config` means it; `$FLASHDUTY_CONFIG` is set once and for all
    /// in container images, also for those who mount no file.
    pub required: bool,
}

impl ConfigSource {
    /// What this process was started with; `flag` is the value of `--config`, which goes before
    /// `$FLASHDUTY_CONFIG`.
    pub fn from_process(flag: Option<PathBuf>) -> Self {
        let environment = Environment::capture();
        let named = |path, required| NamedFile { path, required };
        let from_variable = || {
            let path = environment
                .get(FILE_VARIABLE)
                .ok()
                .filter(|path| !path.is_empty())?;
            Some(named(path.into(), false))
        };
        Self {
            directory: PathBuf::new(),
            file: flag.map(|path| named(path, true)).or_else(from_variable),
            environment,
        }
    }
}

/// All layers, read but not yet understood.
pub(super) struct Layers {
    /// The merged tree; secrets are in it as they were written.
    pub(super) merged: Table,
    /// Where each key was made.
    pub(super) origins: Origins,
    /// Files that were read, in order.
    pub(super) files: Vec<PathBuf>,
    /// Files that would have been read, had they been there.
    pub(super) absent: Vec<(PathBuf, Need)>,
    /// All of these, with what was in them.
    pub(super) seen: Seen,
}

/// What it means when a file is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Optional,
    /// A warning: someone named it.
    Expected,
    /// An error: someone asked for it.
    Required,
}

impl Layers {
    /// Reads and merges every layer. Fails on what cannot be read at all: missing files, and text
    /// that is no TOML.
    pub(super) fn read(source: &ConfigSource) -> Result<Self, ConfigError> {
        let mut reading = Reading::default();
        reading.add_file(source.directory.join(DEFAULT_FILE), Need::Optional);
        if let Some(NamedFile { path, required }) = &source.file {
            let need = if *required {
                Need::Required
            } else {
                Need::Expected
            };
            reading.add_file(source.directory.join(path), need);
        }
        reading.add_environment(&source.environment);
        reading.merge()
    }
}

/// The layers while they are read.
#[derive(Default)]
struct Reading {
    texts: Vec<String>,
    places: BTreeMap<String, Place>,
    files: Vec<PathBuf>,
    absent: Vec<(PathBuf, Need)>,
    seen: Seen,
    problems: Vec<Problem>,
}

impl Reading {
    fn add_file(&mut self, path: PathBuf, need: Need) {
        let path = Arc::new(path);
        let text = match std::fs::read_to_string(&*path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && need != Need::Required => {
                self.seen.note(path.to_path_buf(), None);
                self.absent.push((path.to_path_buf(), need));
                return;
            }
            Err(error) => {
                self.problems.push(Problem {
                    place: Place::File(path),
                    key: None,
                    value: None,
                    what: format!("cannot be read: {error}"),
                    allowed: Some("a TOML file this user may read".to_owned()),
                });
                return;
            }
        };
        self.seen.note(path.to_path_buf(), Some(text.as_bytes()));
        match DeTable::parse(&text) {
            Ok(table) => {
                let mut lines = Lines {
                    path: Arc::clone(&path),
                    text: &text,
                    places: &mut self.places,
                    problems: &mut self.problems,
                };
                lines.note_table(table.get_ref(), "");
            }
            Err(error) => {
                self.problems
                    .push(lines::syntax_problem(path, &text, &error));
                return;
            }
        }
        self.files.push(path.to_path_buf());
        self.texts.push(text);
    }

    fn add_environment(&mut self, environment: &Environment) {
        let mut table = Table::new();
        for setting in environment.settings() {
            let key = setting.key.join(".");
            let place = Place::Variable(setting.name.to_owned());
            let inserted = setting.text.and_then(|text| {
                let value = environment::typed(&text, Shape::at(&key));
                if environment::insert(&mut table, &setting.key, value) {
                    Ok(())
                } else {
                    Err("contradicts another variable about the same key")
                }
            });
            if let Err(what) = inserted {
                self.problems.push(Problem {
                    place: place.clone(),
                    key: Some(key.clone()),
                    value: Some(HIDDEN.to_owned()),
                    what: what.to_owned(),
                    allowed: Shape::at(&key).and_then(Shape::allowed),
                });
            }
            // A list in a variable replaces one in a file, with all of its elements' places.
            self.places.retain(|known, _| {
                !known
                    .strip_prefix(&*key)
                    .is_some_and(|tail| tail.starts_with('['))
            });
            self.places.insert(key, place);
        }
        self.texts.push(table.to_string());
    }

    fn merge(self) -> Result<Layers, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::new(self.problems));
        }
        let mut defaults =
            Table::try_from(Settings::default()).expect("the built-in defaults are TOML");
        // Of the sink that is built in only the type: what else it has depends on that, and someone
        // may give the name to another.
        if let Some(log) = defaults
            .get_mut("sink")
            .and_then(|sinks| sinks.get_mut(LOG_SINK))
        {
            *log = Table::from_iter([("type".to_owned(), "log".into())]).into();
        }
        let defaults = defaults.to_string();
        let mut builder = Config::builder().add_source(File::from_str(&defaults, FileFormat::Toml));
        for text in &self.texts {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        let merge = builder.build().and_then(Config::try_deserialize);
        let mut merged: Table = merge.map_err(|error| {
            ConfigError::new(vec![Problem {
                place: Place::Default,
                key: None,
                value: None,
                what: format!("the files and variables cannot be merged: {error}"),
                allowed: None,
            }])
        })?;
        let mut places = self.places;
        sink::lay_below(&mut merged, &mut places);
        Ok(Layers {
            origins: Origins::trace(&merged, &places),
            merged,
            files: self.files,
            absent: self.absent,
            seen: self.seen,
        })
    }
}
