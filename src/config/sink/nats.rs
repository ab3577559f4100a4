//! A sink of type `nats`.

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::super::secret;
use super::address::{self, check_servers};
use super::check::{Fault, Faults};
use super::document::{self, Document};
use super::trust;

/// One message in a `JetStream` stream for each event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NatsSink {
    /// The servers, with commas between them.
    #[serde(
        serialize_with = "address::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text", extend("x-allowed" = "\"nats://host:port\" or \"tls://host:port\", or several with commas, also as \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\""))]
    pub url: Option<SecretString>,
    /// The subject messages are published under.
    #[schemars(extend("x-allowed" = "a subject without wildcards, such as \"flashduty.events\""))]
    pub subject: String,
    /// The stream that must take them; any that listens to the subject, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = "the name of a stream"))]
    pub stream: Option<String>,
    /// A file with credentials, as `nsc` makes them.
    #[serde(
        serialize_with = "document::serialize_file",
        deserialize_with = "document::deserialize_file",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "document::File")]
    pub credentials_file: Option<Document>,
    /// Certificates that are trusted beside the system's.
    #[serde(
        serialize_with = "document::serialize_file",
        deserialize_with = "document::deserialize_file",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "document::File", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for none"))]
    pub ca_file: Option<Document>,
}

impl Default for NatsSink {
    fn default() -> Self {
        Self {
            url: None,
            subject: "flashduty.events".to_owned(),
            stream: None,
            credentials_file: None,
            ca_file: None,
        }
    }
}

impl NatsSink {
    /// Checks the keys.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        let url = self.url.as_ref().map(|url| url.expose_secret());
        let servers = url.into_iter().flat_map(|list| list.split(','));
        faults.take("url", check_servers(servers, &["nats", "tls"]));
        let is_token = |token: &str| {
            let wild = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
            !token.is_empty() && !token.contains(wild)
        };
        if !self.subject.split('.').all(is_token) {
            faults.add("subject", "is no subject to publish under");
        }
        if self
            .stream
            .as_deref()
            .is_some_and(|name| !is_token(name) || name.contains('.'))
        {
            faults.add("stream", "is no name of a stream");
        }
        faults.take(
            "ca_file",
            self.ca_file.as_ref().map(trust::certificates).transpose(),
        );
        faults.finish()
    }
}
