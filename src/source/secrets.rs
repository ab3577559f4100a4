//! The secret headers: each must be there once and hold one of its values.
//!
//! Only digests of the values are kept. A candidate is compared by its digest, in constant time
//! and with every value, so that neither the time nor the answer tells how near it came.

use std::fmt;

use http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::narration::{Observer, Step};

/// All headers that must match.
#[derive(Debug)]
pub(super) struct Secrets(Vec<Secret>);

/// A header and the digests of the values it may have; several while rotating.
struct Secret {
    header: HeaderName,
    digests: Vec<[u8; 32]>,
}

impl fmt::Debug for Secret {
    /// Leaves the digests out: that of a short secret can be guessed back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("header", &self.header)
            .field("values", &self.digests.len())
            .finish()
    }
}

/// How a request's header compares with its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Right,
    Missing,
    Wrong,
    /// More than one instance: which of them the sender meant cannot be known.
    Repeated,
}

/// The first header that did not match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mismatch<'s> {
    pub(super) header: &'s HeaderName,
    pub(super) missing: bool,
}

impl Secrets {
    pub(super) fn new(values: &[(HeaderName, Vec<SecretString>)]) -> Self {
        let secret = |(header, values): &(HeaderName, Vec<SecretString>)| Secret {
            header: header.clone(),
            digests: values
                .iter()
                .map(|value| Sha256::digest(value.expose_secret().as_bytes()).into())
                .collect(),
        };
        Self(values.iter().map(secret).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at every header, whatever became of those before it.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        observer: &mut impl Observer,
    ) -> Result<(), Mismatch<'_>> {
        let mut result = Ok(());
        for secret in &self.0 {
            let found = secret.compare(headers);
            observer.step(Step::Secret {
                header: &secret.header,
                values: secret.digests.len(),
                found,
            });
            if result.is_ok() && found != Match::Right {
                result = Err(Mismatch {
                    header: &secret.header,
                    missing: found == Match::Missing,
                });
            }
        }
        result
    }
}

impl Secret {
    fn compare(&self, headers: &HeaderMap) -> Match {
        let mut instances = headers.get_all(&self.header).iter();
        let Some(candidate) = instances.next() else {
            return Match::Missing;
        };
        if instances.next().is_some() {
            return Match::Repeated;
        }
        let candidate: [u8; 32] = Sha256::digest(candidate.as_bytes()).into();
        let any = self.digests.iter().fold(Choice::from(0), |any, digest| {
            any | digest.ct_eq(&candidate)
        });
        if any.into() {
            Match::Right
        } else {
            Match::Wrong
        }
    }
}
