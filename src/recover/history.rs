//! The sender's history as its API gives it: pages of records, and one record's push.
//!
//! Read leniently: a field that is not there, or is null, costs at most its record. A record that
//! cannot be read all the same could not be asked for, but is a record.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::flashduty::{Api, Fault};
use crate::inbox::RecordId;

/// Where pages are listed.
pub(super) const LIST: &str = "/webhook/history/list";
/// Where one record's push is.
pub(super) const DETAIL: &str = "/webhook/history/detail";
/// Records of a page; the API gives no more.
pub(super) const PAGE: usize = 100;

/// How far back a greeting looks.
const GREETING: SignedDuration = SignedDuration::from_mins(1);

/// Asks for the latest minute of the first of `integrations`, or of all: whether the API answers,
/// takes the key and lets it read the history, and what time it is there.
pub async fn greet(
    api: &Api,
    integrations: &[i64],
    now: Timestamp,
) -> (Result<(), Fault>, Option<Timestamp>) {
    let since = now.saturating_sub(GREETING).unwrap_or(now);
    let mut asked = json!({
        "start_time": since.as_millisecond(),
        "end_time": now.as_millisecond(),
        "limit": 1,
    });
    if let Some(first) = integrations.first() {
        asked["integration_id"] = (*first).into();
    }
    let (answer, clock) = api.post_dated(LIST, &asked).await;
    (answer.map(drop), clock)
}

/// One attempt at a push, as the history lists it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Record {
    /// All of one that cannot be read.
    #[serde(skip)]
    pub(super) strange: Option<Value>,
    #[serde(default, deserialize_with = "read_number")]
    pub(super) integration_id: i64,
    /// The record's own id, which is not that of the event.
    pub(super) event_id: String,
    /// The URL it went to.
    #[serde(default, deserialize_with = "read_text")]
    pub(super) endpoint: String,
    /// When the event happened.
    #[serde(default)]
    event_time: Value,
}

impl Record {
    fn read(item: Value) -> Self {
        if let Ok(record) = Self::deserialize(&item) {
            return record;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            integration_id: item["integration_id"].as_i64().unwrap_or_default(),
            event_id: String::new(),
            endpoint: text(&item["endpoint"]),
            event_time: item["event_time"].clone(),
            strange: Some(item),
        }
    }

    /// How it is remembered.
    pub(super) fn id(&self) -> RecordId {
        match &self.strange {
            Some(item) => RecordId::new(self.integration_id, &item.to_string()),
            None => RecordId::new(self.integration_id, &self.event_id),
        }
    }

    /// What it can be found by, in words; of what a record may repeat, nothing else.
    pub(super) fn name(&self) -> String {
        let Some(item) = &self.strange else {
            return format!("the record {}", self.event_id);
        };
        let known: Vec<String> = ["event_id", "integration_id", "event_time"]
            .into_iter()
            .filter_map(|field| Some((field, item.get(field).filter(|value| !value.is_null())?)))
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        match known.is_empty() {
            true => "a record without an id".to_owned(),
            false => format!("a record with {}", known.join(", ")),
        }
    }

    /// When the event happened, if that can be read.
    pub(super) fn at(&self) -> Option<Timestamp> {
        match &self.event_time {
            Value::String(text) => text.parse().ok(),
            other => Timestamp::from_millisecond(other.as_i64()?).ok(),
        }
    }

    /// What is asked for its push.
    pub(super) fn detail(&self) -> Value {
        json!({ "event_id": self.event_id, "integration_id": self.integration_id })
    }
}

/// A number, also one in quotes; zero for all else.
fn read_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let quoted = || value.as_str().and_then(|text| text.parse().ok());
    Ok(value.as_i64().or_else(quoted).unwrap_or_default())
}

/// A text; empty for all else.
fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}

/// A page of the history.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    items: Option<Vec<Value>>,
    #[serde(default)]
    search_after_ctx: Value,
}

impl Page {
    /// Whether nothing stands on it, as behind the last one.
    pub(super) fn is_empty(&self) -> bool {
        self.items.as_ref().is_none_or(Vec::is_empty)
    }

