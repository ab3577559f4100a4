//! From the admin token to a session, and out of it.
//!
//! Whoever shows the token gets a cookie; nothing is kept here but how often an address tried. No
//! answer and no log line repeats what was tried.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ORIGIN, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::admin::access::{self, Refusal};
use crate::admin::body::Sent;
use crate::admin::{Shared, session};
use crate::intake::problem::Problem;
use crate::listener::OverTls;
use crate::source::Peer;

/// Seconds after which wrong tokens are told again what they are: see `Shared::logins`.
const AGAIN_AFTER: &str = "60";

/// The body of a request to log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    token: String,
}

pub(super) async fn login(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    over_tls: Option<Extension<OverTls>>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Response {
    if access::from_another_site(&headers) {
        return Refusal::CrossSite.into_response();
    }
    let listen = shared.admin.listen;
    let wanted = shared.admin.token.load();
    let Some(wanted) = wanted.as_deref() else {
        return match access::is_loopback(listen) {
            true => unneeded(),
            false => Refusal::TokenNotSet(listen).into_response(),
        };
    };
    let peer = peer.map(|Extension(peer)| peer.socket);
    // What serde says of a body may repeat it.
    let Ok(Credentials { token }) = serde_json::from_slice(&body) else {
        let detail = r#"the body is no JSON object of the form {"token":"..."}"#;
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    };
    let given = SecretString::from(token);
    if !access::same_secret(wanted.expose_secret(), given.expose_secret().as_bytes()) {
        return refuse(&shared, peer);
    }
    tracing::info!(
        peer_ip = peer.map(tracing::field::display),
        "somebody logged in to the console"
    );
    let now = shared.admin.clock.now();
    let secure = over_tls.is_some() || came_over_tls(&headers);
    done(&session::begin(wanted, now, secure))
}

/// Only who is refused anyway is refused for the number of attempts, so that nobody can lock out others
/// who come from the same address.
fn refuse(shared: &Shared, peer: Option<IpAddr>) -> Response {
    let Some(suppressed) = shared.logins.admit(peer) else {
        return too_many();
    };
    tracing::warn!(
        peer_ip = peer.map(tracing::field::display),
        suppressed = (suppressed > 0).then_some(suppressed),
        "a login to the console was refused: that was not the admin token"
    );
    wrong()
}

/// Ends the session in the browser. One that was copied elsewhere lasts until its time is over or
/// the token is changed: there is nothing here to strike it from.
pub(super) async fn logout(over_tls: Option<Extension<OverTls>>, headers: HeaderMap) -> Response {
    if access::from_another_site(&headers) {
        return Refusal::CrossSite.into_response();
    }
    done(&session::end(over_tls.is_some() || came_over_tls(&headers)))
}

/// Whether the browser's page came over TLS, which a proxy before this listener ends. The browser says
/// so itself, wherever it sends something; a proxy's word would have to be trusted first. A cookie that
/// is `Secure` would be lost on plain HTTP, so none is without that.
fn came_over_tls(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.any(|origin| {
        let scheme = origin.as_bytes().split_at_checked("https://".len());
        scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"https://"))
    })
}

fn done(cookie: &str) -> Response {
    let cookie = HeaderValue::from_str(cookie).expect("a cookie is of digits and letters");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

fn wrong() -> Response {
    let detail = "that is not the token in admin.token";
    let challenge = r#"Bearer realm="flashduty-receiver""#;
    refused(
        StatusCode::UNAUTHORIZED,
        detail,
        (WWW_AUTHENTICATE, challenge),
    )
}

fn too_many() -> Response {
    let detail = "too many logins with a wrong token came from this address in the last minute; the \
                  right one is taken all the same";
    let status = StatusCode::TOO_MANY_REQUESTS;
    refused(status, detail, (RETRY_AFTER, AGAIN_AFTER))
}

fn refused(
    status: StatusCode,
    detail: &'static str,
    (name, value): (HeaderName, &'static str),
) -> Response {
    let mut response = Problem::new(status, detail).into_response();
    let headers = response.headers_mut();
    headers.insert(name, HeaderValue::from_static(value));
    response
}

fn unneeded() -> Response {
    let detail = "no admin.token is set, and on loopback none is needed: there is no login";
    Problem::new(StatusCode::CONFLICT, detail).into_response()
}
