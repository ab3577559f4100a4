//! Who may use the API: a bearer token, a session that began with it, or being on this machine.
//!
//! Without a token only a loopback listener answers, and only to a `Host` that a browser cannot be
//! talked into by a foreign DNS name. What a browser says that another site asked for is refused,
//! unless it is a person who follows a link.

use std::net::SocketAddr;

use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::session;
use crate::intake::problem::Problem;

/// What tells a client that no login will help, before a person has set a token.
const TOKEN_NOT_SET: &str = "urn:flashduty-receiver:token-not-set";

/// Why a request may not use the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A token is configured and the request has none, nor a session.
    #[error(
        "this needs the admin token: send `Authorization: Bearer <admin.token>`, or log in with a \
         browser"
    )]
    TokenMissing,
    /// The request's token is not the configured one.
    #[error("the bearer token is not the one in admin.token")]
    TokenWrong,
    /// The same, from an address that sent many of them.
    #[error(
        "too many requests with a wrong bearer token came from this address in the last minute; \
         the right one is taken all the same"
    )]
    TooManyWrong,
    /// The listener can be reached from other machines and no token guards it.
    #[error(
        "the admin listener on {0} can be reached from other machines and has no token: set \
         admin.token, or listen on 127.0.0.1"
    )]
    TokenNotSet(SocketAddr),
    /// Without a token the request must name this machine.
    #[error(
        "without admin.token the Host must be localhost, 127.0.0.1 or [::1], with any port; a page \
         under a foreign name could otherwise read this API through your browser"
    )]
    HostForeign,
    /// A browser asks on behalf of another site.
    #[error("a page of another site may neither load nor change anything here")]
    CrossSite,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::TokenWrong | Self::TokenNotSet(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            Self::HostForeign | Self::CrossSite => StatusCode::FORBIDDEN,
        }
    }

    /// What RFC 6750, section 3, wants said with a 401.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::TokenMissing | Self::TokenNotSet(_) => {
                Some(r#"Bearer realm="flashduty-receiver""#)
            }
            Self::TokenWrong => Some(r#"Bearer realm="flashduty-receiver", error="invalid_token""#),
            Self::TooManyWrong | Self::HostForeign | Self::CrossSite => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut problem = Problem::new(self.status(), self.to_string());
        if matches!(self, Self::TokenNotSet(_)) {
            problem = problem.with_type(TOKEN_NOT_SET, "No Token Is Set");
        }
        let mut response = problem.into_response();
        if let Some(challenge) = self.challenge() {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::TooManyWrong) {
            let minute = HeaderValue::from_static("60");
            response.headers_mut().insert(RETRY_AFTER, minute);
        }
        response
    }
}

/// As what a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// With the token itself.
    Bearer,
    /// With a session of the console.
    Session,
    /// From this machine, where no token is set.
    Here,
}

/// What guards a listener.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// Where it is bound.
    pub listen: SocketAddr,
    /// `admin.token`, if there is one.
    pub token: Option<&'a SecretString>,
    /// Now, for sessions.
    pub now: Timestamp,
}

impl Door<'_> {
    /// Whether a request with this head may use the API.
    pub fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Pass, Refusal> {
        let pass = match self.token {
            Some(token) => self.recognise(token, headers)?,
            None if !is_loopback(self.listen) => return Err(Refusal::TokenNotSet(self.listen)),
            None if !names_this_machine(uri, headers) => return Err(Refusal::HostForeign),
            None => Pass::Here,
        };
        let changes = method != Method::GET && method != Method::HEAD;
        if from_another_site(headers) && (changes || !is_visit(headers)) {
            return Err(Refusal::CrossSite);
        }
        Ok(pass)
    }

    /// A token that is sent decides alone: a wrong one is a mistake, also beside a session.
    fn recognise(&self, token: &SecretString, headers: &HeaderMap) -> Result<Pass, Refusal> {
        match bearer(headers) {
            Some(given) if same_secret(token.expose_secret(), given) => Ok(Pass::Bearer),
            Some(_) => Err(Refusal::TokenWrong),
            None if session::lasts(token, headers, self.now) => Ok(Pass::Session),
            None => Err(Refusal::TokenMissing),
        }
    }
}

