//! The documented file, the built-in defaults and the schema say the same.

use std::collections::BTreeSet;

use super::*;
use crate::config::shape::Shape;

const FILE: &str = include_str!("../../../config/default.toml");

/// The dotted keys of the schema that hold a value.
fn leaves(shape: Shape<'_>, around: &str, into: &mut BTreeSet<String>) {
    for key in shape.keys() {
        let dotted = format!("{around}{key}");
        let inner = shape.key(key).unwrap();
        // What is written on one line is explained there.
        if inner.keys().is_empty() || key == "retry" {
            into.insert(dotted);
        } else {
            leaves(inner, &format!("{dotted}."), into);
        }
    }
}

/// The keys of a sink of each type, under the type's name. What every sink has is explained where
/// it is met first.
fn sink_keys(any: Shape<'_>, into: &mut BTreeSet<String>) {
    let mut met = BTreeSet::new();
    for name in ["log", "http", "exec", "file", "nats", "redis", "kafka"] {
        let mut keys = BTreeSet::new();
        leaves(any.variant(name), "", &mut keys);
        let is_known = |key: &String| met.contains(key) && is_of_every(key);
        into.extend(
            keys.iter()
                .filter(|key| !is_known(key))
                .map(|key| format!("sink.{name}.{key}")),
        );
        met.append(&mut keys);
    }
}

/// Whether a sink of any type may have the key.
fn is_of_every(key: &str) -> bool {
    let every =
        "enabled filter order include_stale max_age concurrency timeout rate retry on_interrupt";
    every
        .split(' ')
        .any(|word| key == word || key.starts_with(&format!("{word}.")))
}

fn all_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for section in Shape::root().keys() {
        let shape = Shape::root().key(section).unwrap();
        match section {
            "sink" => sink_keys(shape.key("any").unwrap(), &mut keys),
            _ => leaves(shape, &format!("{section}."), &mut keys),
        }
    }
    keys
}

/// The keys the file sets, or shows in a comment as `# key = value`, each with whether a comment
/// stands right above it.
fn documented_keys() -> Vec<(String, bool)> {
    let mut section = "";
    let mut above = "";
    let mut keys = Vec::new();
    for line in FILE.lines() {
        if let Some(name) = line.trim_start_matches("# ").strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            keys.push((format!("{section}.{key}"), above.starts_with("# ")));
        }
        above = line;
    }
    keys
}

#[test]
fn the_default_file_says_what_is_built_in() {
    let loaded = Place::with_file(FILE).load().unwrap();
    assert_eq!(describe(&loaded.settings), describe(&Settings::default()),);
    let nothing = Place::new().load().unwrap();
    assert_eq!(describe(&nothing.settings), describe(&Settings::default()));
}

#[test]
fn the_default_file_has_every_key_with_a_comment() {
    let documented = documented_keys();
    let uncommented: Vec<_> = documented
        .iter()
        .filter(|(_, commented)| !commented)
        .collect();
    assert!(uncommented.is_empty(), "without a comment: {uncommented:?}");
    let documented: BTreeSet<String> = documented.into_iter().map(|(key, _)| key).collect();
    assert_eq!(documented, all_keys());
}

#[test]
fn what_the_default_file_shows_in_comments_can_be_used() {
    let secrets = FILE.replace("file:/run/secrets/", "a-secret-for-");
    let examples = secrets.lines().map(|line| match line.strip_prefix("# ") {
        Some(header) if header.starts_with("[sink.") => header,
        Some(key)
            if key
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' ')) =>
        {
            key
        }
        _ => line,
    });
    let text: Vec<&str> = examples
        .take_while(|line| !line.starts_with("[sink.nats]"))
        .collect();
    let settings = Place::with_file(&text.join("\n")).load().unwrap().settings;
    assert!(settings.admin.token.is_some());
    assert_eq!(settings.source.token.len(), 1);
    assert_eq!(settings.source.headers.len(), 1);
    let otlp = &settings.otlp;
    assert!(otlp.endpoint.is_some() && otlp.headers.len() + otlp.resource.len() == 2);
    let log = &settings.sinks[LOG_SINK].delivery;
    assert!(log.max_age.is_some() && log.filter.is_some());
    assert_eq!(settings.sinks.len(), 4, "one of each type this build has");
}

#[test]
fn the_schema_names_every_key_and_its_range() {
    let schema = schema();
    assert_eq!(schema["title"], "flashduty-receiver");
    let keys: Vec<String> = all_keys().into_iter().collect();
    assert_eq!(keys.len(), 126);
    for key in keys {
        let named = |name: &str| Shape::at("sink.any").map(|any| any.variant(name));
        let sink = key
            .strip_prefix("sink.")
            .and_then(|key| key.split_once('.'));
        let shape = match sink {
            Some((name, key)) => named(name).and_then(|sink| sink.inside(key)).unwrap(),
            None => Shape::at(&key).unwrap(),
        };
        assert!(
            shape.allowed().is_some(),
            "{key} does not say what is allowed"
        );
    }
}

#[test]
fn the_schema_takes_a_file_that_leaves_sections_out_and_no_key_that_is_unknown() {
    let schema = schema();
    assert_eq!(schema.get("required"), None);
    for place in [
        "",
        "/properties/server",
        "/properties/server/properties/tls",
        "/properties/recover",
        "/properties/sink/additionalProperties/anyOf/0",
        "/properties/sink/additionalProperties/anyOf/0/properties/retry",
    ] {
        let table = schema.pointer(place).unwrap();
        assert_eq!(table["additionalProperties"], false, "{place}: {table}");
        assert_eq!(table.get("required"), None, "{place}");
    }
    // Names that are the user's are taken, whatever they are.
    let sinks = &schema["properties"]["sink"]["additionalProperties"];
    assert!(sinks.is_object(), "{sinks}");
}
