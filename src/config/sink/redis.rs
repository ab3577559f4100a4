//! A sink of type `redis`.

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::super::secret;
use super::address::{self, check_servers};
use super::check::{Fault, Faults};
use super::document::{self, Document};
use super::trust;

/// One entry of a Redis stream for each event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RedisSink {
    /// The server, with user, password and database if need be.
    #[serde(
        serialize_with = "address::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text", extend("x-allowed" = "\"redis://user:password@host:port/0\" or \"rediss://...\" for TLS, also as \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\""))]
    pub url: Option<SecretString>,
    /// The stream's key.
    #[schemars(extend("x-allowed" = "the key of a stream, such as \"flashduty:events\""))]
    pub key: String,
    /// About how many entries the stream keeps; 0: all.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub max_len: u64,
    /// Certificates that are trusted beside the system's.
    #[serde(
        serialize_with = "document::serialize_file",
        deserialize_with = "document::deserialize_file",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "document::File", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for none"))]
    pub ca_file: Option<Document>,
}

impl Default for RedisSink {
    fn default() -> Self {
        Self {
            url: None,
            key: "flashduty:events".to_owned(),
            max_len: 100_000,
            ca_file: None,
        }
    }
}

impl RedisSink {
    /// Checks the keys.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        let url = self.url.as_ref().map(|url| url.expose_secret());
        faults.take("url", check_servers(url.into_iter(), &["redis", "rediss"]));
        if self.key.trim().is_empty() {
            faults.add("key", "is empty");
        }
        faults.take(
            "ca_file",
            self.ca_file.as_ref().map(trust::certificates).transpose(),
        );
        faults.finish()
    }
}
