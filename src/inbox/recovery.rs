//! What the inbox remembers of the sender's history.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// A record of the sender's history, as it is remembered: a digest of its integration and its id
/// there, which is not the id of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// The record that the sender calls `id` within `integration`.
    pub fn new(integration: i64, id: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(integration.to_be_bytes())
            .chain_update(id.as_bytes())
            .finalize();
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(digest) {
            *to = from;
        }
        Self(short)
    }
}

/// How far the sender's history was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where reading began; nothing before it is read by itself.
    pub begun: Timestamp,
    /// Up to where it was read.
    pub reached: Timestamp,
}
