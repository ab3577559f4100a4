//! Encryption of the connection to the database.

use rustls::{ClientConfig, RootCertStore};

use super::target::Tls;
use crate::trust::{self, Trust};

/// What a client of the database expects of its certificate.
pub(super) fn client(tls: Tls, ca: Option<&str>) -> Result<ClientConfig, String> {
    let trust = match tls {
        Tls::VerifyFull => Trust::Authorities(roots(ca)?),
        // As `sslmode=require` has it.
        Tls::Disable | Tls::Prefer | Tls::Require => Trust::Anybody,
    };
    let builder = trust.client().map_err(|error| error.to_string())?;
    Ok(builder.with_no_client_auth())
}

/// The authorities in `ca`, or else those that the system trusts.
fn roots(ca: Option<&str>) -> Result<RootCertStore, String> {
    if let Some(pem) = ca {
        let roots = trust::authorities(pem.as_bytes());
        return roots.map_err(|what| format!("store.ca_file {what}"));
    }
    let roots = trust::system();
    match roots.is_empty() {
        true => Err("the system trusts no certificate of an authority".to_owned()),
        false => Ok(roots),
    }
}
