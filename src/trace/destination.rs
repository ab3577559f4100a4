//! Where spans are sent: one request for each batch, and what its answer asks for.
//!
//! Of the URL nothing is shown but its host, and the headers are secret. Answers are bounded, redirects
//! are not followed, and of the environment nothing is read.

use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Span;
use super::encode::{self, Rejected};
use crate::echo::Secrets;
use crate::trust::{self, Trust};
use crate::{build, clock};

/// For all of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// As for sinks: a request on a connection that the other side is just closing would be sent once more.
const IDLE: Duration = Duration::from_secs(4);
/// Of an answer.
const LONGEST_ANSWER: usize = 64 << 10;
/// Of what the other side says.
const LONGEST_REASON: usize = 200;
/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Where a URL without a path leads to.
const PATH: &str = "/v1/traces";

/// What a destination is made of.
#[derive(Debug, Clone)]
pub struct DestinationOptions {
    /// The URL; without a path, that of OTLP is meant.
    pub endpoint: SecretString,
    /// Sent with each request.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca: Option<String>,
    /// What makes the spans, by attributes.
    pub resource: Vec<(String, String)>,
    /// Which share of the traces that begin here is recorded, from 0 to 1.
    pub ratio: f64,
}

impl DestinationOptions {
    /// Equal where all of them are.
    fn identity(&self) -> [u8; 32] {
        let headers = self.headers.iter();
        let headers = headers.flat_map(|(name, value)| [name.as_str(), value.expose_secret()]);
        let resource = self.resource.iter();
        let resource = resource.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let texts = std::iter::once(self.endpoint.expose_secret())
            .chain(headers)
            .chain(self.ca.as_deref())
            .chain(resource);
        let mut digest = Sha256::new()
            .chain_update(self.ratio.to_bits().to_be_bytes())
            .chain_update(self.headers.len().to_be_bytes())
            .chain_update([u8::from(self.ca.is_some())]);
        for text in texts {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        digest.finalize().into()
    }
}

/// Why options make no destination. Names no secret.
#[derive(Debug, thiserror::Error)]
pub enum BadDestination {
    /// The URL.
    #[error("is no http or https URL of a collector")]
    Endpoint,
    /// The value of a header.
    #[error("holds a character that no header may have")]
    Header(HeaderName),
    /// The certificates that are to be trusted.
    #[error("{0}")]
    Ca(String),
    /// There is no client.
    #[error("cannot prepare requests: {0}")]
    Client(String),
}

/// Where spans are sent.
pub struct Destination {
    /// Of the options that it was made of.
    identity: [u8; 32],
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// What must not be shown of what a collector says.
    secrets: Secrets,
    resource: Vec<(String, String)>,
    ratio: f64,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people.
    pub(super) reason: String,
    /// Whether it may be taken later, and how long the collector asks to be left alone.
    pub(super) again: Option<Duration>,
}

impl Destination {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When nothing can be sent with these options.
    pub fn new(options: DestinationOptions) -> Result<Self, BadDestination> {
        let identity = options.identity();
        let url = Url::parse(options.endpoint.expose_secret());
        let mut url = url.map_err(|_no_url| BadDestination::Endpoint)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(BadDestination::Endpoint);
        }
        let mut secrets = Secrets::of_url(&url);
        if url.path() == "/" {
            url.set_path(PATH);
        }
        let mut headers = HeaderMap::with_capacity(options.headers.len() + 1);
        for (name, value) in options.headers {
            secrets.add_header(&name, value.expose_secret());
            let read = HeaderValue::from_str(value.expose_secret());
            let Ok(mut value) = read else {
                return Err(BadDestination::Header(name));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let ca = options.ca.as_deref().map(str::as_bytes);
        let roots = trust::system_and(ca, url.scheme() == "https").map_err(BadDestination::Ca)?;
        let tls = Trust::Authorities(roots).http_client();
        let tls = tls.map_err(|error| BadDestination::Client(error.to_string()))?;
        let client = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .tls_backend_preconfigured(tls)
            .user_agent(build::USER_AGENT)
            .build()
            .map_err(|error| BadDestination::Client(error.without_url().to_string()))?;
        Ok(Self {
            identity,
            client,
            url,
            headers,
            secrets,
            resource: options.resource,
            ratio: options.ratio,
        })
    }

    /// Whether it was made of these options.
    pub(super) fn is_by(&self, options: &DestinationOptions) -> bool {
        self.identity == options.identity()
    }

    /// Which share of the traces that begin here is recorded.
    pub(super) fn ratio(&self) -> f64 {
        self.ratio
    }

    /// The host, which may be shown.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Posts `spans`, and tells which of them were not taken, and never will be.
    pub(super) async fn post(&self, spans: &[Span]) -> Result<Rejected, Failure> {
        let sent = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(encode::request(&self.resource, spans))
            .send()
            .await;
        let answer = sent.map_err(|error| Failure {
            reason: told(error),
            again: Some(Duration::ZERO),
        })?;
        let (status, pause) = (answer.status(), clock::asked_pause(answer.headers(), None));
        if status.is_success() {
            let Rejected { count, reason } = encode::rejected(&read(answer).await);
            let reason = self.secrets.blot_out(&reason);
            let reason = reason.chars().take(LONGEST_REASON).collect();
            return Ok(Rejected { count, reason });
        }
        // Those that the specification of OTLP names; what is neither is wrong with the request.
        let may_work_later = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        Err(Failure {
            reason: format!("it answered {}", status.as_u16()),
            again: may_work_later.then(|| pause.unwrap_or_default().min(LONGEST_PAUSE)),
        })
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination").field(&self.host()).finish()
    }
}

/// The beginning of the body; one that breaks off belongs to a request that was taken.
async fn read(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            break;
        }
    }
    body
}

/// What went wrong and why, without the URL.
fn told(error: reqwest::Error) -> String {
    let error = anyhow::Error::new(error.without_url());
    format!("{error:#}")
}
