//! Encryption of the connection to the database.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::target::Tls;
use crate::verifier::Verifier;

/// What a client of the database expects of its certificate.
pub(super) fn client(tls: Tls, ca: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls == Tls::VerifyFull {
        builder.with_root_certificates(roots(ca)?)
    } else {
        // As `sslmode=require` has it.
        let anybody = Arc::new(Verifier::anybody(provider));
        builder
            .dangerous()
            .with_custom_certificate_verifier(anybody)
    };
    Ok(builder.with_no_client_auth())
}

/// The authorities in `ca`, or else those that the system trusts.
fn roots(ca: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("there is no certificate of an authority".to_owned());
    }
    Ok(roots)
}
