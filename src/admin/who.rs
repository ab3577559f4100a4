//! Who changes something: as what the request was let in, the address it came from, and whose
//! certificate it showed.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::access::Pass;
use crate::listener::OverTls;
use crate::source::Peer;

/// The same, as the audit has it.
pub(super) struct Who(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        let mut from = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.socket.to_string());
        let over_tls = parts.extensions.get::<OverTls>();
        if let Some(client) = over_tls.and_then(|over_tls| over_tls.client.as_deref()) {
            from.push_str(", certificate of ");
            from.push_str(client);
        }
        Ok(Self(match parts.extensions.get::<Pass>() {
            Some(Pass::Bearer) => format!("token from {from}"),
            Some(Pass::Session) => format!("token (console) from {from}"),
            Some(Pass::Here) | None => from,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_changes_something_is_told_with_the_certificate_that_was_shown() {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        let peer = Peer::new("192.0.2.7".parse().unwrap(), None);
        parts.extensions.insert(peer);
        parts.extensions.insert(Pass::Bearer);
        parts.extensions.insert(OverTls { client: None });
        let Ok(Who(who)) = Who::from_request_parts(&mut parts, &()).await;
        assert_eq!(who, "token from 192.0.2.7");
        let client = Some(Arc::from("Lin Yue"));
        parts.extensions.insert(OverTls { client });
        let Ok(Who(who)) = Who::from_request_parts(&mut parts, &()).await;
        assert_eq!(who, "token from 192.0.2.7, certificate of Lin Yue");
    }
}
