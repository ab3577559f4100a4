//! `[otlp]`: where traces are sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::problem::Report;
use super::sink::address;
use super::{header, secret, text};

/// Headers that a request has of itself.
const OWN_HEADERS: [&str; 5] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// Traces for a collector that speaks OTLP over HTTP, in JSON; off without an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Otlp {
    /// Where to; without one nothing is traced.
    #[serde(
        serialize_with = "address::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text", extend("x-allowed" = "a URL that begins with http:// or https://, such as \"http://127.0.0.1:4318\", \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\""))]
    pub endpoint: Option<SecretString>,
    /// Headers that are sent.
    #[serde(
        serialize_with = "header::serialize_fixed",
        deserialize_with = "header::deserialize_fixed",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "header::Fixed")]
    pub headers: Vec<(HeaderName, SecretString)>,
    /// Certificates that are trusted beside the system's.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for none"))]
    pub ca_file: Option<PathBuf>,
    /// Which share of the traces that begin here is recorded.
    #[serde(deserialize_with = "ratio")]
    #[schemars(extend("x-allowed" = "a number from 0 to 1, such as 0.1"))]
    pub sample_ratio: f64,
    /// What the receiver is called in traces.
    #[schemars(extend("x-allowed" = "a name that is not empty"))]
    pub service_name: String,
    /// More of what traces say of the receiver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-allowed" = "a table of attributes and their values, such as { \"deployment.environment.name\" = \"production\" }"))]
    pub resource: BTreeMap<String, String>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: Vec::new(),
            ca_file: None,
            sample_ratio: 1.0,
            service_name: "flashduty-receiver".to_owned(),
            resource: BTreeMap::new(),
        }
    }
}

impl Otlp {
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

    /// Reports what cannot be sent.
    pub(super) fn check(&self, report: &mut Report<'_>) {
        if report.blames("otlp") {
            return;
        }
        if let Some(endpoint) = &self.endpoint
            && let Err(what) = is_endpoint(endpoint.expose_secret())
        {
            report.add("otlp.endpoint", what);
        }
        for (name, value) in &self.headers {
            let key = format!("otlp.headers.{name}");
            if OWN_HEADERS.contains(&name.as_str()) {
                report.add(&key, "is a header that each request has of itself");
            } else if HeaderValue::from_str(value.expose_secret()).is_err() {
                report.add(&key, "holds a character that no header may have");
            }
        }
        if self.service_name.trim().is_empty() {
            report.add("otlp.service_name", "is empty");
        }
    }
}

fn is_endpoint(text: &str) -> Result<(), String> {
    address::check_servers(std::iter::once(text), &["http", "https"])?;
    let (_, behind) = text.split_once("://").unwrap_or_default();
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.contains('@') {
        true => Err("has a user in it: send a header instead".to_owned()),
        false => Ok(()),
    }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = text::read_string(deserializer)?;
    Ok((!path.is_empty()).then(|| path.into()))
}

/// A number, also as the text of a variable.
fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = match toml::Value::deserialize(deserializer)? {
        toml::Value::Float(number) => Some(number),
        toml::Value::Integer(0) => Some(0.0),
        toml::Value::Integer(1) => Some(1.0),
        toml::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| D::Error::custom("is no number from 0 to 1"))
}
