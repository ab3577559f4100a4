//! The examples of configurations: taken by the receiver without a complaint, explained line by line, and
//! marked by no editor that goes by the schema.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::aloud::say_aloud;
use crate::documents::told;
use crate::promises::{checked, configurations, run};
use crate::tidy::{assert_none, files, read};

/// What the schema says of a configuration, by a validator that is none of ours.
const VALIDATOR: &str = "
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

/// One mistake each.
const WRONG: [&str; 8] = [
    "[servr]\nlisten = \"0.0.0.0:80\"",
    "[server]\nlisten = 8080",
    "[server]\nlisten_on = \"0.0.0.0:80\"",
    "[server]\nmax_connections = \"many\"",
    "[log]\nformat = \"xml\"",
    "[otlp]\nsample_ratio = \"all\"",
    "[sink.log]\ncolour = \"red\"",
    "[sink.mail]\ntype = \"smtp\"",
];

/// What is invalid in these configurations, by the schema that the binary prints.
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
        Command::new("python3").args(["-c", VALIDATOR]),
        &given.to_string(),
    );
    let errors = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{errors}");
    let said = String::from_utf8(looked.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

/// All that is shown, and the defaults.
fn right() -> Vec<(String, String)> {
    let mut right = configurations();
    let default = "config/default.toml".to_owned();
    right.push((default.clone(), read(&default)));
    right
}

#[test]
fn by_the_schema_whatever_is_shown_is_valid_and_each_mistake_is_not() {
    assert_none(&marked(&right()), "what is right is not marked");
    let wrong = WRONG.map(|text| (text.replace('\n', " "), text.to_owned()));
    let marks = marked(&wrong);
    for (at, _) in &wrong {
        let is_marked = marks.iter().any(|mark| mark.starts_with(at.as_str()));
        assert!(is_marked, "{at}: {marks:#?}");
    }
}

/// The numbers of those of `texts` in which taplo, which editors are built on, marks something, and all it
/// says of them. Each names its schema as the documents say it. `None` where taplo is not installed.
fn linted(texts: &[&str]) -> Option<(Vec<usize>, String)> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let taplo = target.join("editor-tools/node_modules/@taplo/cli/dist/cli.js");
    if !taplo.exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&["schema"], folder.path());
    std::fs::write(
        folder.path().join("flashduty-receiver.schema.json"),
        printed.stdout,
    )
    .unwrap();
    let mut lint = Command::new("node");
    lint.arg(taplo).args(["lint", "--colors", "never"]);
    for (number, text) in texts.iter().enumerate() {
        let file = format!("{number}.toml");
        let text = text.trim_start_matches("#:schema ./flashduty-receiver.schema.json\n");
        let text = format!("#:schema ./flashduty-receiver.schema.json\n{text}\n");
        std::fs::write(folder.path().join(&file), text).unwrap();
        lint.arg(file);
    }
    let looked = lint.current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(looked.stderr).unwrap();
    let total = format!("found files total={}", texts.len());
    assert!(said.contains(&total), "{said}");
    let marked = |number: &usize| said.contains(&format!("/{number}.toml:"));
    let marked: Vec<usize> = (0..texts.len()).filter(marked).collect();
    assert_eq!(looked.status.success(), marked.is_empty(), "{said}");
    Some((marked, said))
}

#[test]
fn an_editor_marks_nothing_that_is_right_and_each_mistake() {
    let right = right();
    let texts: Vec<&str> = right.iter().map(|(_, text)| text.as_str()).collect();
    let Some((marked, said)) = linted(&texts) else {
        say_aloud("taplo is not here, so no editor looked at what the schema marks");
        return;
    };
    let at: Vec<&str> = marked
        .iter()
        .map(|number| right[*number].0.as_str())
        .collect();
    assert!(at.is_empty(), "{at:?}: {said}");
    let (marked, said) = linted(&WRONG).unwrap();
    assert_eq!(marked, Vec::from_iter(0..WRONG.len()), "{said}");
}
