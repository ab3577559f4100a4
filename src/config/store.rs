//! `[store]`: where events are kept, and how long.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{duration, secret, size, text};
use crate::inbox::postgres::Target;

/// The inbox's place and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Store {
    /// Where the store is.
    #[schemars(with = "String", extend("x-allowed" = "\"sqlite:PATH\", relative to the working directory or, as in \"sqlite:///data/inbox.db\", absolute; \"sqlite::memory:\"; or \"postgres://USER@HOST/DATABASE\""))]
    pub url: StoreUrl,
    /// The database role's password, where the URL has none.
    #[serde(
        serialize_with = "Password::serialize",
        deserialize_with = "Password::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text")]
    pub password: Option<Password>,
    /// Certificates that a database is verified by, instead of the system's.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for the system's"))]
    pub ca_file: Option<PathBuf>,
    /// Connections to a database at most.
    #[schemars(range(min = 2, max = 64))]
    pub pool: usize,
    /// Whether a pooler gives every transaction another connection.
    pub pgbouncer: bool,
    /// Where pushes go while a database is away.
    #[schemars(with = "String", extend("x-allowed" = "\"sqlite:PATH\", relative to the working directory or, as in \"sqlite:///data/spill.db\", absolute; or \"off\""))]
    pub spill: SpillUrl,
    /// How long settled events stay.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "1h", "x-max" = "3650d"))]
    pub retention: Duration,
    /// Cap of the store in bytes; 0: none.
    #[serde(with = "size")]
    #[schemars(with = "size::Text")]
    pub max_size: u64,
    /// Free bytes below which settled history goes early.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "0", "x-max" = "1TiB"))]
    pub min_free_disk: u64,
    /// How long to wait for another process to let go of the store.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1h"))]
    pub lock_wait: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::File("data/inbox.db".into()),
            password: None,
            ca_file: None,
            pool: 8,
            pgbouncer: false,
            spill: SpillUrl::File("data/spill.db".into()),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            max_size: 0,
            min_free_disk: 256 << 20,
            lock_wait: Duration::from_secs(30),
        }
    }
}

impl Store {
    /// The certificates in `ca_file`.
    ///
    /// # Errors
    /// When it cannot be read, with its path.
    pub fn authorities(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.ca_file else {
            return Ok(None);
        };
        let read = std::fs::read_to_string(path);
        read.map(Some)
            .map_err(|error| format!("leads to {}, which cannot be read: {error}", path.display()))
    }

    /// The file of the spill; none where the store is a file itself, which is never away.
    pub fn spill_file(&self) -> Option<&Path> {
        let is_file = matches!(self.url, StoreUrl::File(_) | StoreUrl::Memory);
        match &self.spill {
            SpillUrl::File(path) if !is_file => Some(path),
            SpillUrl::File(_) | SpillUrl::Off => None,
        }
    }
}

/// A secret that can be compared with the one that is in force.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// The secret.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    fn serialize<S: Serializer>(password: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        let secret = password.as_ref().map(|password| password.0.clone());
        secret::serialize(&secret, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(secret::deserialize(deserializer)?.map(Self))
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Password {}

/// Reads a path; an empty one is none.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = text::read_string(deserializer)?;
    Ok((!path.is_empty()).then(|| path.into()))
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// An SQLite file; a relative path starts at the working directory.
    File(PathBuf),
    /// Nothing survives the process.
    Memory,
    /// A PostgreSQL database.
    Postgres(Box<Target>),
}

impl StoreUrl {
    /// Reads `sqlite:PATH`, `sqlite://PATH`, `sqlite::memory:` and `postgres://…`.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err("is no store's URL".to_owned());
        };
        match scheme {
            "sqlite" => {}
            "postgres" | "postgresql" => {
                return text.parse().map(Box::new).map(Self::Postgres);
            }
            _ => return Err(format!("names an unknown kind of store, {scheme:?}")),
        }
        if rest == ":memory:" {
            return Ok(Self::Memory);
        }
        file(rest).map(Self::File)
    }
}

/// The file that stands behind `sqlite:`.
fn file(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.contains(['?', '#']) {
        return Err("has parameters, which are not understood here".to_owned());
    }
    // SQLite would take that name for memory.
    if path.is_empty() || path.ends_with('/') || path == ":memory:" {
        return Err("names no file".to_owned());
    }
    // And what begins so for a URL, which may mean memory, or another file than the one that is locked.
    if path.starts_with("file:") {
        return Err("begins with file:, where a path is wanted".to_owned());
    }
    Ok(path.into())
}

fn write_file(path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let slashes = if path.is_absolute() { "//" } else { "" };
    write!(f, "sqlite:{slashes}{}", path.display())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write_file(path, f),
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::Postgres(target) => target.fmt(f),
        }
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text::read_string(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// Where pushes go while a database is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpillUrl {
    /// An SQLite file; a relative path starts at the working directory.
    File(PathBuf),
    /// Nowhere: they are refused.
    Off,
}

impl SpillUrl {
    /// Reads `off`, `sqlite:PATH` and `sqlite://PATH`.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        match text.strip_prefix("sqlite:") {
            Some(":memory:") => Err("names memory, which keeps nothing safe".to_owned()),
            Some(rest) => file(rest).map(Self::File),
            None => Err("is no file's URL".to_owned()),
        }
    }
}

impl fmt::Display for SpillUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write_file(path, f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Serialize for SpillUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SpillUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text::read_string(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_absolute_and_memory_urls_read_back() {
        for (text, url) in [
            (
                "sqlite:data/inbox.db",
                StoreUrl::File("data/inbox.db".into()),
            ),
            (
                "sqlite:///data/inbox.db",
                StoreUrl::File("/data/inbox.db".into()),
            ),
            ("sqlite::memory:", StoreUrl::Memory),
        ] {
            assert_eq!(StoreUrl::parse(text).as_ref(), Ok(&url));
            assert_eq!(url.to_string(), text);
        }
        assert_eq!(
            StoreUrl::parse("sqlite:/d/i.db"),
            Ok(StoreUrl::File("/d/i.db".into()))
        );
        for text in [
            "sqlite://:memory:",
            "sqlite:file::memory:",
            "sqlite:file:inbox.db",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_spill_is_a_file_or_off() {
        for text in ["sqlite:data/spill.db", "sqlite:///data/spill.db", "off"] {
            assert_eq!(SpillUrl::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://file::memory:",
            "postgres://db",
            "sqlite:a/",
        ] {
            assert!(SpillUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_store_that_is_a_file_has_no_spill() {
        assert_eq!(Store::default().spill_file(), None);
    }
}
