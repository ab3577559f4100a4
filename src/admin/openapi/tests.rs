//! The document against the router, and against itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::document;
use crate::admin::tests::{Asked, request};

type Operation = (String, String, Value);

/// Every operation by path and method.
fn operations() -> Vec<Operation> {
    let document = document();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            all.push((path.clone(), method.clone(), told.clone()));
        }
    }
    assert!(all.len() > 25, "{}", all.len());
    all
}

/// The path with something that is there in the place of its names.
fn filled(path: &str) -> String {
    path.replace("{seq}", "1")
        .replace("{id}", "7")
        .replace("{subject}", "incident:664af0")
}

async fn ask(method: &str, target: &str) -> (http::response::Parts, Value) {
    let (parts, body) = Asked::default().send(request(method, target)).await;
    (parts, serde_json::from_slice(&body).unwrap_or_default())
}

/// The paths that a source routes.
fn paths_in(text: &str) -> impl Iterator<Item = &str> {
    let routes = text.split(".route(").skip(1);
    routes.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
}

/// What is routed below `/api/v1` by the sources.
fn routed(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["tests", "console"].contains(&name) {
                routed(&path, found);
            }
        } else if name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(paths_in(&text).map(|path| format!("/api/v1{path}")));
        }
    }
}

#[test]
fn every_path_of_the_api_is_described() {
    let mut wanted = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
    routed(&folder, &mut wanted);
    wanted.remove("/api/v1/metrics");
    let told = operations().into_iter().map(|(path, ..)| path);
    let told: BTreeSet<_> = told.filter(|path| path.starts_with("/api/")).collect();
    assert_eq!(told, wanted);
}

#[test]
fn the_way_in_and_out_is_described_and_the_files_of_the_console_are_not() {
    let mut wanted: BTreeSet<_> = paths_in(include_str!("../console/mod.rs")).collect();
    assert!(wanted.remove("/") && wanted.remove("/console/{name}"));
    let operations = operations();
    let told = operations.iter().map(|(path, ..)| path.as_str());
    let told: BTreeSet<_> = told.filter(|path| !path.starts_with("/api/")).collect();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn every_method_of_a_path_is_described_and_no_other() {
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let (parts, _) = ask("DELETE", &filled(path)).await;
        assert_eq!(parts.status, 405, "{path}");
        let allowed = parts.headers["allow"].to_str().unwrap();
        let taken: BTreeSet<_> = allowed
            .split(',')
            .map(|method| method.trim().to_ascii_lowercase())
            .filter(|method| method != "head")
            .collect();
        let told: BTreeSet<_> = methods.as_object().unwrap().keys().cloned().collect();
        assert_eq!(told, taken, "{path}");
    }
}

#[tokio::test]
async fn every_parameter_is_described_and_no_other() {
    for (path, method, told) in operations() {
        let parameters = told["parameters"].as_array().unwrap();
        let told: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let target = format!("{}?unheard-of=1", filled(&path));
        let (_, problem) = ask(&method.to_ascii_uppercase(), &target).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        let allowed =
            match detail.split_once("there is no parameter \"unheard-of\" here; allowed: ") {
                Some((_, "none")) | None => BTreeSet::new(),
                Some((_, names)) => names.split(", ").map(str::to_owned).collect(),
            };
        assert_eq!(told, allowed, "{method} {path}: {detail}");
        for parameter in parameters {
            let description = parameter["description"].as_str().unwrap();
            assert_ne!(description, "As it is named.", "{path}: {parameter}");
        }
    }
}

#[tokio::test]
async fn the_list_at_the_front_names_what_is_described() {
    let (_, list) = Asked::default().send(request("GET", "/")).await;
    let list = String::from_utf8(list).unwrap();
    for (path, method, _) in operations() {
        let method = method.to_ascii_uppercase();
        // Several of one kind share a line.
        let named = list.lines().any(|line| {
            let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
            words.next() == Some(&*method) && words.any(|word| word == path)
        });
        assert!(named || path == "/login", "{method} {path}");
    }
}

#[test]
fn what_is_referred_to_is_there() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(at)) = fields.get("$ref") {
                    found.insert(at.clone());
                }
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 30, "{found:?}");
    for at in found {
        let pointer = at.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{at}");
    }
}

#[test]
fn names_of_operations_are_told_apart() {
    let all = operations();
    let names: BTreeSet<_> = all
        .iter()
        .map(|(.., told)| told["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn a_row_is_described_as_it_is_written() {
    let document = document();
    let row = &document["components"]["schemas"]["EventRow"];
    let required = row["required"].as_array().unwrap().iter();
    let required: Vec<_> = required.map(|name| name.as_str().unwrap()).collect();
    for (name, is_required) in [("seq", true), ("received_at", true), ("event_id", false)] {
        assert_eq!(required.contains(&name), is_required, "{name}");
    }
    // Left out where there is none, and never null.
    assert_eq!(
        row["properties"]["event_id"]["type"],
        serde_json::json!(["string"])
    );
    assert_eq!(row["properties"]["received_at"]["format"], "date-time");
    // Null where there is none, and never left out.
    let offered = &document["components"]["schemas"]["Reoffered"];
    assert!(
        offered["required"]
            .as_array()
            .unwrap()
            .contains(&"event_id".into())
    );
    let kinds = serde_json::json!(["string", "null"]);
    assert_eq!(offered["properties"]["event_id"]["type"], kinds);
    assert!(offered["properties"].get("stays").is_none());
    let limit = &document["components"]["schemas"]["ChangeRequest"]["properties"]["limit"];
    assert_eq!(limit["minimum"].as_f64(), Some(1.0));
    assert_eq!(limit["maximum"].as_f64(), Some(500.0));
}

#[test]
fn what_is_told_beside_a_row_is_described_beside_its_fields() {
    let document = document();
    let schema = |name: &str| &document["components"]["schemas"][name];
    for (name, fields) in [
        ("EventRow", ["title", "severity"]),
        ("Searched", ["items", "searched_to"]),
        ("SubjectShown", ["last_seq", "last_event_type"]),
        ("LastRun", ["by_hand", "records"]),
        ("RecoveryStatus", ["reached", "last_run"]),
        ("ReplicaStatus", ["seen_at", "silent_since"]),
        ("Bucket", ["pushes", "sinks"]),
        ("Pause", ["since", "until"]),
    ] {
        for field in fields {
            let told = &schema(name)["properties"][field];
            assert!(told.is_object(), "{name}: {field}");
        }
    }
    let reasons = schema("PauseReason").to_string();
    assert!(reasons.contains(r#""const":"parked""#), "{reasons}");
}
