//! Whole configurations, right and wrong, read as the service reads them.

mod concealment;
mod defaults;
mod layering;
mod sinks;
mod tls;
mod watching;
mod wrong;
mod wrong_sinks;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A working directory with configuration files, and an environment.
struct Place {
    directory: TempDir,
    source: ConfigSource,
}

impl Place {
    /// Nothing is configured yet.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = ConfigSource {
            directory: directory.path().to_owned(),
            ..ConfigSource::default()
        };
        Self { directory, source }
    }

    /// `text` is in a file named as with `--config`.
    fn with_file(text: &str) -> Self {
        let mut place = Self::new();
        place.write("config.toml", text);
        place.name("config.toml", true);
        place
    }

    fn name(&mut self, file: &str, required: bool) {
        let path = file.into();
        self.source.file = Some(NamedFile { path, required });
    }

    fn set(&mut self, variables: &[(&str, &str)]) {
        self.source.environment = Environment::from_pairs(variables.iter().copied());
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.source)
    }

    /// The problems, with the changing part of the paths left out.
    fn problems(&self) -> String {
        let error = self.load().unwrap_err().to_string();
        error.replace(&format!("{}/", self.path().display()), "")
    }
}
