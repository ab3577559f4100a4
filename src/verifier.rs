//! Certificates of servers that are known otherwise than by who signed them.
//!
//! Whatever is taken, that the server has the key of its certificate is proved all the same.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

/// Asks neither who signed a certificate, nor for whom, nor until when.
#[derive(Debug)]
pub struct Verifier {
    /// The one that is taken; any, where there is none.
    only: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Takes this certificate and no other.
    pub fn exactly(only: CertificateDer<'static>, provider: Arc<CryptoProvider>) -> Self {
        Self {
            only: Some(only),
            provider,
        }
    }

    /// Takes any: encryption against those who only listen.
    pub fn anybody(provider: Arc<CryptoProvider>) -> Self {
        Self {
            only: None,
            provider,
        }
    }
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

    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn one_certificate_is_taken_and_no_other_or_whichever_is_shown() {
        let made = || {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
            made.unwrap().cert.der().clone()
        };
        let (own, other) = (made(), made());
        let provider = Arc::new(ring::default_provider());
        let exactly = Verifier::exactly(own.clone(), Arc::clone(&provider));
        let anybody = Verifier::anybody(provider);
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
