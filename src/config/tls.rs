//! `[server.tls]` and `[admin.tls]`: what the listeners show whoever connects.
//!
//! The files are read when the configuration is, and watched like it, so that a renewed certificate is
//! a reload like any other: taken as a whole, or refused while the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::problem::Report;
use super::secret::Resolver;
use super::{Settings, text};
use crate::listener::tls::{Certificate, Identity, Pem, PemFault};

/// Longer chains and lists of authorities are mistakes.
const MAX_BYTES: u64 = 1 << 20;

/// From so long before a certificate expires people are told of it.
const REMIND: SignedDuration = SignedDuration::from_hours(14 * 24);

const CERT: &str = "the path of a file with the certificate in PEM, followed by those of who signed it, or \"\" for plain HTTP";
const KEY: &str =
    "the path of a file with the certificate's key in PEM, without a passphrase, or \"\" for none";
const CLIENT_CA: &str = "the path of a file with certificates in PEM, or \"\" for none";

/// The public listener's certificate; none: plain HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerTls {
    /// The certificate, followed by those of who signed it.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = CERT))]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = KEY))]
    pub key: Option<PathBuf>,
}

/// The admin listener's certificate, and whose certificates it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdminTls {
    /// The certificate, followed by those of who signed it.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = CERT))]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = KEY))]
    pub key: Option<PathBuf>,
    /// Authorities: whoever connects must show a certificate that one of them signed.
    #[serde(deserialize_with = "path", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = CLIENT_CA))]
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// Whether the listener speaks TLS.
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    /// Whether nothing is said of it.
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

impl AdminTls {
    /// Whether the listener speaks TLS.
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    /// Whether nothing is said of it.
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = text::read_string(deserializer)?;
    Ok((!path.is_empty()).then(|| path.into()))
}

/// What was read from the files; where a listener speaks plain HTTP there is nothing.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Of the public listener.
    pub server: Option<Arc<Identity>>,
    /// Of the admin listener.
    pub admin: Option<Arc<Identity>>,
}

impl Identities {
    pub(super) fn read(
        settings: &Settings,
        resolver: &mut Resolver<'_>,
        report: &mut Report<'_>,
    ) -> Self {
        let (server, admin) = (&settings.server.tls, &settings.admin.tls);
        let of_server = Files {
            cert: server.cert.as_deref(),
            key: server.key.as_deref(),
            client_ca: None,
        };
        let of_admin = Files {
            cert: admin.cert.as_deref(),
            key: admin.key.as_deref(),
            client_ca: admin.client_ca.as_deref(),
        };
        Self {
            server: of_server.read("server.tls", resolver, report),
            admin: of_admin.read("admin.tls", resolver, report),
        }
    }

    /// What a person should know of certificates that are, or soon will be, of no use.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let listeners = [("server", &self.server), ("admin", &self.admin)];
        let warnings = listeners.into_iter().filter_map(|(section, identity)| {
            let certificate = identity.as_ref()?.certificate();
            warning(certificate, now).map(|what| format!("{section}.tls.cert {what}"))
        });
        warnings.collect()
    }
}

/// What is worth saying of the time in which `certificate` is valid.
pub fn warning(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let Certificate {
        name,
        not_before,
        not_after,
        ..
    } = certificate;
    let left = not_after.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Some(format!(
            "({name}) expired at {not_after}, and clients refuse it: renew it; the new file is \
             taken without a restart"
        ));
    }
    if now < *not_before {
        return Some(format!(
            "({name}) is not valid before {not_before}, and clients refuse it until then: is the \
             clock right?"
        ));
    }
    let hours = left.as_hours();
    let when = match hours {
        0..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    };
    (left < REMIND).then(|| {
        format!(
            "({name}) expires at {not_after}, in {when}: renew it; the new file is taken without a \
             restart"
        )
    })
}

/// Where the parts of one listener's TLS are.
struct Files<'a> {
    cert: Option<&'a Path>,
    key: Option<&'a Path>,
    client_ca: Option<&'a Path>,
}

impl Files<'_> {
    fn read(
        &self,
        section: &str,
        resolver: &mut Resolver<'_>,
        report: &mut Report<'_>,
    ) -> Option<Arc<Identity>> {
        if report.blames(section) {
            return None;
        }
        let (cert, key) = match (self.cert, self.key) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) if self.client_ca.is_none() => return None,
            (cert, _) => {
                let missing = if cert.is_none() { "cert" } else { "key" };
                report.add(
                    &format!("{section}.{missing}"),
                    "is not set, and what else is set of tls is of no use without it",
                );
                return None;
            }
        };
        let mut text = |key: &str, path: &Path| match resolver.read_text(path, MAX_BYTES) {
            Ok(text) => Some(text),
            Err(what) => {
                report.add(&format!("{section}.{key}"), what);
                None
            }
        };
        let (cert, key_pem) = (text("cert", cert), text("key", key));
        let client_ca = self.client_ca.map(|path| text("client_ca", path));
        resolver.note_secret(key);
        if matches!(client_ca, Some(None)) {
            return None;
        }
        let client_ca = client_ca.flatten();
        let identity = Identity::new(Pem {
            cert: &cert?,
            key: &key_pem?,
            client_ca: client_ca.as_deref(),
        });
        match identity {
            Ok(identity) => Some(Arc::new(identity)),
            Err(PemFault { key, what }) => {
                report.add(&format!("{section}.{key}"), what);
                None
            }
        }
    }
}
