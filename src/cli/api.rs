//! The admin API of a running receiver, from the other side.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::request::{self, Answer, PROBE_BYTES, RequestError};
use super::target::Target;
use super::tls::Known;
use crate::event::Seq;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer: more than any page of a list has, and any push that a receiver is sensibly set up to take.
const MOST_BYTES: usize = 256 << 20;
/// Bytes of a refusal that are read of an answer that might not end.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Where the admin listener is, and what opens it.
pub struct Api {
    target: Target,
    authorization: Option<HeaderValue>,
}

impl Api {
    /// The API at `base`, such as `http://127.0.0.1:9090`, or without its scheme, of a receiver that
    /// is `known`.
    ///
    /// # Errors
    /// When `base` is no such URL, or the token cannot stand in a header.
    pub fn new(base: &str, token: Option<&SecretString>, known: &Known) -> anyhow::Result<Self> {
        let target = match base.contains("://") {
            true => Target::parse(base, "/", known)?,
            false => Target::parse(&format!("http://{base}"), "/", known)?,
        };
        if target.path != "/" {
            bail!("{base}: name the admin listener alone, such as http://127.0.0.1:9090");
        }
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .context("the token holds a line end or another control character")?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        });
        Ok(Self {
            target,
            authorization: authorization.transpose()?,
        })
    }

    /// Whether anything listens there.
    ///
    /// # Errors
    /// When it does, but does not answer.
    pub async fn is_up(&self) -> anyhow::Result<bool> {
        let request = self.request(Method::GET, "/livez")?;
        match request::send(&self.target, request, (TIMEOUT, PROBE_BYTES)).await {
            Ok(_any) => Ok(true),
            Err(RequestError::Unreachable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// `GET` of JSON; `None` when there is no such thing.
    ///
    /// # Errors
    /// When there is no answer, or a refusal, with what to do about it.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        match self.ask(Method::GET, path).await? {
            None => Ok(None),
            Some(body) => decode(path, &body).map(Some),
        }
    }

    /// `GET` of exact bytes; `None` when there is no such thing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Option<Bytes>> {
        self.ask(Method::GET, path).await
    }

    /// `POST` without a body; `None` when there is no such thing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        match self.ask(Method::POST, path).await? {
            None => Ok(None),
            Some(body) => decode(path, &body).map(Some),
        }
    }

    /// `POST` of JSON; `None` when there is no such thing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
    ) -> anyhow::Result<Option<T>> {
        let mut request = self.request(Method::POST, path)?;
        *request.body_mut() = Full::new(serde_json::to_vec(value)?.into());
        match self.exchange(request).await? {
            None => Ok(None),
            Some(body) => decode(path, &body).map(Some),
        }
    }

    async fn ask(&self, method: Method, path: &str) -> anyhow::Result<Option<Bytes>> {
        self.exchange(self.request(method, path)?).await
    }

    /// `GET` of what does not end, behind what `last` names.
    ///
    /// # Errors
    /// When there is no such answer; told apart by whether there may be one later.
    pub async fn open(&self, path: &str, last: Option<Seq>) -> Result<Answer, Unopened> {
        let mut request = self.request(Method::GET, path).map_err(Unopened::Refused)?;
        if let Some(last) = last {
            let last = HeaderValue::from(last.0);
            request.headers_mut().insert("last-event-id", last);
        }
        let mut answer = match request::open(&self.target, request, TIMEOUT).await {
            Ok(answer) => answer,
            Err(error) => return Err(Unopened::Unanswered(error.into())),
        };
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        let mut body = Vec::new();
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(TIMEOUT, answer.piece()).await
            && body.len() < LONGEST_REFUSAL
        {
            body.extend_from_slice(&piece);
        }
        let error = self.refusal(answer.status, &body);
        match answer.status.is_server_error() {
            true => Err(Unopened::Unanswered(error)),
            false => Err(Unopened::Refused(error)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Option<Bytes>> {
        let reply = request::send(&self.target, request, (TIMEOUT, MOST_BYTES)).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND if is_of_the_api(&reply.body) => Ok(None),
            status => Err(self.refusal(status, &reply.body)),
        }
    }

    /// What a refusal means, with what to do about it.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let (address, detail) = (&self.target.address, detail(body));
        match status {
            StatusCode::UNAUTHORIZED if self.authorization.is_none() => anyhow!(
                "{address} wants a token: give --token-file, or run with the configuration that has \
                 admin.token ({detail})"
            ),
            StatusCode::UNAUTHORIZED => anyhow!(
                "{address} does not take this token; it wants the value of its admin.token ({detail})"
            ),
            StatusCode::NOT_FOUND => anyhow!(
                "{address} is not the admin listener of a receiver of this version: give its \
                 admin.listen with --api ({detail})"
            ),
            status => anyhow!("{address} answered {status}: {detail}"),
        }
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.target.authority);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        Ok(request.body(Full::default())?)
    }
}

