//! The subject an event is published to: fixed text with placeholders, each of them one token.

use crate::event::Event;

/// A checked subject; what an event puts into it can neither add a token nor a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubjectPattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    EventType,
    Tag,
}

impl SubjectPattern {
    /// Reads `text`, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or("has a { without its }")?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "event_type" => Part::EventType,
                "tag" => Part::Tag,
                _ => return Err("has a placeholder other than {event_type} and {tag}"),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let pattern = Self { parts };
        let sample = pattern.filled("x", "x");
        if sample.split('.').any(str::is_empty) {
            return Err("has an empty token: it is words with single dots between them");
        }
        if sample.starts_with('$') {
            return Err("begins with $, which the server keeps for itself");
        }
        let strange = |at: char| !at.is_ascii_graphic() || matches!(at, '*' | '>' | '}');
        if sample.contains(strange) {
            return Err("has a wildcard, white space or a character other than visible ASCII");
        }
        Ok(pattern)
    }

    /// The subject for `event`; a tag that is not there is `_`.
    pub(super) fn of(&self, event: &Event) -> String {
        let tag = event.route.tag.as_deref().unwrap_or_default();
        self.filled(&token(event.event_type.as_str()), &token(tag))
    }

    fn filled(&self, event_type: &str, tag: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::EventType => event_type.to_owned(),
            Part::Tag => tag.to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

/// `text` as one token: letters, digits, `-` and `_`; anything else is `_`.
fn token(text: &str) -> String {
    if text.is_empty() {
        return "_".to_owned();
    }
    let kept = |at: char| at.is_ascii_alphanumeric() || matches!(at, '-' | '_');
    text.replace(|at: char| !kept(at), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, event_type: &str, tag: &str) -> String {
        let pattern = SubjectPattern::parse(pattern).unwrap();
        pattern.filled(&token(event_type), &token(tag))
    }

    #[test]
    fn a_placeholder_becomes_one_token_whatever_the_event_says() {
        assert_eq!(filled("flashduty.events", "i_new", ""), "flashduty.events");
        assert_eq!(
            filled("f.{tag}.{event_type}", "i_new", "pay"),
            "f.pay.i_new"
        );
        assert_eq!(filled("f.{event_type}", "a.>.* b", ""), "f.a_____b");
        assert_eq!(filled("f.{tag}", "i_new", ""), "f._");
        assert_eq!(filled("f.x-{tag}", "i_new", "eu.1"), "f.x-eu_1");
    }

    #[test]
    fn a_subject_that_no_server_takes_is_refused() {
        for wrong in [
            "",
            ".",
            "a..b",
            "a.",
            "a b",
            "a.*",
            "a.>",
            "$JS.API",
            "{",
            "a.{tag",
            "a.{title}",
            "a}",
            "é",
        ] {
            assert!(SubjectPattern::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
