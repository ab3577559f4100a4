//! What an incident or alert says about itself, for the log, the board and filters.
//!
//! Reading never fails: a field that is missing, blank or of another type than documented is
//! absent, and so is everything in a body that is no push. Of duplicate names the last counts.

use std::borrow::Cow;
use std::collections::HashMap;

use super::json::{self, Kind, Malformed, Walk};

/// Fewer labels than these are searched one by one for an equal name, which is less work than
/// hashing them.
const FEW: usize = 32;

/// The parts of a push that people look at, borrowed from its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View<'a> {
    /// The incident's or alert's title.
    pub title: Option<Cow<'a, str>>,
    /// In the sender's words: `Critical`, `Warning`, `Info`.
    pub severity: Option<Cow<'a, str>>,
    /// As the severity, or `Ok`.
    pub status: Option<Cow<'a, str>>,
    /// `Triggered`, `Processing`, `Closed`.
    pub progress: Option<Cow<'a, str>>,
    /// The channel; absent when the sender says 0, which is none.
    pub channel_id: Option<Integer<'a>>,
    /// The channel's name.
    pub channel_name: Option<Cow<'a, str>>,
    /// Who acted, when a human did.
    pub person: Option<Person<'a>>,
    /// Names and values in the order they came, each name once.
    pub labels: Labels<'a>,
    /// The page to open.
    pub detail_url: Option<Cow<'a, str>>,
    /// What is written below the title.
    pub description: Option<Cow<'a, str>>,
    /// The names of those who were assigned, or else their addresses.
    pub responders: Vec<Cow<'a, str>>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds.
    pub start_time: Option<i64>,
    /// Unix seconds; absent while it is open.
    pub close_time: Option<i64>,
}

/// Names and values.
pub type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The operator of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person<'a> {
    /// The sender's number for the person.
    pub id: Option<Integer<'a>>,
    /// The display name.
    pub name: Option<Cow<'a, str>>,
    /// The address.
    pub email: Option<Cow<'a, str>>,
}

/// A JSON integer of any size, as its digits came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integer<'a>(&'a str);

impl<'a> Integer<'a> {
    /// The digits, with a minus sign if there was one.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The number, when 64 bits hold it.
    pub fn to_i64(self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn read(raw: &'a str) -> Option<Self> {
        let is_integer = raw
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_digit());
        is_integer.then_some(Self(raw))
    }
}

impl<'a> View<'a> {
    /// Looks at the alert for an alert's event (`a_*`) that carries one, else at the incident.
    pub fn read(body: &'a [u8]) -> Self {
        let text = json::text(body).unwrap_or_default();
        Self::of_push(text).unwrap_or_default()
    }

    fn of_push(push: &'a str) -> Result<Self, Malformed> {
        let (mut event_type, mut incident, mut alert, mut person) = (None, None, None, None);
        let mut walk = Walk::new(push);
        walk.members(|walk, name| {
            match &*name {
                "event_type" => event_type = text(walk)?,
                "incident" => incident = object(walk, Self::of_subject)?,
                "alert" => alert = object(walk, Self::of_subject)?,
                "person" => person = object(walk, Person::read)?.flatten(),
                _ => walk.skip()?,
            }
            Ok(())
        })?;
        walk.end()?;
        let prefers_alert = event_type.is_some_and(|name| name.starts_with("a_"));
        let subject = if prefers_alert {
            alert.or(incident)
        } else {
            incident.or(alert)
        };
        Ok(Self {
            person,
            ..subject.unwrap_or_default()
        })
    }

    fn of_subject(walk: &mut Walk<'a>) -> Result<Self, Malformed> {
        let mut view = Self::default();
        walk.members(|walk, name| {
            match &*name {
                "title" => view.title = text(walk)?,
                "incident_severity" | "alert_severity" => view.severity = text(walk)?,
                "incident_status" | "alert_status" => view.status = text(walk)?,
                "progress" => view.progress = text(walk)?,
                "channel_id" => view.channel_id = id(walk.value()?),
                "channel_name" => view.channel_name = text(walk)?,
                "labels" => view.labels = object(walk, labels)?.unwrap_or_default(),
                "detail_url" => view.detail_url = text(walk)?,
                "description" => view.description = text(walk)?,
                "responders" => view.responders = responders(walk)?,
                "created_at" => view.created_at = seconds(walk.value()?),
                "start_time" => view.start_time = seconds(walk.value()?),
                "close_time" => view.close_time = seconds(walk.value()?),
                _ => walk.skip()?,
            }
            Ok(())
        })?;
        Ok(view)
    }
}

impl<'a> Person<'a> {
    fn read(walk: &mut Walk<'a>) -> Result<Option<Self>, Malformed> {
        let mut person = Self::default();
        walk.members(|walk, name| {
            match &*name {
                "person_id" => person.id = id(walk.value()?),
                "person_name" => person.name = text(walk)?,
                "email" => person.email = text(walk)?,
                _ => walk.skip()?,
            }
            Ok(())
        })?;
        Ok((person != Self::default()).then_some(person))
    }
}

