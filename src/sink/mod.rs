//! Where events go: one trait, one file for each kind of destination.

#[cfg(any(feature = "nats", feature = "redis", feature = "kafka"))]
pub mod broker;
pub mod exec;
pub mod file;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(test)]
mod leases;
pub mod line;
pub mod log;
#[cfg(feature = "nats")]
pub mod nats;
pub mod pretty;
#[cfg(feature = "redis")]
pub mod redis;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::inbox::{Lease, Report};

/// A destination. May see the same event more than once.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers `leases`, at most as many as the dispatcher was told to hand over at once, and
    /// says for each, in order, how it ended.
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>>;

    /// Connects as for a delivery, and delivers nothing. A sink that connects to nobody has nobody
    /// to greet.
    async fn greet(&self) -> Result<Greeting, SinkError> {
        Ok(Greeting::default())
    }
}

/// What came back from who was greeted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The status of an answer in HTTP.
    pub status: Option<u16>,
    /// What time it is there.
    pub clock: Option<Timestamp>,
}

/// How a delivery ended that did not fail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Nothing was sent, because the sink does not need the event: the reason.
    pub needless: Option<String>,
    /// What there is to say about the attempt.
    pub report: Option<Box<Report>>,
}

/// Why a delivery failed, and so what the dispatcher does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It had no effect, and may work later.
    #[error("{0}")]
    Retry(Failure),
    /// Whether it had an effect is not known. Tried again, unless it must not happen twice.
    #[error("{0}")]
    Unknown(Failure),
    /// Will never work.
    #[error("{0}")]
    Refused(Failure),
    /// The destination is gone until the process starts anew; the lease is kept, because the
    /// attempt may have succeeded in part.
    #[error("{0}")]
    Gone(String),
}

/// What there is to say about a failed delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Why, for people. Holds no secret, and of a URL nothing but its host.
    pub reason: String,
    /// What there is to say about the attempt.
    pub report: Option<Box<Report>>,
    /// The other side asked not to be tried again before so much time has passed.
    pub after: Option<Duration>,
    /// The whole sink takes nothing for so long.
    pub hold: Option<Duration>,
}

impl Failure {
    /// A failure with nothing but a reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
