//! What a command finds in its environment: a few fixed names, one for each word, and the names
//! that were asked for. Nothing of the receiver's own.

use std::path::Path;

use serde_json::{Map, Value};

use super::ExecOptions;
use crate::inbox::Lease;

/// The kernel takes no longer `NAME=value` than this, with the zero behind it (`MAX_ARG_STRLEN`).
pub(super) const LONGEST: usize = 128 * 1024;

/// More than the name of any of the event's variables takes.
const SLACK: usize = 64;

/// What every command searches, and is itself searched in.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Words that are passed on as they are called; the others are spelt out below.
const PLAIN: [&str; 13] = [
    "event_id",
    "event_type",
    "event_time",
    "subject",
    "title",
    "severity",
    "status",
    "progress",
    "channel_id",
    "channel_name",
    "detail_url",
    "tag",
    "query",
];

/// Names and values, each `NAME=value` of an event at most `longest` bytes with the zero behind it.
///
/// A text that is longer is cut behind a whole character, and of an object whole members are left
/// out, so that what remains is JSON.
pub(super) fn environment(
    options: &ExecOptions,
    lease: &Lease,
    words: &Map<String, Value>,
    longest: usize,
) -> Vec<(String, String)> {
    let mut environment = fixed(&options.home);
    let mut add = |name: &str, value: String| {
        let name = format!("FLASHDUTY_{name}");
        let room = longest.saturating_sub(name.len() + 2);
        environment.push((name, passable(value, room)));
    };
    for word in PLAIN {
        if let Some(value) = words.get(word) {
            add(&word.to_ascii_uppercase(), text(value));
        }
    }
    for (name, value) in [
        ("STALE", lease.stale),
        ("REPLAY", lease.replay),
        ("REDELIVERED", lease.attempt > 1),
    ] {
        add(name, value.to_string());
    }
    add("ATTEMPT", lease.attempt.to_string());
    for word in ["labels", "person"] {
        if let Some(Value::Object(members)) = words.get(word) {
            add(
                &word.to_ascii_uppercase(),
                object(members, longest.saturating_sub(SLACK)),
            );
        }
    }
    if let Some(Value::Object(person)) = words.get("person") {
        for field in ["id", "name", "email"] {
            if let Some(value) = person.get(field) {
                add(
                    &format!("PERSON_{}", field.to_ascii_uppercase()),
                    text(value),
                );
            }
        }
    }
    environment.extend(options.env.iter().cloned());
    environment
}

fn fixed(home: &Path) -> Vec<(String, String)> {
    let home = home.to_string_lossy().into_owned();
    [
        ("PATH", PATH.to_owned()),
        ("HOME", home),
        ("LANG", "C.UTF-8".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The members that fit into `room`, as JSON.
fn object(members: &Map<String, Value>, room: usize) -> String {
    let mut json = String::from("{");
    for (name, value) in members {
        let member = format!("{}:{value}", Value::from(name.as_str()));
        if json.len() + member.len() + 2 > room {
            break;
        }
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&member);
    }
    json.push('}');
    json
}

/// A zero would end the value; it becomes the sign for what cannot be shown.
fn passable(value: String, room: usize) -> String {
    let mut value = if value.contains('\0') {
        value.replace('\0', "\u{fffd}")
    } else {
        value
    };
    value.truncate(value.floor_char_boundary(room));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::WORDS;

    #[test]
    fn every_word_but_the_push_has_a_variable() {
        let spelt_out = ["labels", "person", "stale", "replay", "push"];
        for word in WORDS {
            assert!(PLAIN.contains(&word) != spelt_out.contains(&word), "{word}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_behind_a_character_and_stays_json_where_it_was() {
        assert_eq!(passable("a\0é".repeat(3), 9), "a\u{fffd}éa");
        let members = serde_json::json!({"a": "1", "b": "22222222", "c": "3"});
        let members = members.as_object().unwrap();
        assert_eq!(object(members, 100), r#"{"a":"1","b":"22222222","c":"3"}"#);
        assert_eq!(object(members, 20), r#"{"a":"1"}"#);
        assert_eq!(object(members, 0), "{}");
    }
}
