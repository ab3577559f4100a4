//! The http sink: each event is one request, and the answer decides what becomes of it.
//!
//! Every request carries `Idempotency-Key`, the same for every attempt: the `event_id`, or
//! `seq:<n>`, the position in the inbox, for an event without one. Redirects are not followed, and
//! of the environment nothing is read. What is shown of a URL is its host. A sink may be called any
//! number of times at once; it keeps its connections.
//!
//! How a delivery ends:
//!
//! - `success` is true of the answer: delivered. Else `retry_on` is true: another try, after what
//!   `Retry-After` asks for. Else, and for every 3xx: dead, with status and the first KiB kept.
//! - There was no connection: another try. There was one, but no whole answer, or a gateway (502,
//!   504) had none: another try, too, but for what must not happen twice.
//! - Templates do not render, or the body is too long: dead, and nothing was sent.

mod answer;
mod client;
mod cloud;
mod failure;
mod options;
mod private;
mod remember;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use serde_json::Map;

pub use self::answer::ANSWER_NAMES;
pub use self::client::BadOptions;
pub use self::options::{Body, HttpOptions, Signature};

use self::answer::Answer;
use self::failure::failed;
use self::remember::Wish;
use self::request::{Fixed, Made};
use super::{Failure, Greeting, Sink, SinkError, Taken};
use crate::clock::{self, Clock};
use crate::echo::Secrets;
use crate::inbox::{Lease, Report};
use crate::words;

/// Sends events to one URL.
pub struct HttpSink {
    options: HttpOptions,
    fixed: Fixed,
    wishes: Vec<Wish>,
    /// The URL's scheme and host.
    origin: Url,
    /// The URL's host, which may be shown.
    host: Box<str>,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl HttpSink {
    /// A sink with connections of its own. Connects to nothing yet.
    ///
    /// # Errors
    /// When what the options say can never be sent, or contradicts itself.
    pub fn new(options: HttpOptions, clock: Arc<dyn Clock>) -> Result<Self, BadOptions> {
        let origin = Url::parse(&options.url.origin())
            .map_err(|error| BadOptions::Url(error.to_string()))?;
        let wishes = options.remember.iter().map(|(name, pointer)| {
            Wish::new(name, pointer).ok_or_else(|| BadOptions::Pointer(name.clone()))
        });
        Ok(Self {
            wishes: wishes.collect::<Result<_, _>>()?,
            fixed: Fixed::new(&options)?,
            client: client::build(&options, &origin)?,
            host: origin.host_str().unwrap_or_default().into(),
            origin,
            options,
            clock,
        })
    }

    async fn attempt(&self, lease: &Lease) -> Result<Taken, SinkError> {
        let began = self.clock.now();
        let words = match self.fixed.reads_words {
            true => words::read(&lease.event, lease.stale, lease.replay).await,
            false => Map::new(),
        };
        let made = self
            .make(lease, &words)
            .map_err(|why| SinkError::Refused(Failure::new(why)));
        let (request, url) = match made.map_err(|error| reported(error, Report::begun(began)))? {
            Made::Needless(reason) => {
                return Ok(Taken {
                    needless: Some(reason),
                    report: None,
                });
            }
            Made::Request(prepared) => {
                let url = prepared.url.clone();
                let request = self.client.request(prepared.method, prepared.url);
                (request.headers(prepared.headers).body(prepared.body), url)
            }
        };
        let answer = self.exchange(request, began).await?;
        let told = || answer.report(began, &self.secrets(&url));
        let judged = self.judge(&answer, self.clock.now());
        judged.map_err(|error| reported(error, told()))?;
        let remember = remember::remembered(&self.wishes, answer.whole());
        let report = (!remember.is_empty()).then(|| Box::new(Report { remember, ..told() }));
        Ok(Taken {
            needless: None,
            report,
        })
    }

    /// What the answer of a request to `url` must not be shown with.
    fn secrets(&self, url: &Url) -> Secrets {
        let mut secrets = Secrets::of_url(url);
        for (name, value) in &self.options.headers {
            secrets.add_header(name, value.expose_secret());
        }
        secrets
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        began: Timestamp,
    ) -> Result<Answer, SinkError> {
        let failed = |error| failed(error, &self.host, self.options.timeout);
        let response = request.send().await;
        let response = response.map_err(|error| reported(failed(error), Report::begun(began)))?;
        let answer = Answer::read(response).await;
        answer.map_err(|(status, error)| {
            let report = Report {
                status: Some(status.as_u16().into()),
                ..Report::begun(began)
            };
            reported(failed(error), report)
        })
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let mut results = Vec::with_capacity(leases.len());
        for lease in leases {
            results.push(self.attempt(lease).await);
        }
        results
    }

    /// A HEAD of the root, with nothing of the URL but its host, and none of the sink's headers.
    async fn greet(&self) -> Result<Greeting, SinkError> {
        let answer = self.client.head(self.origin.clone()).send().await;
        let answer = answer.map_err(|error| failed(error, &self.host, self.options.timeout))?;
        Ok(Greeting {
            status: Some(answer.status().as_u16()),
            clock: clock::of_answer(answer.headers()),
        })
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpSink").field(&self.options).finish()
    }
}

/// `error` with what there is to say about the attempt.
fn reported(error: SinkError, report: Report) -> SinkError {
    let add = |failure: Failure| Failure {
        report: Some(Box::new(report)),
        ..failure
    };
    match error {
        SinkError::Retry(failure) => SinkError::Retry(add(failure)),
        SinkError::Unknown(failure) => SinkError::Unknown(add(failure)),
        SinkError::Refused(failure) => SinkError::Refused(add(failure)),
        gone @ SinkError::Gone(_) => gone,
    }
}
