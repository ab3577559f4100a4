//! The words of an event: what filters, templates and commands call its parts.
//!
//! The same words mean the same everywhere. A word whose part is missing, blank or of another type
//! than documented is absent. `push` is the whole JSON as it came. No id passes through a float: an
//! integer that 64 bits do not hold is the text of its digits.

mod exact;

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::aside::aside;
use crate::envelope::view::{Integer, Person, View};
use crate::event::{Event, Id, Subject};

/// The tree of an event's words, read where that holds up nobody.
pub async fn read(event: &Arc<Event>, stale: bool, replay: bool) -> Map<String, Value> {
    let event = Arc::clone(event);
    let bytes = event.body.len() as u64;
    aside(bytes, move || {
        Words::new(&event).with(stale, replay).build()
    })
    .await
}

/// Every word there is.
pub const WORDS: [&str; 18] = [
    "event_id",
    "event_type",
    "event_time",
    "subject",
    "title",
    "severity",
    "status",
    "progress",
    "labels",
    "channel_id",
    "channel_name",
    "person",
    "detail_url",
    "tag",
    "query",
    "stale",
    "replay",
    "push",
];

/// One event in words. Reads the body only when it is asked for something that stands in it, and
/// once.
#[derive(Debug)]
pub struct Words<'a> {
    event: &'a Event,
    stale: bool,
    replay: bool,
    tree: OnceLock<Map<String, Value>>,
}

impl<'a> Words<'a> {
    /// The words of `event`, which is on its way for the first time and in time.
    pub fn new(event: &'a Event) -> Self {
        Self {
            event,
            stale: false,
            replay: false,
            tree: OnceLock::new(),
        }
    }

    /// Says whether it was overtaken, and whether a person asked for it again.
    #[must_use]
    pub fn with(mut self, stale: bool, replay: bool) -> Self {
        self.stale = stale;
        self.replay = replay;
        // Read already, it would still say what was so before.
        self.tree = OnceLock::new();
        self
    }

    /// The event itself.
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// Whether it was overtaken by a later event of its subject.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether a person asked for it again.
    pub fn is_replay(&self) -> bool {
        self.replay
    }

    /// All words that are there, `push` among them.
    pub fn tree(&self) -> &Map<String, Value> {
        self.tree.get_or_init(|| self.build())
    }

    fn build(&self) -> Map<String, Value> {
        let event = self.event;
        let view = View::read(&event.body);
        let mut words = Map::new();
        let mut add = |word: &str, value: Option<Value>| {
            if let Some(value) = value {
                words.insert(word.to_owned(), value);
            }
        };
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(Value::from);
        add(
            "event_id",
            event.event_id.as_ref().map(Id::as_str).map(Value::from),
        );
        add("event_type", Some(event.event_type.as_str().into()));
        add("event_time", event.event_time.map(Value::from));
        add(
            "subject",
            event
                .subject
                .as_ref()
                .map(Subject::to_string)
                .map(Value::from),
        );
        add("title", text(&view.title));
        add("severity", text(&view.severity));
        add("status", text(&view.status));
        add("progress", text(&view.progress));
        let labels = view.labels.iter();
        let labels = labels.map(|(name, value)| (name.to_string(), Value::from(&**value)));
        add("labels", Some(Value::Object(labels.collect())));
        add("channel_id", view.channel_id.map(integer));
        add("channel_name", text(&view.channel_name));
        add("person", view.person.as_ref().map(person));
        add("detail_url", text(&view.detail_url));
        add("tag", event.route.tag.as_deref().map(Value::from));
        add("query", event.route.query.as_deref().map(Value::from));
        add("stale", Some(self.stale.into()));
        add("replay", Some(self.replay.into()));
        add("push", exact::read(&event.body));
        words
    }
}

/// The tree of `json`, as exact as `push` is; `None` when it is no JSON.
pub fn exact_json(json: &[u8]) -> Option<Value> {
    exact::read(json)
}

fn person(person: &Person<'_>) -> Value {
    let mut fields = Map::new();
    if let Some(id) = person.id {
        fields.insert("id".to_owned(), integer(id));
    }
    for (name, text) in [("name", &person.name), ("email", &person.email)] {
        if let Some(text) = text {
            fields.insert(name.to_owned(), Value::from(&**text));
        }
    }
    Value::Object(fields)
}

fn integer(integer: Integer<'_>) -> Value {
    let digits = integer.as_str();
    integer
        .to_i64()
        .map(Value::from)
        .or_else(|| digits.parse::<u64>().ok().map(Value::from))
        .unwrap_or_else(|| Value::from(digits))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::event::Route;

    fn event(body: &'static str) -> Event {
        Event {
            route: Route {
                tag: Some("ops".into()),
                query: None,
            },
            ..Event::sample(body)
        }
    }

    #[test]
    fn absent_parts_are_absent_words() {
        let event = event(r#"{"event_type":"i_new","incident":{"title":"","channel_id":0}}"#);
        let words = Words::new(&event);
        for word in ["title", "channel_id", "person", "query", "severity"] {
            assert!(!words.tree().contains_key(word), "{word}");
        }
        for word in words.tree().keys() {
            assert!(WORDS.contains(&word.as_str()), "{word}");
        }
    }

    #[test]
    fn words_say_what_the_event_says() {
        let event = event(
            r#"{"incident":{"title":"disk","incident_severity":"Critical","labels":{"team":"db"},
               "channel_id":1552048792504},"person":{"person_id":18446744073709551616,"person_name":"Li"}}"#,
        );
        let words = Words::new(&event).with(true, false);
        let tree = words.tree();
        assert_eq!(tree["title"], "disk");
        assert_eq!(tree["labels"]["team"], "db");
        assert_eq!(tree["channel_id"], 1_552_048_792_504_i64);
        assert_eq!(tree["person"]["id"], "18446744073709551616");
        assert_eq!(tree["person"]["name"], "Li");
        assert_eq!(tree["subject"], "incident:664af");
        assert_eq!(
            (&tree["stale"], &tree["tag"]),
            (&true.into(), &"ops".into())
        );
        assert_eq!(tree["push"]["person"]["person_id"], "18446744073709551616");
    }
}
