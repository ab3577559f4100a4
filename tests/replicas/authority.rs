//! A certificate authority that lives as long as a test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::postgres::Postgres;

/// Signs servers' certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// What is trusted, as PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Has the server speak TLS only, from its next start on, with a certificate for `name`.
    pub(crate) fn secure(&self, server: &Postgres, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &self.0).unwrap();
        let certificate = server.keep("server.pem", &certificate.pem());
        let key = server.keep("server.key", &key.serialize_pem());
        server.set(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            certificate.display(),
            key.display()
        ));
        server.admit("hostssl");
    }
}
