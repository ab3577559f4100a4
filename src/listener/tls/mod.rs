//! TLS of a listener: what it shows, and the handshake.
//!
//! What is shown may change while the listener runs. A handshake takes what is in force when it
//! begins, and what was agreed on lasts as long as its connection.

mod ahead;
mod certificate;
mod handshake;
mod identity;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(super) use ahead::Ahead;
pub use certificate::Certificate;
pub(super) use handshake::{Failure, Handshakes};
pub use identity::{Identity, Pem, PemFault, private_key};

use crate::metrics::ListenerTls;

/// TLS of one listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What new connections are shown.
    pub identity: Arc<ArcSwap<Identity>>,
    /// Where handshakes are counted.
    pub metrics: ListenerTls,
    /// The listener's section of the configuration, for what is logged.
    pub section: &'static str,
}