/// Pairs in the order their names first came, each with the value that came last.
fn labels<'a>(walk: &mut Walk<'a>) -> Result<Labels<'a>, Malformed> {
    let mut pairs: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)> = Vec::new();
    let mut index = HashMap::new();
    walk.members(|walk, name| {
        let value = match walk.kind()? {
            Kind::String => walk.string()?,
            Kind::Number | Kind::Bool => Some(Cow::Borrowed(walk.value()?)),
            Kind::Null | Kind::Array | Kind::Object => walk.skip().map(|()| None)?,
        };
        let known = if pairs.len() < FEW {
            pairs.iter().position(|(known, _)| *known == name)
        } else {
            let not_yet = pairs.iter().enumerate().skip(index.len());
            index.extend(not_yet.map(|(at, (name, _))| (name.clone(), at)));
            index.get(&name).copied()
        };
        match known.and_then(|at| pairs.get_mut(at)) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name, value)),
        }
        Ok(())
    })?;
    Ok(pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

fn responders<'a>(walk: &mut Walk<'a>) -> Result<Vec<Cow<'a, str>>, Malformed> {
    let mut names = Vec::new();
    if walk.kind()? != Kind::Array {
        walk.skip()?;
        return Ok(names);
    }
    walk.elements(|walk, _| {
        let person = object(walk, Person::read)?.flatten();
        names.extend(person.and_then(|person| person.name.or(person.email)));
        Ok(())
    })?;
    Ok(names)
}

/// Reads the next value with `read` when it is an object, and else passes over it.
fn object<'a, T>(
    walk: &mut Walk<'a>,
    read: impl FnOnce(&mut Walk<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    if walk.kind()? == Kind::Object {
        read(walk).map(Some)
    } else {
        walk.skip().map(|()| None)
    }
}

/// An id; 0 is none.
fn id(raw: &str) -> Option<Integer<'_>> {
    Integer::read(raw).filter(|id| id.as_str() != "0")
}

/// The next value, when it is a string that is not blank.
fn text<'a>(walk: &mut Walk<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    let text = walk.string()?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

fn seconds(raw: &str) -> Option<i64> {
    Integer::read(raw)?.to_i64().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_and_its_operator_are_seen() {
        let body = include_bytes!("../../tests/samples/i_a_rspd.json");
        let view = View::read(body);
        assert_eq!(view.title.as_deref(), Some("disk almost full on node-17"));
        assert_eq!(view.severity.as_deref(), Some("Critical"));
        assert_eq!(view.status.as_deref(), Some("Critical"));
        assert_eq!(view.progress.as_deref(), Some("Processing"));
        assert_eq!(view.channel_id.unwrap().to_i64(), Some(1_552_048_792_504));
        assert_eq!(view.channel_name.as_deref(), Some("Storage on call"));
        let person = view.person.unwrap();
        assert_eq!(person.id.unwrap().as_str(), "2476444212131");
        assert_eq!(person.name.as_deref(), Some("Ana Ruiz"));
        assert_eq!(person.email.as_deref(), Some("ana.ruiz@example.com"));
        let names: Vec<&str> = view.labels.iter().map(|(name, _)| &**name).collect();
        assert_eq!(
            names,
            ["resource", "check", "mount", "region", "team", "env"]
        );
        assert_eq!(view.responders, ["Ana Ruiz", "Bo Lindqvist"]);
        assert_eq!(view.created_at, Some(1_775_980_800));
        assert_eq!(view.start_time, Some(1_775_980_770));
        assert_eq!(view.close_time, None);
        assert!(view.detail_url.unwrap().starts_with("https://"));
        assert!(view.description.unwrap().starts_with("disk_used"));
        let borrowed = view
            .labels
            .iter()
            .all(|(_, value)| matches!(value, Cow::Borrowed(_)));
        assert!(borrowed, "nothing without an escape is copied");
    }

    #[test]
    fn an_alert_is_seen_in_the_same_words() {
        let view = View::read(include_bytes!("../../tests/samples/a_update.json"));
        assert!(view.title.unwrap().starts_with("disk_used_percent > 90"));
        assert_eq!(view.severity.as_deref(), Some("Warning"));
        assert_eq!(view.status.as_deref(), Some("Warning"));
        assert_eq!(view.person, None);
    }

    #[test]
    fn a_body_with_both_is_seen_as_its_type_says() {
        let title = |kind: &str| {
            let body = format!(
                r#"{{"alert":{{"title":"A"}},"incident":{{"title":"I"}},"event_type":"{kind}"}}"#
            );
            View::read(body.as_bytes()).title.map(Cow::into_owned)
        };
        assert_eq!(title("a_new").as_deref(), Some("A"));
        assert_eq!(title("i_new").as_deref(), Some("I"));
        assert_eq!(title("other").as_deref(), Some("I"));
    }

    #[test]
    fn fields_of_another_type_are_absent_and_integers_stay_exact() {
        let odd = View::read(include_bytes!("../../tests/samples/odd_fields.json"));
        assert_eq!(odd, View::default());

        let large = View::read(include_bytes!("../../tests/samples/large_integers.json"));
        assert_eq!(large.channel_id.unwrap().as_str(), "9223372036854775807");
        assert_eq!(
            large.person.unwrap().id.unwrap().as_str(),
            "9007199254740993"
        );
        for raw in ["1.0", "1e3", "\"1\"", "true", "null", "0"] {
            let body = format!(r#"{{"incident":{{"channel_id":{raw},"created_at":{raw}}}}}"#);
            assert_eq!(View::read(body.as_bytes()), View::default(), "{raw}");
        }
    }

    #[test]
    fn a_later_duplicate_of_any_type_hides_the_earlier_one() {
        let body = br#"{"incident":{"title":"old","progress":"x","labels":{"a":"1"}},"incident":
            {"title":"old","title":7,"labels":{"a":"1","b":2,"c":[],"a":null}}}"#;
        let view = View::read(body);
        assert_eq!(view.title, None);
        assert_eq!(view.progress, None);
        assert_eq!(view.labels, [("b".into(), "2".into())]);
    }

    #[test]
    fn what_is_no_push_shows_nothing() {
        for body in [
            &b""[..],
            b"[",
            b"[1]",
            b"\xff",
            b"{\"incident\":[]}",
            b"{} {}",
        ] {
            assert_eq!(View::read(body), View::default());
        }
    }
}
