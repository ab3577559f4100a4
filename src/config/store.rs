//! `[store]`: where events are kept, and how long.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{duration, size, text};

/// The inbox's place and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Store {
    /// Where the store is.
    #[schemars(with = "String", extend("x-allowed" = "\"sqlite:PATH\", relative to the working directory or, as in \"sqlite:///data/inbox.db\", absolute; or \"sqlite::memory:\""))]
    pub url: StoreUrl,
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
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            max_size: 0,
            min_free_disk: 256 << 20,
            lock_wait: Duration::from_secs(30),
        }
    }
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// An SQLite file; a relative path starts at the working directory.
    File(PathBuf),
    /// Nothing survives the process.
    Memory,
}

impl StoreUrl {
    /// Reads `sqlite:PATH`, `sqlite://PATH` and `sqlite::memory:`.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err("is no store's URL".to_owned());
        };
        match scheme {
            "sqlite" => {}
            "postgres" | "postgresql" => {
                return Err(
                    "names a PostgreSQL database, but this build stores in SQLite only".to_owned(),
                );
            }
            _ => return Err(format!("names an unknown kind of store, {scheme:?}")),
        }
        if rest == ":memory:" {
            return Ok(Self::Memory);
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.contains(['?', '#']) {
            return Err("has parameters, which are not understood here".to_owned());
        }
        if path.is_empty() || path.ends_with('/') {
            return Err("names no file".to_owned());
        }
        Ok(Self::File(path.into()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) if path.is_absolute() => write!(f, "sqlite://{}", path.display()),
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("sqlite::memory:"),
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
    }
}
