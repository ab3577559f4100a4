//! `serde_json` is the oracle: of what is accepted, and of what stands where in it.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn accepts(text: &str) -> bool {
    let mut walk = Walk::new(text);
    walk.skip().and_then(|()| walk.end()).is_ok()
}

type Members<'a> = Vec<(String, &'a str)>;

fn members(text: &str) -> Result<Members<'_>, Malformed> {
    let mut seen = Vec::new();
    let mut walk = Walk::new(text);
    walk.members(|walk, name| {
        seen.push((name.into_owned(), walk.value()?));
        Ok(())
    })?;
    walk.end().map(|()| seen)
}

fn elements(text: &str) -> Result<Vec<(usize, &str)>, Malformed> {
    let mut seen = Vec::new();
    let mut walk = Walk::new(text);
    walk.elements(|walk, index| {
        seen.push((index, walk.value()?));
        Ok(())
    })?;
    walk.end().map(|()| seen)
}

#[test]
fn members_come_in_order_with_their_bytes() {
    let text = r#" {"a" : 1e400, "\u0061":[ {} ] ,"":"\ud800"} "#;
    let expected = [("a", "1e400"), ("a", "[ {} ]"), ("", r#""\ud800""#)];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(members(text).unwrap(), expected);
}

#[test]
fn elements_come_with_their_position() {
    let expected = [(0, "7"), (1, "[8]"), (2, "null")];
    assert_eq!(elements("[7, [8],null]").unwrap(), expected);
}

#[test]
fn a_value_that_was_entered_still_has_its_text() {
    let mut walk = Walk::new(" [1, {\"a\" :2} ] ");
    let text = walk.value_by(|walk| walk.elements(|walk, _| walk.skip()));
    assert_eq!(text, Ok("[1, {\"a\" :2} ]"));
    assert_eq!(walk.end(), Ok(()));
}

#[test]
fn another_kind_of_value_than_asked_for_is_refused() {
    for text in ["[]", "1", "\"{}\"", "null", ""] {
        assert_eq!(members(text), Err(Malformed), "{text}");
    }
    for text in ["{}", "1", "\"[]\"", "null", ""] {
        assert_eq!(elements(text), Err(Malformed), "{text}");
    }
}

#[test]
fn all_short_texts_are_accepted_exactly_when_the_oracle_accepts_them() {
    // Enough for every token, in and out of its place.
    let pieces = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0a", "0", "1", "-", ".", "e", "+", "true",
        "nul", " ", "\n", "\u{c}", "\u{1f}", "ü",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                for fourth in pieces {
                    let text = [first, second, third, fourth].concat();
                    for text in [
                        text.clone(),
                        format!("{{\"\":{text}"),
                        format!("[0,{text}]"),
                    ] {
                        assert_eq!(accepts(&text), check(&text).is_ok(), "{text:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_string_may_end_anywhere_and_hold_what_it_may_anywhere() {
    for len in 0..40 {
        for special in [
            "",
            "\\\"",
            "\\ud800",
            "\\u00",
            "\\x",
            "\0",
            "\u{1f}",
            "\u{7f}",
            "é",
            "\u{10ffff}",
        ] {
            for at in 0..=len {
                let text = format!(
                    "\"{}{special}{}\"",
                    "!".repeat(at),
                    "\u{80}".repeat(len - at)
                );
                assert_eq!(accepts(&text), check(&text).is_ok(), "{text:?}");
            }
        }
    }
}

#[test]
fn nesting_a_million_deep_is_walked_without_recursion() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(members(&deep).unwrap()[0].1.len(), 2 << 20);
    assert!(!accepts(&"[".repeat(1 << 20)));
    assert!(!accepts(&"{\"\":".repeat(1 << 20)));
}

#[test]
fn a_string_is_borrowed_unless_it_holds_an_escape() {
    assert!(matches!(unquote("\"plain ü\""), Cow::Borrowed("plain ü")));
    assert_eq!(unquote(r#""a\n\u0000\ud83d\ude00""#), "a\n\0\u{1f600}");
    assert!(unquote(r#""half \ud83d.""#).starts_with("half \u{fffd}"));
}

/// JSON text, or what one or two slips of the pen made of it.
fn nearly_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        string(),
    ];
    let value = scalar.prop_recursive(4, 30, 5, |inner| {
        let list = proptest::collection::vec((space(), inner.clone()), 0..5);
        let object = proptest::collection::vec((space(), string(), space(), inner), 0..5);
        prop_oneof![
            list.prop_map(|list| {
                let list: Vec<_> = list
                    .into_iter()
                    .map(|(space, value)| space + &value)
                    .collect();
                format!("[{}]", list.join(","))
            }),
            object.prop_map(|object| {
                let member = |(a, name, b, value)| format!("{a}{name}{b}:{a}{value}{b}");
                let object: Vec<String> = object.into_iter().map(member).collect();
                format!("{{{}}}", object.join(","))
            }),
        ]
    });
    let slip = (
        any::<prop::sample::Index>(),
        any::<bool>(),
        "[\\[\\]{}:,\"\\\\0-9a-f.eE+\\-\n ü]?",
    );
    (value, proptest::collection::vec(slip, 0..3)).prop_map(|(text, slips)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, instead, piece) in slips {
            let at = at.index(chars.len() + 1);
            let end = (at + usize::from(instead)).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\n\r]{0,2}"
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-c ~\u{80}\u{800}\u{10000}]{0,12}",
        "\\\\[\"\\\\/bfnrt]",
        "\\\\u[0-9a-fA-F]{4}",
        "\\\\u(d83d\\\\ude00|D800)",
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_nearly_json_is_accepted_exactly_when_the_oracle_accepts_it(text in nearly_json()) {
        prop_assert_eq!(accepts(&text), check(&text).is_ok());
    }

    #[test]
    fn an_object_is_walked_whole_or_has_a_fault(text in nearly_json()) {
        match members(&text) {
            Ok(seen) => {
                check(&text).unwrap();
                for (_, value) in seen {
                    prop_assert_eq!(serde_json::from_str::<&RawValue>(value).unwrap().get(), value);
                }
            }
            Err(Malformed) => {
                let fault = fault_of_object(&text);
                prop_assert!(check(&text).is_err() || kind(&text) != Kind::Object, "{}", fault);
                prop_assert!(fault.line() > 0, "{}", fault);
            }
        }
    }
}
