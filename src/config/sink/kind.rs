//! The types of sinks: which keys each has, as the schema says it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::super::shape::Shape;
use super::{Delivery, ExecSink, FileSink, HttpSink, KafkaSink, LogSink, NatsSink, RedisSink};

/// The words for the types, as in the key `type`.
pub(super) const NAMES: [&str; 7] = ["log", "http", "exec", "file", "nats", "redis", "kafka"];

/// Types that write one after the other, or whose client does.
const IN_TURN: [&str; 5] = ["log", "file", "nats", "redis", "kafka"];

/// Types whose writes take as long as they take.
const UNTIMED: [&str; 2] = ["log", "file"];

/// Whether a sink of `name` has `key`, one of those every sink has.
fn has(name: &str, key: &str) -> bool {
    match key {
        "concurrency" => !IN_TURN.contains(&name),
        "timeout" => !UNTIMED.contains(&name),
        _ => true,
    }
}

/// The type's schema has its own keys, those of every sink, and `type`.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let every = properties(Delivery::json_schema(generator));
    let mut variants = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        let own = match name {
            "http" => HttpSink::json_schema(generator),
            "exec" => ExecSink::json_schema(generator),
            "file" => FileSink::json_schema(generator),
            "nats" => NatsSink::json_schema(generator),
            "redis" => RedisSink::json_schema(generator),
            "kafka" => KafkaSink::json_schema(generator),
            _ => LogSink::json_schema(generator),
        };
        let mut keys = properties(own);
        keys.extend(every.clone().into_iter().filter(|(key, _)| has(name, key)));
        keys.insert("type".to_owned(), serde_json::json!({ "const": name }));
        variants.push(serde_json::json!({
            "type": "object",
            "properties": keys,
            "additionalProperties": false,
        }));
    }
    json_schema!({ "anyOf": variants })
}

fn properties(mut schema: Schema) -> Map<String, Value> {
    match schema.remove("properties") {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

/// What stands in the table of a sink of type `name`.
pub(super) fn shape(name: &str) -> Option<Shape<'static>> {
    Shape::at("sink.any").map(|any| any.variant(name))
}

/// The types that have `key`.
pub(super) fn owners(key: &str) -> Vec<&'static str> {
    let owns = |name: &&str| shape(name).is_some_and(|shape| shape.key(key).is_some());
    NAMES.into_iter().filter(owns).collect()
}

/// Whether `key` is one that every sink has, though perhaps not one of every type.
pub(super) fn is_of_every(key: &str) -> bool {
    matches!(
        key,
        "enabled"
            | "filter"
            | "order"
            | "include_stale"
            | "max_age"
            | "concurrency"
            | "timeout"
            | "rate"
            | "retry"
            | "on_interrupt"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_by_exactly_one_of_the_two_structs() {
        let mut generator = SchemaGenerator::default();
        for key in properties(Delivery::json_schema(&mut generator)).keys() {
            assert!(is_of_every(key), "{key}");
        }
        for name in NAMES {
            assert!(shape(name).unwrap().key("type").is_some());
            assert_eq!(
                shape(name).unwrap().key("concurrency").is_some(),
                has(name, "concurrency")
            );
        }
        assert_eq!(owners("url"), ["http", "nats", "redis"]);
    }

    /// A variable is read before it is known which type it is for.
    #[test]
    fn keys_of_one_name_are_written_alike_in_all_types() {
        for name in NAMES {
            let own = shape(name).unwrap();
            for key in own.keys() {
                for other in owners(key) {
                    let (a, b) = (
                        own.key(key).unwrap(),
                        shape(other).unwrap().key(key).unwrap(),
                    );
                    assert_eq!(
                        (a.is_list(), a.is_integer(), a.is_boolean(), a.is_table()),
                        (b.is_list(), b.is_integer(), b.is_boolean(), b.is_table()),
                        "{name} and {other}: {key}"
                    );
                }
            }
        }
    }
}
