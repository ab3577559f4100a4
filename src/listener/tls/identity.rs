//! From PEM to what a listener shows its peers: its certificate, and whose certificates it takes.
//!
//! Invariants:
//! - TLS 1.3 and 1.2 only, with forward secrecy and authenticated encryption; the server chooses.
//! - No early data: it could be replayed.
//! - A file that would fail each handshake is refused here, with what to do about it.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::certificate::Certificate;
use crate::trust::{self, HTTP};

/// The contents of a listener's files.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// Its certificate, followed by those of who signed it, in order.
    pub cert: &'a str,
    /// The certificate's key.
    pub key: &'a str,
    /// Authorities: whoever connects must show a certificate that one of them signed.
    pub client_ca: Option<&'a str>,
}

/// What is wrong with one of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {what}")]
pub struct PemFault {
    /// The key of [`Pem`], as the configuration calls it too.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub what: String,
}

impl PemFault {
    fn new(key: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { key, what }
    }

    fn of(key: &'static str) -> impl Fn(String) -> Self {
        move |what| Self { key, what }
    }
}

/// What a listener shows its peers.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: Certificate,
    der: CertificateDer<'static>,
    wants_certificate: bool,
    digest: [u8; 32],
}

impl Identity {
    /// Takes the contents of the files.
    ///
    /// # Errors
    /// When no handshake could succeed with them.
    pub fn new(pem: Pem<'_>) -> Result<Self, PemFault> {
        let provider = Arc::new(ring::default_provider());
        let chain = trust::certificates(pem.cert.as_bytes()).map_err(PemFault::of("cert"))?;
        let (certificate, der) = own(&chain).map_err(PemFault::of("cert"))?;
        let certified = certified(chain, pem.key, &provider)?;
        let verifier = match pem.client_ca {
            Some(pem) => Some(verifier(pem, &provider).map_err(PemFault::of("client_ca"))?),
            None => None,
        };
        let wants_certificate = verifier.is_some();
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| PemFault::new("cert", error.to_string()))?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![HTTP.to_vec()];
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if wants_certificate {
            // A resumed session would be taken without a look at the certificate, which may have
            // expired meanwhile.
            config.send_tls13_tickets = 0;
        } else {
            config.send_tls13_tickets = 1;
            config.ticketer = ring::Ticketer::new()
                .map_err(|error| PemFault::new("key", format!("cannot be used: {error}")))?;
        }
        Ok(Self {
            config: Arc::new(config),
            certificate,
            der,
            wants_certificate,
            digest: digest(pem),
        })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The same as it is sent.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether whoever connects must show a certificate.
    pub fn wants_certificate(&self) -> bool {
        self.wants_certificate
    }

    /// Whether it was made of the same files' contents.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.certificate).finish()
    }
}

/// The private key in a file.
///
/// # Errors
/// When there is none that can be read without a passphrase.
pub fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    if pem.contains("ENCRYPTED") {
        return Err(
            "is encrypted, and nobody is there to type the passphrase: write it without one, with \
             openssl pkey -in KEY -out NEW_KEY"
                .to_owned(),
        );
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if pem.contains("BEGIN CERTIFICATE-----") => {
            "holds no private key, but a certificate: are the files of certificate and key swapped?"
                .to_owned()
        }
        pem::Error::NoItemsFound => {
            "holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----, -----BEGIN \
             EC PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----"
                .to_owned()
        }
        error => trust::broken(&error),
    })
}

/// Our own certificate, which must be the first, each other one being of who signed the one before.
fn own(
    chain: &[CertificateDer<'static>],
) -> Result<(Certificate, CertificateDer<'static>), String> {
    let read: Option<Vec<_>> = chain.iter().map(|der| Certificate::read(der)).collect();
    let read = read.ok_or("holds a certificate that cannot be read")?;
    for (number, pair) in (1..).zip(read.windows(2)) {
        let [one, next] = pair else { continue };
        if !one.is_signed_by(next) {
            return Err(format!(
                "is out of order: certificate {} ({}) is not of who signed certificate {number} \
                 ({}); first comes the receiver's own, then whoever signed it, and so on",
                number + 1,
                next.name,
                one.name,
            ));
        }
    }
    let (Some(own), Some(der)) = (read.into_iter().next(), chain.first()) else {
        return Err("holds no certificate".to_owned());
    };
    Ok((own, der.clone()))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, PemFault> {
    let key = private_key(key).map_err(PemFault::of("key"))?;
    let unusable = "is of no kind that is used: RSA of 2048 to 4096 bits, ECDSA over P-256 or P-384, \
                    or Ed25519";
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| PemFault::new("key", unusable))?;
    let matches = |chain: Vec<CertificateDer<'static>>| {
        let certified = CertifiedKey::new(chain, Arc::clone(&key));
        let matches = certified.keys_match();
        (certified, matches)
    };
    let (certified, verdict) = matches(chain);
    match verdict {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let mut others = certified.cert.iter().skip(1);
            let (key, what) = match others.any(|other| matches(vec![other.clone()]).1.is_ok()) {
                true => (
                    "cert",
                    "does not begin with the certificate of the key: that one comes first, then \
                     whoever signed it",
                ),
                false => (
                    "key",
                    "does not belong to the certificate: name the two that were made together",
                ),
            };
            Err(PemFault::new(key, what))
        }
        Err(error) => {
            let what = format!("holds a certificate that cannot be used: {error}");
            Err(PemFault::new("cert", what))
        }
    }
}

fn verifier(
    pem: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let roots = Arc::new(trust::authorities(pem.as_bytes())?);
    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

fn digest(pem: Pem<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in [pem.cert, pem.key, pem.client_ca.unwrap_or_default()] {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        digest.update(length.to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().into()
}
