//! Every preset with every event.

mod hostile;

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value};

use super::*;
use crate::event::{Event, Id, Subject};
use crate::template::{Context, Template, UrlPath};
use crate::words::Words;

/// Members whose text is seen, colours among them.
const SEEN: [&str; 6] = ["content", "text", "title", "url", "template", "color"];

const LANGS: [Lang; 2] = [Lang::Zh, Lang::En];

fn template(name: &str, lang: Lang) -> Template {
    let table = defaults(name, lang).unwrap();
    let source = table["template"].as_str().unwrap();
    Template::compile(&format!("{name}.json.j2"), source).unwrap()
}

fn event(body: &[u8], event_type: &str) -> Event {
    Event {
        event_type: Id::new(event_type),
        event_time: Some(1_775_980_800_137),
        subject: Subject::parse("incident:69db5a40c1f04e7a9d2b8c11"),
        ..Event::sample(body.to_owned())
    }
}

/// The body, and what it is once read.
fn render(template: &Template, event: &Event) -> (String, Value) {
    let (words, nothing) = (Words::new(event), Map::new());
    let body = template
        .render(&Context::new(words.tree(), &nothing))
        .unwrap_or_else(|error| panic!("{error}"));
    let tree = serde_json::from_str(&body).unwrap();
    (body, tree)
}

/// Names and events of all samples, in order.
fn samples() -> Vec<(String, Event)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let mut found: Vec<(String, Event)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let body = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&body);
            let tree: Option<Value> =
                serde_json::from_str(text.trim_start_matches('\u{feff}')).ok();
            let kind = tree.as_ref().and_then(|tree| tree["event_type"].as_str());
            let event = event(&body, kind.unwrap_or("i_ack"));
            (name, event)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 30);
    found
}

/// What a reader sees of a body, one text behind the other.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if SEEN.contains(&name.as_str()) => out.push(text.clone()),
                    Value::String(_) => {}
                    other => texts(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        _ => {}
    }
}

fn seen(tree: &Value) -> String {
    let mut all = Vec::new();
    texts(tree, &mut all);
    all.join(" | ")
}

#[test]
fn every_preset_shows_every_event() {
    // Lark's is Feishu's, as another test says.
    for name in NAMES.into_iter().filter(|name| *name != "lark") {
        let mut shown = String::new();
        let langs: &[Lang] = if name == "ticket" {
            &[Lang::En]
        } else {
            &LANGS
        };
        for lang in langs {
            let template = template(name, *lang);
            for (sample, event) in samples() {
                let (_, tree) = render(&template, &event);
                // One as it is sent, the others as they are read.
                let text = match (name, sample.as_str()) {
                    ("ticket", _) => tree.to_string(),
                    (_, "i_ack") => serde_json::to_string_pretty(&tree).unwrap(),
                    _ => seen(&tree),
                };
                writeln!(shown, "== {lang:?} {sample}\n{text}").unwrap();
            }
        }
        insta::assert_snapshot!(name, shown);
    }
}

#[test]
fn a_time_says_its_offset_where_readers_may_expect_another() {
    let (words, nothing) = (event(br#"{"event_type":"i_ack"}"#, "i_ack"), Map::new());
    let words = Words::new(&words);
    let shown = |lang, timezone| {
        let mut context = Context::new(words.tree(), &nothing);
        context.timezone = timezone;
        template("wecom", lang).render(&context).unwrap()
    };
    for (lang, timezone, moment) in [
        (Lang::En, "Asia/Shanghai", ">2026-04-12 16:00:00 +08:00<"),
        (Lang::En, "America/New_York", ">2026-04-12 04:00:00 -04:00<"),
        (Lang::En, "UTC", ">2026-04-12 08:00:00 +00:00<"),
        (Lang::Zh, "Asia/Shanghai", ">2026-04-12 16:00:00<"),
        (Lang::Zh, "Europe/Berlin", ">2026-04-12 10:00:00 +02:00<"),
    ] {
        let text = shown(lang, timezone);
        assert!(text.contains(moment), "{lang:?} {timezone}: {text}");
    }
}

#[test]
fn what_is_printed_is_what_is_used() {
    for name in NAMES {
        for lang in LANGS {
            let printed: Table = print(name, lang).unwrap().parse().unwrap();
            assert_eq!(
                printed["sink"][name].as_table(),
                defaults(name, lang).as_ref()
            );
        }
    }
    assert_eq!(defaults("irc", Lang::En), None);
    assert_eq!(print("irc", Lang::En), None);
    assert_eq!(defaults("lark", Lang::En), defaults("feishu", Lang::En));
    insta::assert_snapshot!("printed", print("wecom", Lang::En).unwrap());
}

#[test]
fn every_template_uses_only_words_there_are() {
    for name in NAMES {
        for lang in LANGS {
            let template = template(name, lang);
            assert!(
                template.unknown_names().is_empty(),
                "{name}: {:?}",
                template.unknown_names()
            );
        }
    }
}

#[test]
fn chats_get_the_state_and_nothing_old() {
    for name in NAMES.into_iter().filter(|name| *name != "ticket") {
        let table = defaults(name, Lang::Zh).unwrap();
        assert_eq!(table["order"].as_str(), Some("latest"), "{name}");
        assert_eq!(table["max_age"].as_str(), Some("30m"), "{name}");
        assert!(
            table["rate"]
                .as_array()
                .unwrap()
                .iter()
                .all(toml::Value::is_str),
            "{name}"
        );
    }
}

#[test]
fn a_ticket_is_created_and_then_updated() {
    let table = defaults("ticket", Lang::Zh).unwrap();
    let method = Template::compile("method", table["method"].as_str().unwrap()).unwrap();
    let path = UrlPath::compile("path", table["path"].as_str().unwrap()).unwrap();
    assert!(method.references("remembered") && path.template().references("remembered"));
    let (words, mut remembered) = (Map::new(), Map::new());
    let sent = |remembered: &Map<String, Value>| {
        let context = Context::new(&words, remembered);
        (
            method.render(&context).unwrap(),
            path.render(&context).unwrap(),
        )
    };
    assert_eq!(sent(&remembered), ("POST".to_owned(), String::new()));
    remembered.insert("ticket".to_owned(), "OPS-17/../..".into());
    assert_eq!(
        sent(&remembered),
        ("PUT".to_owned(), "/OPS-17%2F..%2F..".to_owned())
    );
}
