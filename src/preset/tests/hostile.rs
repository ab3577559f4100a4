//! What nobody would send: texts that try to be markup, and texts without end.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{LANGS, event, render, seen, template};
use crate::event::Event;
use crate::preset::{Lang, NAMES, defaults};

/// What signing adds to a body.
const SIGNATURE_BYTES: usize = 100;

/// An incident that says `text` wherever it can.
fn saying(text: &str) -> Event {
    let person = json!({"person_id": 1, "person_name": text, "email": text});
    let body = json!({
        "event_type": "i_ack", "event_time": 1_775_980_800_137_i64, "person": person,
        "incident": {
            "title": text, "incident_severity": text, "incident_status": text, "progress": text,
            "channel_name": text, "responders": [person, person, person], "description": text,
            "labels": {"k": text}, "detail_url": format!("https://h/{text}"), "start_time": 1_775_980_770,
            "close_time": 1_775_980_771,
        },
    });
    event(body.to_string().as_bytes(), "i_ack")
}

/// The body's shape: names and types, without texts.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), shape(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => Value::Null,
        other => other.clone(),
    }
}

/// What a robot reads as markdown; of those that get plain text, nothing.
fn interpreted(name: &str, tree: &Value) -> Option<String> {
    let text = match name {
        "dingtalk" => &tree["markdown"]["text"],
        "wecom" => &tree["markdown"]["content"],
        "slack" => return Some(seen(tree)),
        _ => return None,
    };
    text.as_str().map(str::to_owned)
}

#[test]
fn hostile_texts_stay_data() {
    let hostile = [
        "\"}],\"at\":{\"isAtAll\":true},\"x\":[{\"y\":\"",
        "a\nb\r\n\u{0}\u{1}\u{2}\u{1b}[31m\u{2028}\u{202e}c",
        "**b** _i_ ~s~ `c` [link](https://evil.example) ![i](https://evil.example/i.png)",
        "{{ push }}{% set x = 1 %}{# c #}{{ 7*7 }}",
        "@all @所有人 <@all> <at id=all></at> <at user_id=\"all\">x</at> <!channel> <!here> @here",
        "<font color=\"red\">x</font><script>alert(1)</script>&lt;at&gt;",
        "\\\" \\\\",
        "# h\n> q\n- l\n1. n\n---",
    ];
    for name in NAMES {
        for lang in LANGS {
            let template = template(name, lang);
            let (_, plain) = render(&template, &saying("plain"));
            for text in hostile {
                let (body, tree) = render(&template, &saying(text));
                assert_eq!(shape(&tree), shape(&plain), "{name}: {body}");
                if name == "ticket" {
                    assert_eq!(tree["severity"], text);
                    continue;
                }
                let shown = seen(&tree);
                let is_odd =
                    |at: char| at != '\n' && (at.is_control() || "\u{2028}\u{202e}".contains(at));
                assert!(!shown.contains(is_odd), "{name}: {shown}");
                let Some(shown) = interpreted(name, &tree) else {
                    continue;
                };
                let shown = shown.replace("https://h/", "h/");
                // Slack has no such links.
                assert!(
                    name == "slack" || !shown.contains("](https://evil"),
                    "{name}: {shown}"
                );
                for mark in [
                    "<at",
                    "<@",
                    "<!",
                    "<script",
                    "<font color=\"red",
                    "**b**",
                    "`c`",
                ] {
                    assert!(!shown.contains(mark), "{name}: {shown}");
                }
            }
        }
    }
}

#[test]
fn links_are_shown_only_when_they_lead_to_the_web() {
    for (url, is_shown) in [
        ("https://console.example.com/i/1?a=b&c=d", true),
        ("javascript:alert(1)", false),
        ("file:///etc/passwd", false),
        ("https://", false),
    ] {
        let body = json!({"incident": {"title": "t", "detail_url": url}}).to_string();
        for name in NAMES {
            let (body, _) = render(&template(name, Lang::Zh), &event(body.as_bytes(), "i_new"));
            let host = body.contains("console.example.com")
                || body.contains("alert(1)")
                || body.contains("passwd");
            assert_eq!(host, is_shown, "{name} {url}: {body}");
        }
    }
}

/// Bytes as they are sent, with room for a signature in the body.
fn assert_fits(name: &str, body: &str) -> Result<(), TestCaseError> {
    let Some(limit) = defaults(name, Lang::Zh).unwrap().get("max_bytes").cloned() else {
        return Ok(());
    };
    let limit = usize::try_from(limit.as_integer().unwrap()).unwrap();
    prop_assert!(
        body.len() + SIGNATURE_BYTES <= limit,
        "{} has {} bytes",
        name,
        body.len()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_of_any_length_fits_the_robot(
        unit in prop_oneof![
            "\\PC{1,8}", "[\"\\\\*_<>&`\\[\\]@~#|\u{0}-\u{1f}]{1,8}",
            Just("磁盘".to_owned()), Just("👩‍👩‍👧‍👦".to_owned()), Just("e\u{301}\u{302}".to_owned()),
            Just("\"".to_owned()), Just("\\".to_owned()), Just("&".to_owned()), Just("\u{7f}x".to_owned()),
        ],
        times in prop_oneof![0_usize..50, Just(3000)],
    ) {
        let event = saying(&unit.repeat(times));
        for name in NAMES {
            let (body, _) = render(&template(name, Lang::Zh), &event);
            assert_fits(name, &body)?;
        }
    }

    #[test]
    fn any_push_at_all_is_shown(title in any::<String>(), odd in prop_oneof![
        Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!("x")), Just(json!(0)),
        Just(json!(-1)), Just(json!(1.5)), Just(json!([[{}], null, 1])), Just(json!(u64::MAX)),
    ]) {
        let incident = json!({"title": title, "responders": odd, "start_time": odd, "close_time": odd,
            "created_at": odd, "description": odd, "detail_url": odd, "labels": odd, "progress": odd});
        for body in [json!({"incident": incident, "person": odd}), json!({"incident": odd, "alert": odd}), odd.clone()] {
            for kind in ["i_new", "a_new"] {
                let event = event(body.to_string().as_bytes(), kind);
                for name in NAMES {
                    let (body, _) = render(&template(name, Lang::En), &event);
                    assert_fits(name, &body)?;
                }
            }
        }
    }
}
