//! The log sink's line for a person at a terminal.

use std::io::Write as _;

use super::line::LineInput;
use crate::envelope::view::View;
use crate::event::Subject;

/// Appends one event's line and its newline to `out`. Control characters are escaped, so that a
/// title cannot move the cursor.
pub fn write_pretty_line(out: &mut Vec<u8>, input: &LineInput<'_>) {
    let event = input.event;
    let view = View::read(&event.body);
    let mut text = format!("{:.6}  INFO {}", input.now, event.event_type);
    for word in [view.severity.as_deref(), view.progress.as_deref()]
        .into_iter()
        .flatten()
    {
        text.push(' ');
        text.push_str(word);
    }
    if let Some(title) = view.title.as_deref() {
        text.push_str(": ");
        text.push_str(title);
    }
    let facts = [
        ("seq", Some(input.seq.to_string())),
        ("subject", event.subject.as_ref().map(Subject::to_string)),
        ("channel", view.channel_name.map(Into::into)),
        (
            "person",
            view.person.and_then(|person| person.name).map(Into::into),
        ),
        ("tag", event.route.tag.as_deref().map(Into::into)),
        ("from", event.source_ip.map(|ip| ip.to_string())),
        ("redelivered", input.redelivered.then(|| "true".to_owned())),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    for character in text.chars() {
        if character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        {
            // Writing to a vector cannot fail.
            let _infallible = write!(out, "{}", character.escape_unicode());
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::event::{Event, Seq};
    use crate::sink::line::LabelStyle;

    #[test]
    fn a_title_cannot_move_the_cursor_or_begin_a_line() {
        let body = br#"{"event_type":"i_new","incident":{"title":"disk\u001b[2J\nfull","incident_severity":"Critical"}}"#;
        let event = Event {
            event_id: None,
            event_time: None,
            ..Event::sample(Bytes::from_static(body))
        };
        let mut out = Vec::new();
        let input = LineInput {
            seq: Seq(7),
            event: &event,
            redelivered: false,
            replay: false,
            labels: &LabelStyle::Object,
            now: Timestamp::UNIX_EPOCH,
        };
        write_pretty_line(&mut out, &input);
        insta::assert_snapshot!(String::from_utf8(out).unwrap().trim_end(), @r"1970-01-01T00:00:00.000000Z  INFO i_new Critical: disk\u{1b}[2J\u{a}full seq=7 subject=incident:664af");
    }
}
