//! `[recover]`: what is fetched from the sender's history, and how politely.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::sink::rate;
use super::{duration, text};
use crate::inbox::Rate;

/// Fetching what came while no receiver took it; needs `flashduty.app_key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Recover {
    /// The integrations whose pushes are ours; none: all that `endpoint` lets through.
    #[schemars(extend("x-allowed" = "a list of integrations' numbers, such as [4021, 4022]"))]
    pub integrations: Vec<i64>,
    /// Only pushes to URLs that begin so are ours; empty: all of `integrations`.
    #[schemars(extend("x-allowed" = "the webhook's public URL without tag and query, such as \"https://hooks.example.com/webhook\""))]
    pub endpoint: String,
    /// Between two looks into the history; 0: it is looked into by hand only.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1d"))]
    pub interval: Duration,
    /// How far back to look at most.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "1m", "x-max" = "7d"))]
    pub lookback: Duration,
    /// The most recent pushes are left to the ordinary way for so long.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1h"))]
    pub settle_delay: Duration,
    /// Requests to the sender's API.
    #[serde(serialize_with = "write_rate", deserialize_with = "read_rate")]
    #[schemars(with = "String", extend("x-allowed" = "requests and a length of time such as \"5/1s\", from 1 to 100000 requests in \"100ms\" to \"1d\""))]
    pub rate: Rate,
    /// Whether recovered commands are carried out, unless they are too old by then.
    pub commands: bool,
}

impl Default for Recover {
    fn default() -> Self {
        Self {
            integrations: Vec::new(),
            endpoint: String::new(),
            interval: Duration::from_secs(60),
            lookback: Duration::from_secs(7 * 24 * 60 * 60),
            settle_delay: Duration::from_secs(10),
            rate: Rate {
                count: 5,
                window: Duration::from_secs(1),
            },
            commands: false,
        }
    }
}

impl Recover {
    /// Whether it is said whose pushes are fetched: a key alone would fetch those of the whole
    /// account.
    pub fn has_scope(&self) -> bool {
        !self.integrations.is_empty() || !self.endpoint.is_empty()
    }
}

fn write_rate<S: Serializer>(rate: &Rate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rate::format(rate))
}

fn read_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    let text = text::read_string(deserializer)?;
    rate::parse(&text).map_err(D::Error::custom)
}
