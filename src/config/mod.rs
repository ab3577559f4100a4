//! The configuration: where it is looked for, what may stand in it, and what it says.
//!
//! Only this module reads configuration files and the environment. Invariants:
//! - Later layers win: built-in defaults, `config/default.toml` of the working directory, the named
//!   file, then `FLASHDUTY__SECTION__KEY`. Tables merge, everything else replaces.
//! - What is not understood stops the start: unknown keys and variables, wrong types, contradictions.
//!   A message says where, which key, which value, and what is allowed.
//! - A secret never gets into a message, a `Debug` or a description.

mod admission;
mod check;
mod duration;
mod environment;
mod flashduty;
mod header;
mod layers;
mod lines;
mod load;
mod log;
mod net;
mod origins;
mod otlp;
mod problem;
mod recover;
mod reload;
mod secret;
mod sections;
mod server;
mod shape;
mod sink;
mod size;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod tls;
pub mod watch;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::envelope::EnvelopeOptions;

pub use admission::{Admission, Envelope};
pub use environment::Environment;
pub use flashduty::Flashduty;
pub use layers::{ConfigSource, NamedFile};
pub use load::{Loaded, load};
pub use log::{Log, LogFormat};
pub use otlp::Otlp;
pub use problem::{ConfigError, Place, Problem};
pub use recover::Recover;
pub use reload::{Reload, merge_reload};
pub use server::{Admin, OnLate, Server};
pub use shape::schema;
pub use sink::{
    Delivery, Destination, Document, ExecSink, Fault, FileSink, Format, HttpSink, Identity,
    KafkaSink, LOG_SINK, LogSink, NatsSink, OnInterrupt, Order, PresetName, RedisSink, Retry,
    RobotName, Sink,
};
pub use source::{ProxyProtocol, Source};
pub use store::{Password, SpillUrl, Store, StoreUrl};
pub use tls::{AdminTls, Identities, ServerTls, warning as certificate_warning};

/// The whole configuration of flashduty-receiver.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "flashduty-receiver", inline)]
pub struct Settings {
    /// The public listener, and what a push may take.
    pub server: Server,
    /// The listener for people, kubelets and Prometheus.
    pub admin: Admin,
    /// Who may push.
    pub source: Source,
    /// The inbox's place and bounds.
    pub store: Store,
    /// How events are judged.
    pub admission: Admission,
    /// Where a push carries what is needed.
    pub envelope: Envelope,
    /// The receiver's own log.
    pub log: Log,
    /// The sender's own API.
    pub flashduty: Flashduty,
    /// Fetching what came while no receiver took it.
    pub recover: Recover,
    /// Where traces are sent.
    pub otlp: Otlp,
    /// Where events are delivered, by name.
    #[serde(rename = "sink")]
    pub sinks: BTreeMap<String, Sink>,
}

impl Default for Settings {
    fn default() -> Self {
        let mut log = Sink::default();
        log.delivery.on_interrupt = Some(OnInterrupt::Retry);
        Self {
            server: Server::default(),
            admin: Admin::default(),
            source: Source::default(),
            store: Store::default(),
            admission: Admission::default(),
            envelope: Envelope::default(),
            log: Log::default(),
            flashduty: Flashduty::default(),
            recover: Recover::default(),
            otlp: Otlp::default(),
            sinks: BTreeMap::from([(LOG_SINK.to_owned(), log)]),
        }
    }
}

impl Settings {
    /// Where a push carries what is needed, and which types are commands.
    pub fn envelope_options(&self) -> EnvelopeOptions {
        let envelope = self.envelope.clone();
        EnvelopeOptions {
            event_id: envelope.event_id,
            event_time: envelope.event_time,
            event_type: envelope.event_type,
            incident_id: envelope.incident_id,
            alert_id: envelope.alert_id,
            commands: self.admission.commands.clone(),
        }
    }
}

/// `settings` as TOML, every key with its value; secrets are `"***"`.
pub fn describe(settings: &Settings) -> String {
    toml::to_string(settings).expect("settings have string keys and plain values only")
}