/// Whether only this machine reaches a listener bound to `listen`.
pub(super) fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = only(headers, &AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Compares digests, so that the time taken tells nothing, not even about the length.
pub(super) fn same_secret(wanted: &str, given: &[u8]) -> bool {
    let wanted = Sha256::digest(wanted.as_bytes());
    let given = Sha256::digest(given);
    wanted.as_slice().ct_eq(given.as_slice()).into()
}

fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    // A request in absolute form names the host twice, and its target wins (RFC 9112, section 3.2.2).
    let target_is_local = uri
        .authority()
        .is_none_or(|authority| is_local(authority.as_str()));
    let host = only(headers, &HOST).and_then(|value| value.to_str().ok());
    target_is_local && host.is_some_and(is_local)
}

fn is_local(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside the brackets belongs to the address.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_number = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    port_is_number
        && (host.eq_ignore_ascii_case("localhost") || ["127.0.0.1", "[::1]"].contains(&host))
}

/// Whether a browser says that a page of another origin asked. Other clients say nothing.
///
/// A page of the same *site* is foreign too: another port of localhost is the same site.
pub(super) fn from_another_site(headers: &HeaderMap) -> bool {
    if headers.contains_key("sec-fetch-site") {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        return sites.any(|site| site != "same-origin" && site != "none");
    }
    if !headers.contains_key(ORIGIN) {
        return false;
    }
    let Some(origin) = only(headers, &ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let host = only(headers, &HOST).and_then(|value| value.to_str().ok());
    match (origin, host) {
        (Some((_, origin)), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    }
}

/// Whether a person follows a link, and nothing is loaded into another page. It would take a seat or a
/// search from others, though that page could not read what comes.
fn is_visit(headers: &HeaderMap) -> bool {
    let says = |name: &str, wanted: &str| headers.get(name).is_some_and(|said| said == wanted);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

/// The header's value if it is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use Refusal::*;

    use super::*;

    const HERE: &str = "127.0.0.1:9090";
    const EVERYWHERE: &str = "0.0.0.0:9090";

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn judged(
        listen: &str,
        token: Option<&str>,
        method: &str,
        target: &str,
        headers: Headers<'_>,
    ) -> Result<(), Refusal> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let token = token.map(SecretString::from);
        let door = Door {
            listen: listen.parse().unwrap(),
            token: token.as_ref(),
            now: Timestamp::UNIX_EPOCH,
        };
        let judged = door.judge(request.method(), request.uri(), request.headers());
        judged.map(|_pass| ())
    }

    #[test]
    fn with_a_token_only_its_exact_bytes_open_the_api_wherever_it_listens() {
        let cases: &[(Headers<'_>, Result<(), Refusal>)] = &[
            (&[], Err(TokenMissing)),
            (&[("authorization", "Bearer s3cret")], Ok(())),
            (&[("authorization", "bearer   s3cret")], Ok(())),
            (&[("authorization", "Bearer s3cret2")], Err(TokenWrong)),
            (&[("authorization", "Bearer s3cre")], Err(TokenWrong)),
            (&[("authorization", "Bearer S3CRET")], Err(TokenWrong)),
            (&[("authorization", "Bearer ")], Err(TokenWrong)),
            (&[("authorization", "Bearer")], Err(TokenMissing)),
            (&[("authorization", "Basic s3cret")], Err(TokenMissing)),
            (&[("authorization", "s3cret")], Err(TokenMissing)),
            (
                &[
                    ("authorization", "Bearer s3cret"),
                    ("authorization", "Bearer x"),
                ],
                Err(TokenMissing),
            ),
            (
                &[
                    ("authorization", "Bearer s3cret"),
                    ("host", "admin.example.com"),
                ],
                Ok(()),
            ),
            (&[("host", "localhost:9090")], Err(TokenMissing)),
        ];
        for (headers, wanted) in cases {
            for listen in [HERE, EVERYWHERE] {
                let verdict = judged(listen, Some("s3cret"), "GET", "/api/v1/status", headers);
                assert_eq!(verdict, *wanted, "{headers:?} on {listen}");
            }
        }
    }

    #[test]
    fn without_a_token_only_a_loopback_listener_answers() {
        let host: Headers<'_> = &[("host", "localhost:9090")];
        for listen in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(judged(listen, None, "GET", "/", host), Ok(()), "{listen}");
        }
        for listen in [EVERYWHERE, "[::]:9090", "10.1.2.3:9090", "[fd00::1]:9090"] {
            let refusal = Err(TokenNotSet(listen.parse().unwrap()));
            assert_eq!(judged(listen, None, "GET", "/", host), refusal, "{listen}");
        }
    }

    #[test]
    fn without_a_token_only_a_host_that_means_this_machine_is_answered() {
        for host in [
            "localhost",
            "localhost:9090",
            "LocalHost:81",
            "127.0.0.1",
            "127.0.0.1:9090",
            "[::1]",
            "[::1]:9090",
        ] {
            let verdict = judged(HERE, None, "GET", "/", &[("host", host)]);
            assert_eq!(verdict, Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example:9090",
            "127.0.0.2",
            "localhost.",
            "localhost:x",
            "user@localhost",
            "::1",
            "[::1",
            "[::2]",
            "0.0.0.0",
        ] {
            let verdict = judged(HERE, None, "GET", "/", &[("host", host)]);
            assert_eq!(verdict, Err(HostForeign), "{host}");
        }
        assert_eq!(judged(HERE, None, "GET", "/", &[]), Err(HostForeign));
        let twice = &[("host", "localhost"), ("host", "localhost")];
        assert_eq!(judged(HERE, None, "GET", "/", twice), Err(HostForeign));
        let absolute = "http://evil.example/";
        let verdict = judged(HERE, None, "GET", absolute, &[("host", "localhost")]);
        assert_eq!(verdict, Err(HostForeign));
    }

    #[test]
    fn a_change_asked_for_by_another_site_is_refused_with_and_without_a_token() {
        let cases: &[(Headers<'_>, bool)] = &[
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://localhost:9090")], true),
            (&[("origin", "http://localhost:3000")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
        ];
        for (extra, allowed) in cases {
            let mut headers = vec![
                ("host", "localhost:9090"),
                ("authorization", "Bearer s3cret"),
            ];
            headers.extend_from_slice(extra);
            let wanted = if *allowed { Ok(()) } else { Err(CrossSite) };
            for token in [None, Some("s3cret")] {
                let verdict = judged(HERE, token, "POST", "/api/v1/reload", &headers);
                assert_eq!(verdict, wanted, "POST {extra:?} token {token:?}");
                let verdict = judged(HERE, token, "GET", "/api/v1/status", &headers);
                assert_eq!(verdict, wanted, "GET {extra:?} token {token:?}");
            }
        }
    }

    #[test]
    fn a_page_of_another_site_may_lead_a_person_here_and_load_nothing() {
        for (mode, dest, wanted) in [
            ("navigate", "document", Ok(())),
            ("navigate", "iframe", Err(CrossSite)),
            ("no-cors", "image", Err(CrossSite)),
        ] {
            let site = ("sec-fetch-site", "cross-site");
            let (mode, dest) = (("sec-fetch-mode", mode), ("sec-fetch-dest", dest));
            let headers = &[("host", "localhost"), site, mode, dest];
            let verdict = judged(HERE, None, "GET", "/api/v1/stream", headers);
            assert_eq!(verdict, wanted, "{headers:?}");
        }
    }
}
