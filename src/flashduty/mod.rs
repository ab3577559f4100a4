//! The sender's Open API: a call, and what a failed one asks of the caller.
//!
//! The key is part of the URL, which therefore stands in no error and no log line; should the other
//! side repeat the key, it is taken out. Answers are bounded, redirects are not followed.

mod fault;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

pub use self::fault::Fault;
use crate::{build, clock};

/// Of an answer. A record of the history holds a whole push, in a JSON string at that.
const LONGEST_ANSWER: usize = 64 << 20;
/// Of what the other side says about a failure.
const LONGEST_REASON: usize = 200;

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the connection, and between two pieces of the answer.
    pub silence: Duration,
    /// For all of it.
    pub whole: Duration,
}

/// Why the API cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The base is no URL that can be asked.
    #[error("the API's base is no http or https URL")]
    BadBase,
    /// There is no client, for want of certificates for instance.
    #[error("cannot prepare requests to the API: {0}")]
    NoClient(#[source] reqwest::Error),
}

/// Which API is asked, and with which key; tells neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity([u8; 32]);

/// The sender's Open API.
pub struct Api {
    client: Client,
    base: String,
    key: SecretString,
    most: usize,
}

impl Api {
    /// An API at `base`, such as `https://api.flashcat.cloud`.
    ///
    /// # Errors
    /// When `base` is no such URL, or the system has no certificates.
    pub fn new(base: &str, key: SecretString, patience: Patience) -> Result<Self, ApiError> {
        let base = base.trim_end_matches('/').to_owned();
        let url = Url::parse(&base).map_err(|_no_url| ApiError::BadBase)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ApiError::BadBase);
        }
        // Installed already, it stays.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(patience.silence)
            .read_timeout(patience.silence)
            .timeout(patience.whole)
            .pool_max_idle_per_host(1)
            .user_agent(build::USER_AGENT)
            .build()
            .map_err(ApiError::NoClient)?;
        Ok(Self {
            client,
            base,
            key,
            most: LONGEST_ANSWER,
        })
    }

    /// Whom it asks: equal where base and key are.
    pub fn identity(&self) -> Identity {
        let digest = Sha256::new()
            .chain_update(self.key.expose_secret().len().to_be_bytes())
            .chain_update(self.key.expose_secret())
            .chain_update(&self.base)
            .finalize();
        Identity(digest.into())
    }

    /// Posts `body` to `path` and gives the `data` of the answer; `null` when there is none.
    ///
    /// # Errors
    /// Whatever is not an answer of 200 in the API's own form.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Box<RawValue>, Fault> {
        self.post_dated(path, body).await.0
    }

    /// The same, and what time it is there, where there was an answer that says so.
    pub async fn post_dated(
        &self,
        path: &str,
        body: &Value,
    ) -> (Result<Box<RawValue>, Fault>, Option<Timestamp>) {
        match self.answered(path, body).await {
            Ok((status, headers, bytes)) => {
                let data = self.read(status, &headers, &bytes);
                (data, clock::of_answer(&headers))
            }
            Err(fault) => (Err(fault), None),
        }
    }

    async fn answered(&self, path: &str, body: &Value) -> Result<(u16, HeaderMap, Vec<u8>), Fault> {
        let mut url = Url::parse(&format!("{}{path}", self.base)).map_err(|_no_url| {
            Fault::Invalid(format!("{path} behind the API's base makes no URL"))
        })?;
        url.query_pairs_mut()
            .append_pair("app_key", self.key.expose_secret());
        let mut answer = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(transient)?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transient)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > self.most {
                return Err(Fault::TooLarge(format!(
                    "the answer is longer than {} bytes",
                    self.most
                )));
            }
        }
        Ok((status.as_u16(), headers, bytes))
    }

    /// The same, with the `data` read as what it should be.
    ///
    /// # Errors
    /// Also when it is something else, which may be a passing state of the other side.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Fault> {
        self.ask_dated(path, body).await.0
    }

    /// The same, and what time it is there, where there was an answer that says so.
    pub async fn ask_dated<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> (Result<T, Fault>, Option<Timestamp>) {
        let (data, there) = self.post_dated(path, body).await;
        let read = |data: Box<RawValue>| {
            serde_json::from_str(data.get()).map_err(|error| {
                let what = self.shown(&error.to_string());
                Fault::Strange(format!("the answer's data cannot be read: {what}"))
            })
        };
        (data.and_then(read), there)
    }

    fn read(&self, status: u16, headers: &HeaderMap, bytes: &[u8]) -> Result<Box<RawValue>, Fault> {
        let answer = serde_json::from_slice::<Answer>(bytes);
        let error = match answer {
            Ok(Answer { error: None, data }) if status == 200 => {
                return Ok(data.unwrap_or_else(|| RawValue::NULL.to_owned()));
            }
            Err(error) if status == 200 => {
                let what = self.shown(&error.to_string());
                return Err(Fault::Transient(format!("the answer is no JSON: {what}")));
            }
            Ok(Answer { error, .. }) => error.unwrap_or_default(),
            Err(_no_json) => ErrorObject::default(),
        };
        let after = |text: &str, part: &str| match part.is_empty() {
            true => text.to_owned(),
            false => format!("{text} {}", self.shown(part)),
        };
        let cause = after(&format!("the API answered {status}"), &error.code);
        let what = after(&cause, &error.message);
        Err(fault::of(status, &error.code, headers, (what, cause)))
    }

    /// Text of the other side's, bounded, and without the key should it repeat it.
    pub fn shown(&self, text: &str) -> String {
        let key = self.key.expose_secret();
        let mut text = text.to_owned();
        let encoded: String = Url::parse_with_params("http://_/", [("k", key)])
            .ok()
            .and_then(|url| Some(url.query()?.strip_prefix("k=")?.to_owned()))
            .unwrap_or_default();
        for form in [key, &encoded].into_iter().filter(|form| !form.is_empty()) {
            text = text.replace(form, "…");
        }
        text.chars().take(LONGEST_REASON).collect()
    }
}

#[derive(Deserialize)]
struct Answer {
    error: Option<ErrorObject>,
    data: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorObject {
    code: String,
    message: String,
}

/// With its causes, and without the URL, which holds the key.
fn transient(error: reqwest::Error) -> Fault {
    let error = anyhow::Error::new(error.without_url());
    Fault::Transient(format!("{error:#}"))
}
