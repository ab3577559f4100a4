//! One delivery as a request: what is rendered, which headers go with it, and how it is signed.

use std::fmt::Display;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{Method, Uri};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::client::BadOptions;
use super::{Body, HttpOptions, HttpSink, Signature, cloud};
use crate::build;
use crate::filter::Scope;
use crate::inbox::Lease;
use crate::sign::{self, Robot};
use crate::template::{Context, Kind, Template};
use crate::words::WORDS;

/// Names a template may use besides the words.
const MORE_WORDS: [&str; 4] = ["remembered", "attempt", "redelivered", "timezone"];

/// Those that carry an event; a token such as `POSTT` is more likely a mistake than a method.
const METHODS: [Method; 5] = [
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::GET,
];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const EVENT_ID: HeaderName = HeaderName::from_static("flashduty-event-id");
const ATTEMPT: HeaderName = HeaderName::from_static("flashduty-attempt");
const REDELIVERED: HeaderName = HeaderName::from_static("flashduty-redelivered");
const REPLAY: HeaderName = HeaderName::from_static("flashduty-replay");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const YES: HeaderValue = HeaderValue::from_static("true");

/// What becomes of a delivery before anything is sent.
pub(super) enum Made {
    Request(Box<Prepared>),
    /// It is not needed, and why.
    Needless(String),
}

/// A request, signed and ready.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is the same for every event, made once.
pub(super) struct Fixed {
    /// Whether the body has to be read at all.
    pub(super) reads_words: bool,
    method: Option<Method>,
    url: Option<Url>,
    headers: HeaderMap,
}

impl Fixed {
    /// Renders what depends on no event, and so finds out now what would fail each time.
    pub(super) fn new(options: &HttpOptions) -> Result<Self, BadOptions> {
        let nothing = Map::new();
        let context = Context {
            timezone: &options.timezone,
            ..Context::new(&nothing, &nothing)
        };
        let is_fixed = |references: &dyn Fn(&str) -> bool| {
            !WORDS.iter().chain(&MORE_WORDS).any(|word| references(word))
        };
        let method = is_fixed(&|word| options.method.references(word))
            .then(|| method(&options.method, &context).map_err(BadOptions::Method));
        let url = is_fixed(&|word| options.url.references(word))
            .then(|| url(options, &context).map_err(BadOptions::Url));
        Ok(Self {
            reads_words: WORDS.iter().any(|word| reads(options, word)),
            method: method.transpose()?,
            url: url.transpose()?,
            headers: configured(&options.headers)?,
        })
    }
}

/// Whether anything that is rendered or evaluated looks at `word`.
fn reads(options: &HttpOptions, word: &str) -> bool {
    let skip_when = options.skip_when.as_ref();
    options.method.references(word)
        || options.url.references(word)
        || matches!(&options.body, Body::Template(template) if template.references(word))
        || skip_when.is_some_and(|skip_when| skip_when.references(word))
}

fn configured(pairs: &[(HeaderName, SecretString)]) -> Result<HeaderMap, BadOptions> {
    let mut headers = HeaderMap::with_capacity(pairs.len() + 10);
    for (name, value) in pairs {
        if [CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE].contains(name) {
            let why = "is about the connection and cannot be set";
            return Err(BadOptions::Header(name.clone(), why));
        }
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            let why = "has a value with a control or non-ASCII character";
            BadOptions::Header(name.clone(), why)
        })?;
        value.set_sensitive(true);
        headers.append(name.clone(), value);
    }
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(build::USER_AGENT));
    Ok(headers)
}

fn method(template: &Template, context: &Context<'_>) -> Result<Method, String> {
    let rendered = template
        .render(context)
        .map_err(|error| error.to_string())?;
    let rendered = rendered.trim();
    METHODS
        .into_iter()
        .find(|method| method.as_str() == rendered)
        .ok_or_else(|| {
            let shown: String = rendered.chars().take(20).collect();
            format!("renders {shown:?}, which is none of POST, PUT, PATCH, DELETE, GET")
        })
}

fn url(options: &HttpOptions, context: &Context<'_>) -> Result<Url, String> {
    let rendered = options.url.render(context);
    let url = usable_url(&rendered.map_err(|error| error.to_string())?)?;
    let origin = Url::parse(&options.url.origin());
    // A template stands only behind the host; that is checked here once more, whatever it made.
    match origin {
        Ok(origin) if origin.origin() == url.origin() => Ok(url),
        _ => Err("renders a URL with another host".to_owned()),
    }
}

/// Parses `url`, which is not repeated where it cannot be used.
fn usable_url(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("renders no URL: {error}"))?;
    // The client takes the other parser's word for it.
    match parsed.as_str().parse::<Uri>() {
        Ok(_) => Ok(parsed),
        Err(_) => Err("renders a URL that cannot be sent".to_owned()),
    }
}

