//! Which servers those who connect to them trust, and how the certificates for that are read.
//!
//! However a server is known, that it has the key of its certificate is proved all the same. The provider
//! of cryptography is named here, so that nothing depends on one that the process has or has not.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

/// What is spoken inside, in the words of ALPN.
pub const HTTP: &[u8] = b"http/1.1";

/// By what a server is known.
#[derive(Debug, Clone)]
pub enum Trust {
    /// By one of these authorities, which signed its certificate for its name.
    Authorities(RootCertStore),
    /// By this certificate, whoever signed it, for whom, and until when.
    Exactly(CertificateDer<'static>),
    /// By nothing: encryption against those who only listen.
    Anybody,
}

impl Trust {
    /// What a client's side of TLS is made with, but for what it shows of itself.
    ///
    /// # Errors
    /// When the provider cannot speak the usual versions.
    pub fn client(self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let only = match self {
            Self::Authorities(roots) => return Ok(builder.with_root_certificates(roots)),
            Self::Exactly(only) => Some(only),
            Self::Anybody => None,
        };
        let verifier = Arc::new(Verifier { only, provider });
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier))
    }

    /// The same for a client of HTTP/1.1 that shows nothing of itself.
    ///
    /// # Errors
    /// As [`Trust::client`].
    pub fn http_client(self) -> Result<ClientConfig, rustls::Error> {
        let mut config = self.client()?.with_no_client_auth();
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(config)
    }
}

/// The authorities that the system trusts: a few hundred KiB and a few milliseconds.
pub fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates_of_system());
    roots
}

fn certificates_of_system() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("a certificate of the system cannot be read: {error}");
    }
    found.certs
}

/// The system's authorities, and those in a file beside them. Where nothing `is_encrypted`, a machine
/// without any will do.
///
/// # Errors
/// As [`authorities`], of the file.
pub fn system_and(pem: Option<&[u8]>, is_encrypted: bool) -> Result<RootCertStore, String> {
    let mut roots = match is_encrypted {
        true => system(),
        false => RootCertStore::empty(),
    };
    if let Some(pem) = pem {
        roots.extend(authorities(pem)?.roots);
    }
    Ok(roots)
}

/// The authorities in a file and the system's behind them, in PEM again: for a library that reads that itself,
/// trusts nobody else then, and takes none where it cannot use one.
///
/// # Errors
/// As [`authorities`], of the file.
pub fn system_and_in_pem(pem: &[u8]) -> Result<Vec<u8>, String> {
    authorities(pem)?;
    let mut whole = String::from("\n");
    for certificate in certificates_of_system() {
        let encoded = STANDARD.encode(&certificate);
        if RootCertStore::empty().add(certificate).is_ok() {
            whole.push_str("-----BEGIN CERTIFICATE-----\n");
            whole.push_str(&encoded);
            whole.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
    Ok([pem, whole.as_bytes()].concat())
}

/// The authorities in a file.
///
/// # Errors
/// When there is none, or one that cannot be used.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    Ok(roots)
}

/// All certificates in a file, at least one.
///
/// # Errors
/// When there is none, or one that is no PEM.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| broken(&error))?;
    if !read.is_empty() {
        return Ok(read);
    }
    let hint = match String::from_utf8_lossy(pem).contains("PRIVATE KEY-----") {
        true => ", but a private key: are the files of certificate and key swapped?",
        false => " in PEM, which begins with -----BEGIN CERTIFICATE-----",
    };
    Err(format!("holds no certificate{hint}"))
}

/// What is wrong with a file that should be PEM: the library's words show bytes as numbers.
pub fn broken(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "is cut off: a line -----END …----- is missing".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => {
            "has a line -----BEGIN …----- that is no such line".to_owned()
        }
        error => format!("is no PEM: {error}"),
    }
}

/// Asks neither who signed a certificate, nor for whom, nor until when.
#[derive(Debug)]
struct Verifier {
    /// The one that is taken; any, where there is none.
    only: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.only {
            Some(only) if shown.as_ref() != only.as_ref() => {
                Err(CertificateError::UnknownIssuer.into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_stands_in_a_file_is_trusted_beside_what_the_system_trusts() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let pem = made.unwrap().cert.pem();
        let pem = pem.trim_end().as_bytes();
        let both = system().len() + 1;
        assert_eq!(system_and(Some(pem), true).unwrap().len(), both);
        let in_pem = system_and_in_pem(pem).unwrap();
        assert_eq!(authorities(&in_pem).unwrap().len(), both);
        assert_eq!(system_and_in_pem(b"no"), authorities(b"no").map(|_| vec![]));
    }

    #[test]
    fn one_certificate_is_taken_and_no_other_or_whichever_is_shown() {
        let made = || {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
            made.unwrap().cert.der().clone()
        };
        let (own, other) = (made(), made());
        let provider = Arc::new(ring::default_provider());
        let known_by = |only: Option<&CertificateDer<'static>>| Verifier {
            only: only.cloned(),
            provider: Arc::clone(&provider),
        };
        let (exactly, anybody) = (known_by(Some(&own)), known_by(None));
        let takes = |verifier: &Verifier, shown: &CertificateDer<'_>| {
            let name = ServerName::try_from("elsewhere").unwrap();
            let now = UnixTime::since_unix_epoch(Duration::ZERO);
            let judged = verifier.verify_server_cert(shown, &[], &name, &[], now);
            judged.is_ok()
        };
        assert!(takes(&exactly, &own) && !takes(&exactly, &other));
        assert!(takes(&anybody, &own) && takes(&anybody, &other));
    }
}
