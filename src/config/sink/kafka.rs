//! A sink of type `kafka`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Fault, Faults};

/// One record in a Kafka topic for each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KafkaSink {
    /// Servers to begin with.
    #[schemars(extend("x-allowed" = "a list of hosts with ports, such as [\"kafka-1:9092\", \"kafka-2:9092\"]"))]
    pub brokers: Vec<String>,
    /// The topic.
    #[schemars(extend("x-allowed" = "a topic: 1 to 249 of A-Z, a-z, 0-9, '.', '_', '-'"))]
    pub topic: String,
    /// Whether connections are encrypted.
    pub tls: bool,
}

impl Default for KafkaSink {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic: "flashduty-events".to_owned(),
            tls: false,
        }
    }
}

impl KafkaSink {
    /// Checks the keys.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        if self.brokers.is_empty() {
            faults.add("brokers", "is missing or empty");
        }
        for (index, broker) in self.brokers.iter().enumerate() {
            let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) || broker.contains("://") {
                faults.add(&format!("brokers[{index}]"), "is no host with a port");
            }
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.topic.is_empty() || self.topic.len() > 249 || !self.topic.chars().all(fits) {
            faults.add("topic", "is no topic");
        }
        if self.tls {
            faults.allow(
                "tls",
                "is not in any build: the library it takes is not linked",
                "false, and a network or a proxy beside the receiver that encrypts",
            );
        }
        faults.finish()
    }
}
