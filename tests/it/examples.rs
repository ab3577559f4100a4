//! The examples of configurations: taken by the receiver without a complaint, explained line by line, and
//! marked by no editor that goes by the schema.

use std::process::Command;

use serde_json::{Value, json};

use crate::documents::told;
use crate::promises::{checked, configurations, run};
use crate::tidy::{assert_none, files, read};

/// What an editor does with a schema, by a validator that is none of ours.
const EDITOR: &str = "
import sys, json, jsonschema
given = json.load(sys.stdin)
kind = jsonschema.Draft202012Validator
kind.check_schema(given['schema'])
for name, table in given['files']:
    for error in kind(given['schema']).iter_errors(table):
        print(name, error.json_path, error.message[:300])
";

#[test]
fn examples_are_taken_without_a_warning_and_explain_each_of_their_lines() {
    let paths = files("config/examples", ".toml");
    assert!(paths.len() > 2, "{paths:?}");
    let mut offenders = Vec::new();
    for path in paths {
        let text = read(&path);
        if !text.starts_with("#:schema ./flashduty-receiver.schema.json\n") {
            offenders.push(format!("{path} does not say its schema to editors"));
        }
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [before, line] = pair else { continue };
            let says_something = !line.is_empty() && !line.starts_with('#');
            if says_something && !before.starts_with("# ") {
                offenders.push(format!("{path} does not explain {line}"));
            }
        }
        let output = checked(&text);
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("warning") {
            offenders.push(format!("{path}: {said}"));
        }
    }
    assert_none(&offenders, "an example can be used and understood");
}

/// What an editor marks in these configurations, by the schema that the binary prints.
fn marked(configurations: &[(String, String)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&["schema"], folder.path());
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let files: Vec<(&str, toml::Table)> = configurations
        .iter()
        .map(|(at, text)| (at.as_str(), text.parse().unwrap()))
        .collect();
    let given = json!({"schema": schema, "files": files});
    let looked = told(
        Command::new("python3").args(["-c", EDITOR]),
        &given.to_string(),
    );
    let errors = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{errors}");
    let said = String::from_utf8(looked.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn an_editor_marks_nothing_that_is_right_by_the_schema_and_what_is_wrong() {
    let mut right = configurations();
    let default = "config/default.toml".to_owned();
    right.push((default.clone(), read(&default)));
    assert_none(&marked(&right), "what is right is not marked");

    let wrong = [
        "[servr]\nlisten = \"0.0.0.0:80\"",
        "[server]\nlisten = 8080",
        "[server]\nlisten_on = \"0.0.0.0:80\"",
        "[server]\nmax_connections = \"many\"",
        "[log]\nformat = \"xml\"",
        "[otlp]\nsample_ratio = \"all\"",
        "[sink.log]\ncolour = \"red\"",
        "[sink.mail]\ntype = \"smtp\"",
    ];
    let wrong = wrong.map(|text| (text.replace('\n', " "), text.to_owned()));
    let marks = marked(&wrong);
    for (at, _) in &wrong {
        let is_marked = marks.iter().any(|mark| mark.starts_with(at.as_str()));
        assert!(is_marked, "{at}: {marks:#?}");
    }
}
