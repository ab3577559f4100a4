//! A certificate authority that lives as long as a test.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Signs servers' certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Vouched {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// One with a name of its own: what is signed by another of the same name has a bad signature,
    /// not an unknown issuer.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::default();
        let name = format!("authority {number}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// What is trusted, as PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Says that who has the key is `name`.
    pub(crate) fn vouch_for(&self, name: &str) -> Vouched {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Vouched {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
