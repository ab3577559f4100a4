//! Where events go: one trait, one file for each kind of destination.

pub mod line;
pub mod log;
pub mod pretty;

use async_trait::async_trait;

use crate::inbox::Lease;

/// A destination. May see the same event more than once.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers `leases`, at most as many as the dispatcher was told to hand over at once, and
    /// says for each, in order, how it ended.
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<(), SinkError>>;
}

/// Why a delivery failed, and so what the dispatcher does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// May work later.
    #[error("{0}")]
    Retry(String),
    /// Will never work.
    #[error("{0}")]
    Refused(String),
    /// The destination is gone until the process starts anew; the lease is kept, because the
    /// attempt may have succeeded in part.
    #[error("{0}")]
    Gone(String),
}
