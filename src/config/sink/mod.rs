//! `[sink.NAME]`: where events are delivered.
//!
//! The key `type` decides which other keys a table may have. What every sink has ([`Delivery`]) and
//! what only its type has ([`Destination`]) are read as two structs, each from its share of the
//! table, so that neither hides what the other does not know; the schema has them merged.

pub(super) mod address;
mod check;
mod condition;
mod delivery;
pub(super) mod document;
mod exec;
mod file;
mod http;
mod kafka;
mod kind;
mod labels;
mod log;
mod nats;
mod preset;
pub(super) mod rate;
mod read;
mod redis;
pub(super) mod trust;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::check::Fault;
pub(super) use self::check::{contradictions, warnings};
pub use self::delivery::{Delivery, OnInterrupt, Order, Retry};
pub use self::document::Document;
pub use self::exec::ExecSink;
pub use self::file::FileSink;
pub use self::http::{Format, HttpSink, PresetName, RobotName};
pub use self::kafka::KafkaSink;
pub use self::log::LogSink;
pub use self::nats::NatsSink;
pub(super) use self::preset::lay_below;
pub(super) use self::read::{finish, sinks};
pub use self::redis::RedisSink;

/// The sink that is there without being configured.
pub const LOG_SINK: &str = "log";

/// A configured sink.
#[derive(Debug, Clone, Serialize)]
pub struct Sink {
    /// Where events go.
    #[serde(flatten)]
    pub to: Destination,
    /// What they are delivered by, whatever the type.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Tells whether a reload changed anything.
    #[serde(skip)]
    pub identity: Identity,
}

/// Where a sink's events go.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Destination {
    /// One line on standard output for each event.
    Log(LogSink),
    /// One request for each event.
    Http(Box<HttpSink>),
    /// One run of a command for each event.
    Exec(ExecSink),
    /// One line of a file for each event.
    File(FileSink),
    /// One message in a `JetStream` stream for each event.
    Nats(NatsSink),
    /// One entry of a Redis stream for each event.
    Redis(RedisSink),
    /// One record in a Kafka topic for each event.
    Kafka(KafkaSink),
}

impl Sink {
    /// Whether anything is delivered to it.
    pub fn is_enabled(&self) -> bool {
        self.delivery.enabled
    }

    /// Whether it gets events that were overtaken by later ones.
    pub fn includes_stale(&self) -> bool {
        self.delivery.include_stale
    }

    /// The word its type is written as.
    pub fn type_name(&self) -> &'static str {
        match self.to {
            Destination::Log(_) => "log",
            Destination::Http(_) => "http",
            Destination::Exec(_) => "exec",
            Destination::File(_) => "file",
            Destination::Nats(_) => "nats",
            Destination::Redis(_) => "redis",
            Destination::Kafka(_) => "kafka",
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            to: Destination::Log(LogSink::default()),
            delivery: Delivery::default(),
            identity: Identity::default(),
        }
    }
}

impl JsonSchema for Sink {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sink".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        kind::schema(generator)
    }
}

/// A digest of all that a sink was read from, secrets and files included: equal when nothing about
/// it changed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of what was `self` so far, and of `more`.
    #[must_use]
    pub fn with(self, more: &[u8]) -> Self {
        let length = u64::try_from(more.len()).unwrap_or(u64::MAX).to_be_bytes();
        let digest = Sha256::new().chain_update(self.0).chain_update(length);
        Self(digest.chain_update(more).finalize().into())
    }
}

/// Shows no digest: it is also one of secrets, and short secrets can be found by trying.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}
