//! `[flashduty]`: the sender's own API.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::secret;

/// How the sender's API is called.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Flashduty {
    /// The key; without one nothing is asked and nothing is posted.
    #[serde(
        serialize_with = "secret::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text")]
    pub app_key: Option<SecretString>,
    /// Where the API is.
    #[schemars(extend("x-allowed" = "a URL that begins with http:// or https://"))]
    pub base_url: String,
}

impl Default for Flashduty {
    fn default() -> Self {
        Self {
            app_key: None,
            base_url: "https://api.flashcat.cloud".to_owned(),
        }
    }
}
