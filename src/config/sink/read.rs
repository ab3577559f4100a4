//! From the table `sink` to typed sinks, every wrong key reported.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::super::problem::Report;
use super::super::secret::Resolver;
use super::super::sections::{self, section};
use super::{Delivery, Destination, Document, Identity, OnInterrupt, Sink, kind};

/// Longest name of a sink.
const NAME_CHARS: usize = 64;

/// The largest file a template or certificates may stand in.
const MAX_DOCUMENT: u64 = 1 << 20;

/// Reads all sinks. When `report` has problems afterwards they must not be used.
pub(in crate::config) fn sinks(value: Value, report: &mut Report<'_>) -> BTreeMap<String, Sink> {
    let Value::Table(tables) = value else {
        report.add("sink", "is no table");
        return BTreeMap::new();
    };
    let mut sinks = BTreeMap::new();
    for (name, value) in tables {
        let key = format!("sink.{name}");
        let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_');
        if name.is_empty() || name.len() > NAME_CHARS || !name.chars().all(fits) {
            let allowed = format!("a name of 1 to {NAME_CHARS} of a-z, 0-9 and '_'");
            report.add_allowing(&key, "is no name for a sink", Some(allowed));
            continue;
        }
        if let Some(sink) = sink(&key, value, report) {
            sinks.insert(name, sink);
        }
    }
    sinks
}

fn sink(key: &str, value: Value, report: &mut Report<'_>) -> Option<Sink> {
    let Value::Table(mut table) = value else {
        report.add(key, "is no table");
        return None;
    };
    let identity = Identity::default().with(table.to_string().as_bytes());
    let name = type_of(key, table.remove("type"), report)?;
    let (every, own) = split(key, name, table, report);
    let mut delivery: Delivery = section(key, every.into(), report);
    let own = Value::from(own);
    let to = match name {
        "http" => Destination::Http(Box::new(section(key, own, report))),
        "exec" => Destination::Exec(section(key, own, report)),
        "file" => Destination::File(section(key, own, report)),
        "nats" => Destination::Nats(section(key, own, report)),
        "redis" => Destination::Redis(section(key, own, report)),
        "kafka" => Destination::Kafka(section(key, own, report)),
        _ => Destination::Log(section(key, own, report)),
    };
    fill(&mut delivery, &to);
    Some(Sink {
        to,
        delivery,
        identity,
    })
}

fn type_of(key: &str, value: Option<Value>, report: &mut Report<'_>) -> Option<&'static str> {
    let key = format!("{key}.type");
    let written = match &value {
        Some(Value::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let known = kind::NAMES.into_iter().find(|name| written == Some(*name));
    if known.is_none() {
        let mut what = match value {
            Some(_) => "is no type of sink".to_owned(),
            None => "is missing".to_owned(),
        };
        what.push_str(&sections::did_you_mean(
            written.unwrap_or_default(),
            &kind::NAMES,
        ));
        report.add_allowing(&key, what, Some(kind::NAMES.join(", ")));
    }
    known
}

/// The keys of every sink and those of the type, without those that are neither.
fn split(key: &str, name: &str, table: Table, report: &mut Report<'_>) -> (Table, Table) {
    let (mut every, mut own) = (Table::new(), Table::new());
    let shape = kind::shape(name);
    for (word, value) in table {
        if shape.is_some_and(|shape| shape.key(&word).is_some()) {
            let share = match kind::is_of_every(&word) {
                true => &mut every,
                false => &mut own,
            };
            share.insert(word, value);
            continue;
        }
        let owners = kind::owners(&word);
        let known = shape.map(|shape| shape.keys()).unwrap_or_default();
        let what = match owners.as_slice() {
            [] => format!("is an unknown key{}", sections::did_you_mean(&word, &known)),
            owners => format!(
                "is no key of a sink of type {name}, only of {}",
                owners.join(", ")
            ),
        };
        report.add_allowing(&format!("{key}.{word}"), what, Some(known.join(", ")));
    }
    (every, own)
}

/// Defaults that depend on the type.
fn fill(delivery: &mut Delivery, to: &Destination) {
    use std::time::Duration;
    let (concurrency, timeout) = match to {
        Destination::Http(_) => (Some(8), Some(10)),
        Destination::Exec(_) => (Some(4), Some(30)),
        Destination::Log(_) | Destination::File(_) => (None, None),
        Destination::Nats(_) | Destination::Redis(_) | Destination::Kafka(_) => (None, Some(10)),
    };
    delivery.concurrency = delivery.concurrency.or(concurrency);
    delivery.timeout = delivery.timeout.or(timeout.map(Duration::from_secs));
    // A command that may have run must not run again by itself.
    let interrupted = match to {
        Destination::Exec(_) => OnInterrupt::Dead,
        _ => OnInterrupt::Retry,
    };
    delivery.on_interrupt.get_or_insert(interrupted);
}

/// Reads what stands in files of its own, and the variables that commands are given.
pub(in crate::config) fn finish(
    sinks: &mut BTreeMap<String, Sink>,
    resolver: &mut Resolver<'_>,
    report: &mut Report<'_>,
) {
    for (name, sink) in sinks {
        let mut identity = sink.identity;
        for (key, document) in documents(&mut sink.to) {
            let Some(document) = document else { continue };
            let key = format!("sink.{name}.{key}");
            if report.is_of_preset(&key) {
                document.came_from_preset();
            }
            if let Some(path) = document.path() {
                match resolver.read_text(path, MAX_DOCUMENT) {
                    Ok(text) => document.fill(text),
                    Err(what) => report.add(&key, what),
                }
            }
            identity = identity.with(document.text().as_bytes());
        }
        if let Destination::Exec(exec) = &mut sink.to {
            exec.read_values(resolver.environment);
        }
        sink.identity = identity;
    }
}

fn documents(to: &mut Destination) -> Vec<(&'static str, &mut Option<Document>)> {
    match to {
        Destination::Http(http) => vec![
            ("template", &mut http.template),
            ("ca_file", &mut http.ca_file),
        ],
        Destination::Nats(nats) => vec![
            ("credentials_file", &mut nats.credentials_file),
            ("ca_file", &mut nats.ca_file),
        ],
        Destination::Redis(redis) => vec![("ca_file", &mut redis.ca_file)],
        Destination::Log(_)
        | Destination::Exec(_)
        | Destination::File(_)
        | Destination::Kafka(_) => Vec::new(),
    }
}
