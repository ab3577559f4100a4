//! `[otlp]`: where traces are sent.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::header;
use super::problem::Report;
use super::secret::{self, Resolver};
use super::sink::document::{self, Document};
use super::sink::{address, trust};

/// Headers that a request has of itself.
const OWN_HEADERS: [&str; 5] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// A longer list of authorities is a mistake.
const MAX_CERTIFICATES: u64 = 1 << 20;

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
    #[serde(
        serialize_with = "document::serialize_file",
        deserialize_with = "document::deserialize_file",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "document::File", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for none"))]
    pub ca_file: Option<Document>,
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
    /// Reads what stands in a file of its own.
    pub(super) fn finish(&mut self, resolver: &mut Resolver<'_>, report: &mut Report<'_>) {
        let Some(document) = &mut self.ca_file else {
            return;
        };
        if let Some(path) = document.path() {
            match resolver.read_text(path, MAX_CERTIFICATES) {
                Ok(text) => document.fill(text),
                Err(what) => report.add("otlp.ca_file", what),
            }
        }
    }

    /// Reports what cannot be sent.
    pub(super) fn check(&self, report: &mut Report<'_>) {
        for (key, what) in self.faults() {
            // What is wrong with it may have been said already.
            if !report.blames(&key) {
                report.add(&key, what);
            }
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut add = |key: &str, what: &str| {
            faults.push((format!("otlp.{key}"), what.to_owned()));
        };
        if let Some(endpoint) = &self.endpoint
            && let Err(what) = is_endpoint(endpoint.expose_secret())
        {
            add("endpoint", &what);
        }
        for (name, value) in &self.headers {
            let key = format!("headers.{name}");
            if OWN_HEADERS.contains(&name.as_str()) {
                add(&key, "is a header that each request has of itself");
            } else if HeaderValue::from_str(value.expose_secret()).is_err() {
                add(&key, "holds a character that no header may have");
            }
        }
        if let Some(document) = &self.ca_file
            && let Err(what) = trust::certificates(document)
        {
            add("ca_file", &what);
        }
        if self.service_name.trim().is_empty() {
            add("service_name", "is empty");
        }
        faults
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
