//! Spans as OTLP/HTTP has them in JSON: an `ExportTraceServiceRequest`, and its answer.
//!
//! Ids are lower-case hexadecimal, 64-bit integers are strings, enumerations are numbers, and keys are
//! in lowerCamelCase, as the specification of OTLP demands where it differs from the mapping of
//! Protocol Buffers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Span, Value};
use crate::build;

/// The code of a status that is an error.
const STATUS_ERROR: u8 = 2;
/// The flag of a trace that is recorded, as in `traceparent`.
const SAMPLED: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Encoded<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Encoded<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: &'static str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue")]
    Number(String),
    #[serde(rename = "boolValue")]
    Flag(bool),
}

/// What is posted of `spans`, which `resource` made.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let attributes = resource.iter().map(|(key, value)| KeyValue {
        key,
        value: AnyValue::Text(value),
    });
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource {
                attributes: attributes.collect(),
            },
            scope_spans: [ScopeSpans {
                scope: Scope {
                    name: env!("CARGO_PKG_NAME"),
                    version: build::VERSION,
                },
                spans: spans.iter().map(encoded).collect(),
            }],
        }],
    };
    serde_json::to_vec(&request).expect("strings and numbers")
}

fn encoded(span: &Span) -> Encoded<'_> {
    let attributes = span.attributes.iter().map(|(key, value)| KeyValue {
        key,
        value: match value {
            Value::Text(text) => AnyValue::Text(text),
            Value::Number(number) => AnyValue::Number(number.to_string()),
            Value::Flag(flag) => AnyValue::Flag(*flag),
        },
    });
    Encoded {
        trace_id: span.context.own.trace.to_string(),
        span_id: span.context.own.span.to_string(),
        parent_span_id: span.context.parent.map(|parent| parent.to_string()),
        flags: SAMPLED,
        name: span.name,
        kind: span.kind as u8,
        start_time_unix_nano: nanoseconds(span.began),
        end_time_unix_nano: nanoseconds(span.ended),
        attributes: attributes.collect(),
        status: span.error.as_deref().map(|message| Status {
            code: STATUS_ERROR,
            message,
        }),
    }
}

/// An unsigned number.
fn nanoseconds(time: Timestamp) -> String {
    time.as_nanosecond().max(0).to_string()
}

/// What a collector says that took a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    partial_success: Option<PartialSuccess>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: Option<Count>,
    error_message: Option<String>,
}

/// A 64-bit integer, which a collector may also write as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

/// What of a request was not taken, though the request was.
#[derive(Debug)]
pub(super) struct Rejected {
    /// How many spans.
    pub(super) count: u64,
    /// What the collector says of them.
    pub(super) reason: String,
}

/// What an answer says. One that cannot be read was one all the same.
pub(super) fn rejected(answer: &[u8]) -> Rejected {
    let response: Response = serde_json::from_slice(answer).unwrap_or_default();
    let partial = response.partial_success.unwrap_or_default();
    let count = match partial.rejected_spans {
        Some(Count::Number(number)) => number,
        Some(Count::Text(text)) => text.parse().unwrap_or(0),
        None => 0,
    };
    Rejected {
        count,
        reason: partial.error_message.unwrap_or_default(),
    }
}
