//! A fake collector of traces: takes what OTLP over HTTP allows in JSON and nothing else, and keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::PATIENCE;

/// A span as it was taken.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// By their keys; 64-bit integers are text.
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) error: Option<String>,
    pub(crate) resource: BTreeMap<String, Value>,
}

impl Span {
    /// The text of an attribute; empty when it is not there.
    pub(crate) fn text(&self, key: &str) -> &str {
        let value = self.attributes.get(&format!("flashduty.{key}"));
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct Taken {
    spans: Mutex<Vec<Span>>,
    changed: Condvar,
    offences: Mutex<Vec<String>>,
}

/// Runs until it is dropped.
pub(crate) struct Collector {
    server: FakeServer,
    taken: Arc<Taken>,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Self::answering(|_| Reply::new(200, r#"{"partialSuccess":{}}"#))
    }

    /// Answers by the number of the request; what is answered 200 is taken.
    pub(crate) fn answering(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let taken = Arc::<Taken>::default();
        let taking = Arc::clone(&taken);
        let server = FakeServer::new(move |request, at| match read(request) {
            Ok(spans) => {
                let reply = answer(at);
                if matches!(reply, Reply::Answer { status: 200, .. }) {
                    taking.spans.lock().unwrap().extend(spans);
                    taking.changed.notify_all();
                }
                reply
            }
            Err(offence) => {
                taking.offences.lock().unwrap().push(offence.clone());
                taking.changed.notify_all();
                Reply::new(400, offence)
            }
        });
        Self { server, taken }
    }

    /// The table of the configuration that leads here, with further keys.
    pub(crate) fn table(&self, keys: &str) -> String {
        let url = self.server.url("");
        format!("\n[otlp]\nendpoint = \"{url}\"\n{keys}\n")
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.server.requests()
    }

    /// Waits until there was one.
    pub(crate) fn wait_for_request(&self) {
        self.server.wait_for(1);
    }

    /// All spans so far; whatever came was as it has to be.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let offences = self.taken.offences.lock().unwrap();
        assert!(offences.is_empty(), "{offences:?}");
        self.taken.spans.lock().unwrap().clone()
    }

    /// Waits until the spans are as `done` wants them.
    pub(crate) fn wait<T>(&self, what: &str, done: impl Fn(&[Span]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if let Some(found) = done(&spans) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {spans:#?}");
            let known = self.taken.spans.lock().unwrap();
            if known.len() == spans.len() {
                let step = left.min(Duration::from_millis(100));
                drop(self.taken.changed.wait_timeout(known, step).unwrap());
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Sent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sent {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    flags: u32,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    code: u8,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Deserialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "boolValue")]
    Flag(bool),
    /// A 64-bit integer.
    #[serde(rename = "intValue")]
    Number(String),
}

/// The spans of a request, or what is wrong with it.
fn read(request: &Received) -> Result<Vec<Span>, String> {
    let is_right = request.method == "POST"
        && request.target == "/v1/traces"
        && request.header("content-type") == Some("application/json")
        && request.header("content-encoding").is_none();
    if !is_right {
        return Err(format!("no request of OTLP in JSON: {request:?}"));
    }
    let read = serde_json::from_slice::<Request>(&request.body);
    let read = read.map_err(|error| format!("{error}: {}", request.text()))?;
    let mut spans = Vec::new();
    for of_resource in read.resource_spans {
        let resource = attributes(of_resource.resource.attributes)?;
        if !resource.contains_key("service.name") {
            return Err("a resource without service.name".to_owned());
        }
        for of_scope in of_resource.scope_spans {
            if of_scope.scope.name.is_empty() || of_scope.scope.version.is_empty() {
                return Err("a scope without a name or version".to_owned());
            }
            for sent in of_scope.spans {
                spans.push(span(sent, &resource)?);
            }
        }
    }
    match spans.is_empty() {
        true => Err("a request without spans".to_owned()),
        false => Ok(spans),
    }
}

fn span(sent: Sent, resource: &BTreeMap<String, Value>) -> Result<Span, String> {
    let began = nanoseconds(&sent.start_time_unix_nano)?;
    let ended = nanoseconds(&sent.end_time_unix_nano)?;
    let parent = sent.parent_span_id.map(|parent| id(parent, 16));
    if sent.name.is_empty() || !(1..=5).contains(&sent.kind) || ended < began || sent.flags != 1 {
        let (name, kind) = (sent.name, sent.kind);
        return Err(format!("{name} of kind {kind}, from {began} to {ended}"));
    }
    let error = match sent.status {
        Some(Status { code: 2, message }) => Some(message),
        Some(Status { code, .. }) => return Err(format!("the status {code}")),
        None => None,
    };
    Ok(Span {
        trace: id(sent.trace_id, 32)?,
        id: id(sent.span_id, 16)?,
        parent: parent.transpose()?,
        name: sent.name,
        kind: sent.kind,
        began,
        ended,
        attributes: attributes(sent.attributes)?,
        error,
        resource: resource.clone(),
    })
}

/// In hexadecimal, and not all zero.
fn id(text: String, digits: usize) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let is_zero = text.chars().all(|c| c == '0');
    match text.len() == digits && text.chars().all(fits) && !is_zero {
        true => Ok(text),
        false => Err(format!("{text:?} is no id of {digits} digits")),
    }
}

fn nanoseconds(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("{text:?} is no time"))
}

/// Each key stands there once.
fn attributes(sent: Vec<KeyValue>) -> Result<BTreeMap<String, Value>, String> {
    let keys: BTreeSet<&str> = sent.iter().map(|one| one.key.as_str()).collect();
    if keys.len() != sent.len() || keys.contains("") {
        return Err(format!("keys that are the same, or empty: {keys:?}"));
    }
    let pairs = sent.into_iter().map(|KeyValue { key, value }| {
        let value = match value {
            AnyValue::Text(text) => Value::from(text),
            AnyValue::Flag(flag) => Value::from(flag),
            AnyValue::Number(number) => match number.parse::<i64>() {
                Ok(_) => Value::from(number),
                Err(error) => return Err(format!("{key} = {number:?}: {error}")),
            },
        };
        Ok((key, value))
    });
    pairs.collect()
}