    /// Its records, those among them that cannot be read.
    pub(super) fn records(&mut self) -> impl Iterator<Item = Record> {
        let items = self.items.take().unwrap_or_default();
        items.into_iter().map(Record::read)
    }

    /// Where the next page begins, whatever form that has; `None` after the last.
    pub(super) fn cursor(&mut self) -> Option<Value> {
        let is_empty = match &self.search_after_ctx {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        (!is_empty).then(|| self.search_after_ctx.take())
    }
}

/// The part of a record's detail that is of use.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    /// The pushed body.
    #[serde(deserialize_with = "read_body")]
    pub(super) request_body: Bytes,
}

/// It comes as a string; were it JSON itself, it would be taken as it stands.
fn read_body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Ok(text.into()),
        Err(_no_string) if raw.get().starts_with('{') => Ok(raw.get().to_owned().into()),
        Err(_no_string) => Err(D::Error::custom("the pushed body is no string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(detail: &str) -> Option<String> {
        let detail: Detail = serde_json::from_str(detail).ok()?;
        Some(String::from_utf8(detail.request_body.to_vec()).unwrap())
    }

    #[test]
    fn a_body_comes_back_as_it_was_pushed() {
        let pushed = r#"{"a":"\ud83d \" é","big":9007199254740993}"#;
        let detail = json!({ "request_body": pushed, "event_id": "x" }).to_string();
        assert_eq!(body(&detail).as_deref(), Some(pushed));
        let object = r#"{"request_body":{"a": 9007199254740993 }}"#;
        assert_eq!(body(object).as_deref(), Some(r#"{"a": 9007199254740993 }"#));
        assert_eq!(body(r#"{"request_body":null}"#), None);
        assert_eq!(body(r#"{"request_body":7}"#), None);
        assert_eq!(body("{}"), None);
    }

    #[test]
    fn a_page_may_lack_everything_and_a_cursor_may_have_any_form() {
        for (page, records, cursor) in [
            ("{}", 0, None),
            (r#"{"items":null,"search_after_ctx":""}"#, 0, None),
            (
                r#"{"items":[{"x":1},{"event_id":"e"},null],"search_after_ctx":null}"#,
                1,
                None,
            ),
            (
                r#"{"items":[{"event_id":"e","integration_id":null,"endpoint":7,"event_time":null},
                    {"event_id":"f","integration_id":"4021","event_time":1777888800000}]}"#,
                2,
                None,
            ),
            (
                r#"{"items":[],"search_after_ctx":"abc"}"#,
                0,
                Some(json!("abc")),
            ),
            (r#"{"search_after_ctx":[1,"x"]}"#, 0, Some(json!([1, "x"]))),
        ] {
            let mut read: Page = serde_json::from_str(page).unwrap();
            let all = read.items.as_ref().map_or(0, Vec::len);
            let read_of = read.records().collect::<Vec<_>>();
            assert_eq!(read_of.len(), all, "{page}: none is dropped");
            let good = read_of.iter().filter(|one| one.strange.is_none());
            assert_eq!(good.count(), records, "{page}");
            assert_eq!(read.cursor(), cursor, "{page}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_by_what_is_known_of_it() {
        for (item, name) in [
            (json!({"event_id": "e"}), "the record e"),
            (
                json!({"event_id": 7, "integration_id": 4021, "endpoint": "https://x/?token=t"}),
                "a record with event_id 7, integration_id 4021",
            ),
            (
                json!({"event_time": "2026-05-04T10:00:00Z", "x": 1}),
                r#"a record with event_time "2026-05-04T10:00:00Z""#,
            ),
            (json!([1, 2]), "a record without an id"),
            (json!(null), "a record without an id"),
        ] {
            assert_eq!(Record::read(item).name(), name);
        }
        let strange = |number: i64| Record::read(json!({"event_id": number})).id();
        assert_eq!(strange(1), strange(1));
        assert_ne!(strange(1), strange(2));
    }
}
