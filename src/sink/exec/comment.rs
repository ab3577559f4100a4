//! What came of a command, written to its incident's timeline through the sender's API.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The longest comment in characters; the sender takes 1,024.
const LONGEST: usize = 1000;
/// From the connection to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Of an answer; it says little.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Of what the other side says about a failure.
const LONGEST_REASON: usize = 200;

/// Writes to an incident's timeline.
#[async_trait]
pub trait Commenter: Send + Sync {
    /// Adds `text`, at most a thousand characters; says why it could not.
    async fn comment(&self, incident_id: &str, text: &str) -> Result<(), String>;
}

/// The sender's Open API. Its key is part of the URL, which therefore appears nowhere.
pub struct FlashdutyApi {
    client: Client,
    comment: Url,
    key: SecretString,
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

impl FlashdutyApi {
    /// An API at `base`, such as `https://api.flashcat.cloud`.
    pub fn new(base: &str, key: SecretString) -> Result<Self, ApiError> {
        let comment = format!("{}/incident/comment", base.trim_end_matches('/'));
        let comment = Url::parse(&comment)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(ApiError::BadBase)?;
        // Installed already, it stays.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("flashduty-receiver/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ApiError::NoClient)?;
        Ok(Self {
            client,
            comment,
            key,
        })
    }

    /// Text of the other side's, bounded, and without the key should it repeat it.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(self.key.expose_secret(), "…");
        text.chars().take(LONGEST_REASON).collect()
    }
}

/// Hides the URL, and so the key.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[async_trait]
impl Commenter for FlashdutyApi {
    async fn comment(&self, incident_id: &str, text: &str) -> Result<(), String> {
        let mut url = self.comment.clone();
        url.query_pairs_mut()
            .append_pair("app_key", self.key.expose_secret());
        let body = serde_json::json!({ "incident_ids": [incident_id], "comment": text });
        let mut answer = self
            .client
            .post(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(said)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(said)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                break;
            }
        }
        let status = answer.status();
        let fault = serde_json::from_slice::<Answer>(&bytes)
            .ok()
            .and_then(|answer| answer.error);
        match fault {
            Some(fault) => Err(format!(
                "the API answered {}: {} {}",
                status.as_u16(),
                self.shown(&fault.code),
                self.shown(&fault.message)
            )),
            None if status == http::StatusCode::OK => Ok(()),
            None => Err(format!("the API answered {}", status.as_u16())),
        }
    }
}

/// What is written: what was run, how it ended, and the beginning of what it said.
pub(super) fn text(name: &str, outcome: &str, answer: Option<&str>) -> String {
    let whole = match answer {
        Some(answer) => format!("{name}: {outcome}\n{answer}"),
        None => format!("{name}: {outcome}"),
    };
    let shown = |at: char| {
        if at.is_control() && at != '\n' && at != '\t' {
            '\u{fffd}'
        } else {
            at
        }
    };
    if whole.chars().count() <= LONGEST {
        return whole.chars().map(shown).collect();
    }
    whole
        .chars()
        .take(LONGEST - 1)
        .map(shown)
        .chain(['…'])
        .collect()
}