/// Why there is no answer that does not end.
#[derive(Debug)]
pub enum Unopened {
    /// Not now: nobody is there, or nobody who can; later somebody may be.
    Unanswered(anyhow::Error),
    /// Asked like this, never.
    Refused(anyhow::Error),
}

impl Unopened {
    /// What to say of it where nothing is tried again.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Unanswered(error) | Self::Refused(error) => error,
        }
    }
}

/// A path with a query, its values percent-encoded.
#[derive(Debug)]
pub struct Query(String);

impl Query {
    /// A path without a query, so far.
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Adds `name=value` when there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        let Some(value) = value else { return self };
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.to_string().bytes() {
            // RFC 3986, section 2.3: these stand for themselves.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _infallible = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// The whole path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As far as it is read here.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Whether a 404 says that the API has no such thing. Others come from what is no API: the listener for
/// pushes knows no such path, and neither does whatever else may listen there.
fn is_of_the_api(body: &[u8]) -> bool {
    let is_elsewhere = |detail: &str| {
        detail.starts_with("nothing is served at") || detail.starts_with("there is no webhook at")
    };
    serde_json::from_slice::<Problem>(body).is_ok_and(|problem| !is_elsewhere(&problem.detail))
}

/// What a problem document (RFC 9457) says, or what there is instead.
pub fn detail(body: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_other) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

fn decode<T: DeserializeOwned>(path: &str, body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).with_context(|| {
        format!("read the answer to {path}; is the receiver of another version than this command?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded_and_absent_ones_left_out() {
        let query = Query::new("/api/v1/events")
            .with("subject", Some("incident:a b&c=é"))
            .with("cursor", None::<&str>)
            .with("limit", Some(5));
        assert_eq!(
            query.as_str(),
            "/api/v1/events?subject=incident%3Aa%20b%26c%3D%C3%A9&limit=5"
        );
    }

    #[test]
    fn a_base_with_a_path_is_refused() {
        let api = |base| Api::new(base, None, &Known::default());
        for base in ["http://127.0.0.1:9090/", "127.0.0.1:9090", "localhost:9090"] {
            assert!(api(base).is_ok(), "{base}");
        }
        assert!(api("http://127.0.0.1:9090/api").is_err());
    }

    #[test]
    fn only_the_api_can_say_that_there_is_no_such_thing() {
        for (body, wanted) in [
            (r#"{"detail":"no event is stored at position 7"}"#, true),
            (r#"{"detail":"nothing is served at this path"}"#, false),
            (
                r#"{"detail":"there is no webhook at this path; see server.path"}"#,
                false,
            ),
            ("<html>404</html>", false),
            ("", false),
        ] {
            assert_eq!(is_of_the_api(body.as_bytes()), wanted, "{body}");
        }
    }

    #[test]
    fn a_refusal_says_its_detail_or_its_text() {
        assert_eq!(detail(br#"{"status":400,"detail":"no"}"#), "no");
        assert_eq!(detail(b"Bad Gateway"), "Bad Gateway");
    }
}
