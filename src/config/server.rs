//! `[server]` and `[admin]`: the two listeners.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::tls::{AdminTls, ServerTls};
use super::{duration, secret, size, text};

/// The public listener, and what a push may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Server {
    /// Address and port for pushes and balancers' probes.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String", extend("x-allowed" = ADDRESS))]
    pub listen: SocketAddr,
    /// Path of the webhook; a tag may follow it as one more segment.
    #[schemars(extend("x-allowed" = PATH))]
    pub path: String,
    /// Largest body, in bytes.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "1KiB", "x-max" = "1GiB"))]
    pub max_body: u64,
    /// Memory that all bodies over 64 KiB share, in bytes.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "1MiB", "x-max" = "64GiB"))]
    pub max_inflight: u64,
    /// From a push's first byte to its answer, whatever the store does.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "50ms", "x-max" = "2s"))]
    pub ack_deadline: Duration,
    /// What happens when the deadline passes.
    pub on_late: OnLate,
    /// From a request's first byte to its whole head; also the time a body may take.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "100ms", "x-max" = "5m"))]
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "1s", "x-max" = "1d"))]
    pub idle_timeout: Duration,
    /// Open connections.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub max_connections: u32,
    /// After SIGTERM: not ready, but still accepting, for so long.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1h"))]
    pub drain_delay: Duration,
    /// Then what is in flight may take so long.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1h"))]
    pub drain_timeout: Duration,
    /// What it shows whoever connects.
    #[serde(skip_serializing_if = "ServerTls::is_absent")]
    pub tls: ServerTls,
}

const ADDRESS: &str = "an address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"";
const PATH: &str = "a path such as \"/webhook\": a slash and A-Z, a-z, 0-9, '.', '_', '-', in one or more segments, other than /livez and /readyz";

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            path: "/webhook".to_owned(),
            max_body: 8 << 20,
            max_inflight: 64 << 20,
            ack_deadline: Duration::from_millis(700),
            on_late: OnLate::Answer,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            max_connections: 4096,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            tls: ServerTls::default(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = text::read_string(deserializer)?;
    text.trim()
        .parse()
        .map_err(|_| D::Error::custom("is no address with a port"))
}

/// What a sender gets when its push was not confirmed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLate {
    /// A 503.
    Answer,
    /// The connection's end, which some senders take as a reason to try once more.
    Close,
}

/// The listener for people, kubelets and Prometheus.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Admin {
    /// Address and port of metrics, health, API and console.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String", extend("x-allowed" = ADDRESS))]
    pub listen: SocketAddr,
    /// What API and console want as a bearer token.
    #[serde(
        serialize_with = "secret::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text")]
    pub token: Option<SecretString>,
    /// What it shows whoever connects.
    #[serde(skip_serializing_if = "AdminTls::is_absent")]
    pub tls: AdminTls,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            token: None,
            tls: AdminTls::default(),
        }
    }
}
