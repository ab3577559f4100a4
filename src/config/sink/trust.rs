//! Certificates that are trusted beside the system's.

use super::document::Document;
use crate::trust;

/// The bytes of a file with certificates in PEM, at least one and each of them usable.
pub(in crate::config) fn certificates(document: &Document) -> Result<Vec<u8>, String> {
    let pem = document.text().as_bytes();
    trust::authorities(pem)?;
    Ok(pem.to_vec())
}
