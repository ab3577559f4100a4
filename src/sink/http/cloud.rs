//! CloudEvents 1.0 over HTTP: an event's attributes as headers, or around the pushed JSON.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::event::Event;

/// The content type of the structured form.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";

/// The attributes of `event`, in the order of the specification; those that are absent are left out.
fn attributes(event: &Event, id: &str) -> Vec<(&'static str, String)> {
    let source = match &event.route.tag {
        Some(tag) => format!("/flashduty/{tag}"),
        None => "/flashduty".to_owned(),
    };
    let time = event
        .event_time
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", id.to_owned()),
        ("source", source),
        ("type", format!("com.flashduty.{}", event.event_type)),
    ];
    attributes.extend(
        event
            .subject
            .as_ref()
            .map(|subject| ("subject", subject.to_string())),
    );
    attributes.extend(time.map(|time| ("time", time.to_string())));
    attributes
}

/// Adds the attributes as headers, for the binary form.
pub(super) fn add_headers(headers: &mut HeaderMap, event: &Event, id: &str) {
    for (name, value) in attributes(event, id) {
        let name = HeaderName::try_from(format!("ce-{name}"));
        let value = HeaderValue::try_from(percent_encoded(&value));
        // The names are tokens, and what is encoded is visible ASCII.
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
}

/// One JSON object with the pushed JSON, byte for byte, as its `data`.
pub(super) fn structured(event: &Event, id: &str) -> Vec<u8> {
    let push = event.body.strip_prefix(b"\xef\xbb\xbf");
    let push = push.unwrap_or(&event.body);
    let mut out = Vec::with_capacity(push.len() + 400);
    out.push(b'{');
    for (name, value) in attributes(event, id) {
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        out.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"datacontenttype\":\"application/json\",\"data\":");
    out.extend_from_slice(push);
    out.push(b'}');
    out
}

/// As section 3.1.3.2 of the HTTP binding says: space, quote, percent and all that is no visible
/// ASCII.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => out.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_encoded_as_the_http_binding_shows() {
        assert_eq!(
            percent_encoded("Euro \u{20ac} \u{1f600}\"%~"),
            "Euro%20%E2%82%AC%20%F0%9F%98%80%22%25~"
        );
    }
}
