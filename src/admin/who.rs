//! Who changes something: as what the request was let in, and the address it came from.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::access::Pass;
use crate::source::Peer;

/// The same, as the audit has it.
pub(super) struct Who(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.socket.to_string());
        Ok(Self(match parts.extensions.get::<Pass>() {
            Some(Pass::Bearer) => format!("token from {from}"),
            Some(Pass::Session) => format!("token (console) from {from}"),
            Some(Pass::Here) | None => from,
        }))
    }
}
