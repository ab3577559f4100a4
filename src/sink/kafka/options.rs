//! What a kafka sink is made of, and how that becomes librdkafka's configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret as _, SecretString};

use crate::sink::broker::Misconfigured;

/// What a kafka sink is made of.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Brokers to begin with, as `host:port`, separated by commas.
    pub brokers: String,
    /// The topic that is written to.
    pub topic: String,
    /// Who we are, for SASL PLAIN; nobody unless set.
    pub username: Option<String>,
    /// The password that belongs to it.
    pub password: Option<SecretString>,
    /// Certificates for TLS, as PEM.
    pub ca_file: Option<Vec<u8>>,
    /// librdkafka's own properties, for what has no option here. Values may be secret.
    pub properties: BTreeMap<String, SecretString>,
    /// What a batch may take, to the last acknowledgement.
    pub timeout: Duration,
}

/// Properties that the promises rest on, or that have an option.
const OURS: [(&str, &str); 8] = [
    ("acks", "is always `all`"),
    ("request.required.acks", "is always `all`"),
    ("enable.idempotence", "is always on"),
    ("bootstrap.servers", "is the option `brokers`"),
    ("metadata.broker.list", "is the option `brokers`"),
    ("message.timeout.ms", "follows from the option `timeout`"),
    ("delivery.timeout.ms", "follows from the option `timeout`"),
    (
        "transactional.id",
        "cannot be used: there are no transactions",
    ),
];

impl KafkaOptions {
    /// librdkafka's configuration. Refuses what asks for TLS where there is none.
    pub(super) fn config(&self) -> Result<ClientConfig, Misconfigured> {
        if self
            .brokers
            .split(',')
            .any(|broker| broker.trim().is_empty())
        {
            let what = "has an empty entry: brokers are host:port, separated by commas";
            return Err(Misconfigured::new("brokers", what));
        }
        let named = |at: char| at.is_ascii_alphanumeric() || matches!(at, '.' | '_' | '-');
        if !(1..=249).contains(&self.topic.len()) || !self.topic.chars().all(named) {
            let what = "is not the name of a topic: 1 to 249 letters, digits, `.`, `_` and `-`";
            return Err(Misconfigured::new("topic", what));
        }
        for (name, what) in OURS {
            if self.properties.contains_key(name) {
                return Err(Misconfigured::new("properties", format!("{name} {what}")));
            }
        }
        if let (Some(key), false) = (self.asks_for_tls(), has_tls()) {
            let what = "asks for TLS, which this build does not have for Kafka: its librdkafka is \
                        built without SSL. Reach the brokers through a plaintext listener of a \
                        trusted network, or through a proxy that speaks TLS";
            return Err(Misconfigured::new(key, what));
        }
        if self.username.is_some() != self.password.is_some() {
            let what = "are given together or not at all";
            return Err(Misconfigured::new("username and password", what));
        }
        let mut config = self.defaults();
        for (name, value) in &self.properties {
            config.set(name, value.expose_secret());
        }
        // Unknown names and values are found here, before anything is connected.
        config.create_native_config().map_err(|error| {
            let what = match error {
                KafkaError::ClientConfig(_, _, key, _) => {
                    format!("librdkafka does not know or take {key}")
                }
                _ => "librdkafka does not take them".to_owned(),
            };
            Misconfigured::new("properties", what)
        })?;
        Ok(config)
    }

    fn defaults(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "flashduty-receiver")
            .set("bootstrap.servers", &self.brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set(
                "message.timeout.ms",
                self.message_timeout().as_millis().to_string(),
            )
            // A batch is handed over at once, so there is nothing to linger for.
            .set("linger.ms", "1")
            // The broker is the judge of size: a push may have 8 MiB, the default is 1 MB.
            .set("message.max.bytes", "20000000")
            // A key goes to the same partition as with Kafka's own clients.
            .set("partitioner", "murmur2_random")
            .set("reconnect.backoff.max.ms", "1000");
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let tls = self.ca_file.is_some();
            config
                .set(
                    "security.protocol",
                    if tls { "SASL_SSL" } else { "SASL_PLAINTEXT" },
                )
                .set("sasl.mechanisms", "PLAIN")
                .set("sasl.username", username)
                .set("sasl.password", password.expose_secret());
        } else if self.ca_file.is_some() {
            config.set("security.protocol", "SSL");
        }
        if let Some(ca) = &self.ca_file {
            config.set("ssl.ca.pem", String::from_utf8_lossy(ca));
        }
        config
    }

    /// Shorter than `timeout`, so that librdkafka's own word on a message comes first.
    fn message_timeout(&self) -> Duration {
        self.timeout - (self.timeout / 4).min(Duration::from_secs(2))
    }

    fn asks_for_tls(&self) -> Option<&'static str> {
        if self.ca_file.is_some() {
            return Some("ca_file");
        }
        let asks = |(name, value): (&String, &SecretString)| match name.as_str() {
            "security.protocol" => value.expose_secret().to_ascii_lowercase().contains("ssl"),
            name => name.starts_with("ssl.") || name.starts_with("enable.ssl."),
        };
        self.properties.iter().any(asks).then_some("properties")
    }

    /// What must not be shown of what others say.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        // Short values, such as numbers, are no secrets, and blotting them out would hide the rest.
        let values = self
            .properties
            .iter()
            .filter(|(name, value)| name.contains("password") || value.expose_secret().len() >= 6);
        let values = values.map(|(_name, value)| value);
        self.password.iter().chain(values)
    }
}

/// Whether librdkafka was built with TLS.
pub(super) fn has_tls() -> bool {
    let features = ClientConfig::new()
        .create_native_config()
        .and_then(|config| config.get("builtin.features"));
    features.is_ok_and(|features| features.split(',').any(|feature| feature.trim() == "ssl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(properties: &[(&str, &str)]) -> KafkaOptions {
        KafkaOptions {
            brokers: "127.0.0.1:9092".to_owned(),
            topic: "flashduty".to_owned(),
            username: None,
            password: None,
            ca_file: None,
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
                .collect(),
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn what_asks_for_tls_is_refused_where_there_is_none() {
        assert!(!has_tls(), "the features leave TLS out of librdkafka");
        let mut with_ca = options(&[]);
        with_ca.ca_file = Some(b"pem".to_vec());
        for asking in [
            with_ca,
            options(&[("security.protocol", "SASL_SSL")]),
            options(&[("ssl.ca.location", "/etc/ca.pem")]),
        ] {
            let refused = asking.config().unwrap_err();
            assert!(refused.reason.contains("without SSL"), "{refused}");
        }
    }

    #[test]
    fn what_the_promises_rest_on_cannot_be_changed() {
        for (name, _) in OURS {
            let refused = options(&[(name, "0")]).config().unwrap_err();
            assert!(refused.reason.starts_with(name), "{refused}");
        }
        let config = options(&[("compression.type", "gzip")]).config().unwrap();
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("message.timeout.ms"), Some("8000"));
        assert_eq!(config.get("compression.type"), Some("gzip"));
    }

    #[test]
    fn a_property_that_is_wrong_is_named_without_its_value() {
        for wrong in [("no.such.thing", "s3cret"), ("linger.ms", "s3cret")] {
            let refused = options(&[wrong]).config().unwrap_err();
            assert!(refused.reason.contains(wrong.0), "{refused}");
            assert!(!refused.to_string().contains("s3cret"), "{refused}");
        }
    }
}
