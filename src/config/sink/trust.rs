//! Certificates that are trusted beside the system's.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::document::Document;

/// The bytes of a file with certificates in PEM, at least one and each of them usable.
pub(in crate::config) fn certificates(document: &Document) -> Result<Vec<u8>, String> {
    let pem = document.text().as_bytes();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(pem.to_vec())
}