impl HttpSink {
    /// The request for `lease`, whose event's words these are where they are read, signed for this
    /// moment; or the reason why there will never be one.
    pub(super) fn make(&self, lease: &Lease, words: &Map<String, Value>) -> Result<Made, String> {
        let options = &self.options;
        let none = Map::new();
        let remembered = Value::Object(remembered(lease));
        if let Some(needless) = self.needless(words, &remembered) {
            return Ok(Made::Needless(needless));
        }
        let context = Context {
            words,
            remembered: remembered.as_object().unwrap_or(&none),
            attempt: lease.attempt,
            redelivered: lease.redelivered(),
            timezone: &options.timezone,
        };
        let method = match &self.fixed.method {
            Some(method) => method.clone(),
            None => method(&options.method, &context).map_err(|why| format!("method: {why}"))?,
        };
        let url = match &self.fixed.url {
            Some(url) => url.clone(),
            None => url(options, &context).map_err(|why| format!("url: {why}"))?,
        };
        let id = match &lease.event.event_id {
            Some(id) => id.as_str().to_owned(),
            None => format!("seq:{}", lease.seq),
        };
        let mut headers = self.headers(lease, &id);
        let body = self.body(lease, &id, &context, &mut headers)?;
        let body = if method == Method::GET {
            Bytes::new()
        } else {
            body
        };
        let (url, body) = self.sign(url, body, &id, &mut headers)?;
        if let Some(most) = options.max_bytes.filter(|most| body.len() > *most) {
            let size = body.len();
            return Err(format!(
                "the body has {size} bytes, and the other side takes {most}"
            ));
        }
        Ok(Made::Request(Box::new(Prepared {
            method,
            url,
            headers,
            body,
        })))
    }

    /// What cannot be judged is sent.
    fn needless(&self, words: &Map<String, Value>, remembered: &Value) -> Option<String> {
        let skip_when = self.options.skip_when.as_ref()?;
        let scope = Scope::new(words).with("remembered", remembered);
        let explained = skip_when.explain(&scope);
        if let Some(error) = explained.error {
            tracing::debug!("skip_when cannot be judged, so the event is sent: {error}");
        }
        explained.matched.then(|| {
            let clause = explained.clause.as_deref();
            format!(
                "skip_when is true: {}",
                clause.unwrap_or(skip_when.source())
            )
        })
    }

    fn headers(&self, lease: &Lease, id: &str) -> HeaderMap {
        let mut headers = self.fixed.headers.clone();
        headers.insert(IDEMPOTENCY_KEY, visible(id));
        headers.insert(EVENT_ID, visible(id));
        headers.insert(ATTEMPT, lease.attempt.into());
        for (name, is_so) in [(REDELIVERED, lease.redelivered()), (REPLAY, lease.replay)] {
            if is_so {
                headers.insert(name, YES);
            } else {
                headers.remove(name);
            }
        }
        if let Some(parent) = lease.trace_parent()
            && let Ok(parent) = HeaderValue::from_str(&parent)
        {
            headers.entry(TRACE_PARENT).or_insert(parent);
        }
        headers
    }

    fn body(
        &self,
        lease: &Lease,
        id: &str,
        context: &Context<'_>,
        headers: &mut HeaderMap,
    ) -> Result<Bytes, String> {
        let event = &lease.event;
        let (body, content_type) = match &self.options.body {
            Body::Push => (event.body.clone(), "application/json"),
            Body::Template(template) => {
                let content_type = match template.kind() {
                    Kind::Json => "application/json",
                    Kind::Text | Kind::Url => "text/plain; charset=utf-8",
                };
                let rendered = template.render(context);
                let rendered = rendered.map_err(|error| format!("template: {error}"))?;
                (Bytes::from(rendered), content_type)
            }
            Body::CloudEventsBinary => {
                cloud::add_headers(headers, event, id);
                (event.body.clone(), "application/json")
            }
            Body::CloudEventsStructured => (cloud::structured(event, id).into(), cloud::STRUCTURED),
        };
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        Ok(body)
    }

    fn sign(
        &self,
        url: Url,
        body: Bytes,
        id: &str,
        headers: &mut HeaderMap,
    ) -> Result<(Url, Bytes), String> {
        let now = self.clock.now();
        match &self.options.signature {
            None => Ok((url, body)),
            Some(Signature::Standard(standard)) => {
                for (name, value) in standard.headers(id, now, &body) {
                    headers.insert(HeaderName::from_static(name), visible(value));
                }
                Ok((url, body))
            }
            Some(Signature::Robot(Robot::Feishu, secret)) => {
                let text = std::str::from_utf8(&body).map_err(|_| "the body is no text")?;
                let signed = sign::feishu_body(secret, now, text);
                let signed = signed.map_err(|error| error.to_string())?;
                Ok((url, signed.into()))
            }
            Some(Signature::Robot(Robot::Dingtalk, secret)) => {
                let pair = sign::dingtalk_query(secret, now);
                let signed = sign::with_query(url.as_str(), &pair);
                Ok((usable_url(&signed)?, body))
            }
        }
    }
}

fn remembered(lease: &Lease) -> Map<String, Value> {
    let pairs = lease.remembered.iter();
    pairs
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect()
}

/// A header of characters that are visible ASCII; what is not becomes empty rather than an error.
fn visible(text: impl AsRef<str> + Display) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).unwrap_or(HeaderValue::from_static(""))
}
