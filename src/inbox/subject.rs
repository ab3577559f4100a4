//! The number that a store gives a subject of a route.

use sha2::{Digest as _, Sha256};

/// 63 bits of a digest; never zero.
pub(super) fn subject_id(route: i64, subject: &str) -> i64 {
    let digest = Sha256::new()
        .chain_update(route.to_be_bytes())
        .chain_update(subject.as_bytes())
        .finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    (i64::from_be_bytes(bytes) & i64::MAX).max(1)
}

/// Where a subject goes whose number another one has.
pub(super) fn next_id(id: i64) -> i64 {
    id % i64::MAX + 1
}
