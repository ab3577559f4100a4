//! The documents can be followed: commands, scripts and data are read as whoever follows them has them
//! read, and what is named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::markdown::{anchors, links, sections, words};
use crate::promises::default_keys;
use crate::tidy::{ROOT, assert_none, documents, files, read};

/// Where commands begin on a page, besides at a line's beginning.
const BEFORE: [&str; 6] = ["\n", "`", "$ ", "-- ", "receiver ", "("];
/// Where the shell takes over from a command's arguments.
const BEHIND: [char; 8] = ['`', '\n', '|', '&', '>', '<', ';', ')'];

/// Runs `command` with `input` on its standard input.
pub(crate) fn told(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Each block of the documents in one of `languages`, with where it stands.
pub(crate) fn shown(languages: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in documents() {
        for section in sections(&read(&path)) {
            for block in section.blocks {
                if languages.contains(&block.language.as_str()) {
                    found.push((format!("{path}, {}", section.heading), block.text));
                }
            }
        }
    }
    found
}

/// What is typed in a block of a terminal: the lines behind a prompt.
fn typed(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn scripts_are_such_as_the_shell_reads() {
    let mut scripts = shown(&["sh", "bash"]);
    let terminals = shown(&["console"]);
    scripts.extend(terminals.into_iter().map(|(at, text)| (at, typed(&text))));
    assert!(scripts.len() > 30, "{}", scripts.len());
    let mut offenders = Vec::new();
    for (at, script) in scripts {
        let said = told(Command::new("bash").arg("-n"), &script);
        if !said.status.success() || !said.stderr.is_empty() {
            let errors = String::from_utf8_lossy(&said.stderr);
            offenders.push(format!("{at}: {errors}\n{script}"));
        }
    }
    assert_none(&offenders, "bash can read what is shown for it");
}

/// What another test reads of the documents, by the word behind the fence.
const READ: [&str; 6] = ["sh", "bash", "console", "toml", "json", "yaml"];
/// What none does, with how many of it: drawings and what was printed, SQL for the server's owner, and what
/// Grafana and SLS are asked, of which neither is at hand.
const LOOKED_AT: [(&str, &str, usize); 6] = [
    ("ARCHITECTURE.md", "", 1),
    ("README.md", "", 2),
    ("README.zh-CN.md", "", 2),
    ("deploy/README.md", "sql", 1),
    ("deploy/log/README.md", "logql", 1),
    ("deploy/log/README.md", "", 1),
];

#[test]
fn no_block_is_in_a_language_that_no_test_reads() {
    let mut offenders = Vec::new();
    for path in documents() {
        let blocks = sections(&read(&path))
            .into_iter()
            .flat_map(|section| section.blocks);
        let mut others = BTreeMap::<String, usize>::new();
        for block in blocks.filter(|block| !READ.contains(&block.language.as_str())) {
            *others.entry(block.language).or_default() += 1;
        }
        let is_runbook = path.starts_with("docs/runbooks/");
        others.retain(|language, count| {
            let known = (path.as_str(), language.as_str(), *count);
            let is_query = is_runbook && language == "promql";
            !is_query && !LOOKED_AT.contains(&known)
        });
        if !others.is_empty() {
            offenders.push(format!("{path}: {others:?}"));
        }
    }
    assert_none(
        &offenders,
        "each block is read by a test, or known to be read by nobody",
    );
}

/// The arguments of each of the receiver's commands in a text, with something in place of `IP` and `ID`.
fn commands(text: &str) -> Vec<String> {
    let name = "flashduty-receiver ";
    let one_line = text.replace("\\\n", " ");
    let places = one_line.match_indices(name);
    places
        .map(|(at, _)| one_line.split_at(at))
        .filter(|(before, _)| BEFORE.iter().any(|end| before.ends_with(*end)))
        .filter_map(|(_, here)| here.strip_prefix(name))
        .filter_map(|rest| rest.split(BEHIND).next()?.split(" #").next())
        .map(|arguments| {
            let arguments = arguments.replace(" IP", " 192.0.2.1");
            arguments.replace(" ID", " 1")
        })
        .collect()
}

/// Holds the commands that `paths` show, which are `more` than so many, against what the binary takes.
pub(crate) fn commands_are_taken(paths: Vec<String>, more: usize) {
    let folder = tempfile::tempdir().unwrap();
    let shown: BTreeSet<(String, String)> = paths
        .into_iter()
        .flat_map(|path| {
            let commands = commands(&read(&path));
            commands
                .into_iter()
                .map(move |command| (path.clone(), command))
        })
        .collect();
    assert!(shown.len() > more, "{}", shown.len());
    let mut offenders = Vec::new();
    for (path, arguments) in shown {
        let output = Command::new("sh")
            .args(["-c", &format!("\"$0\" {arguments} --help")])
            .arg(env!("CARGO_BIN_EXE_flashduty-receiver"))
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            offenders.push(format!("{path}: {arguments}: {said}"));
        }
    }
    assert_none(&offenders, "a command can be used as it is shown");
}

#[test]
fn commands_take_the_arguments_they_are_shown_with() {
    commands_are_taken(documents(), 80);
}

#[test]
fn data_can_be_parsed() {
    let mut offenders = Vec::new();
    for (at, text) in shown(&["json"]) {
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
            offenders.push(format!("{at}: {error}"));
        }
    }
    let yaml = shown(&["yaml"]);
    assert!(yaml.len() > 1);
    let parsed = told(
        Command::new("python3").args([
            "-c",
            "import sys, json, yaml\n\
             for at, text in json.load(sys.stdin):\n\
             \x20   try: list(yaml.safe_load_all(text))\n\
             \x20   except yaml.YAMLError as error: print(at, error)",
        ]),
        &serde_json::to_string(&yaml).unwrap(),
    );
    assert!(parsed.status.success(), "{parsed:?}");
    let said = String::from_utf8_lossy(&parsed.stdout);
    offenders.extend(said.lines().map(str::to_owned));
    assert_none(&offenders, "JSON and YAML are what they say");
}

#[test]
fn an_anchor_leads_to_a_heading() {
    let mut offenders = Vec::new();
    for path in documents() {
        let folder = Path::new(&path).parent().unwrap();
        for section in sections(&read(&path)) {
            for target in links(&section.prose) {
                let Some((file, anchor)) = target.split_once('#') else {
                    continue;
                };
                if file.contains("://") {
                    continue;
                }
                let file = match file {
                    "" => PathBuf::from(&path),
                    _ => folder.join(file),
                };
                let text = fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
                if !anchors(&sections(&text)).iter().any(|one| one == anchor) {
                    offenders.push(format!("{path} links to {target}"));
                }
            }
        }
    }
    assert_none(&offenders, "what stands behind a # is a heading there");
}

/// The words in backticks of all documents, with the document.
fn named() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in documents() {
        for section in sections(&read(&path)) {
            let words = words(&section.prose);
            found.extend(words.into_iter().map(|word| (path.clone(), word)));
        }
    }
    found
}

#[test]
fn a_file_that_is_named_is_there() {
    let folders = [
        "docs/", "deploy/", "config/", "src/", "tests/", "scripts/", "benches/",
    ];
    let mut offenders = Vec::new();
    for (path, word) in named() {
        if word.contains(' ') || !folders.iter().any(|folder| word.starts_with(folder)) {
            continue;
        }
        // Of a pattern the folder.
        let file = word.split(['*', '{']).next().unwrap();
        if !Path::new(ROOT).join(file).exists() {
            offenders.push(format!("{path} names {word}"));
        }
    }
    assert_none(&offenders, "a file that is named is in the repository");
}

#[test]
fn a_key_that_is_named_can_be_set() {
    let sections = [
        "server",
        "admin",
        "source",
        "store",
        "admission",
        "log",
        "flashduty",
        "recover",
        "otlp",
    ];
    let known = default_keys();
    let mut offenders = Vec::new();
    for (path, word) in named() {
        let is_key = word.split_once('.').is_some_and(|(section, key)| {
            let plain = |at: u8| at.is_ascii_lowercase() || at == b'_' || at == b'.';
            sections.contains(&section) && key.bytes().all(plain)
        });
        let below = format!("{word}.");
        // A table is named as well; the last is the name of what nats publishes under.
        if is_key
            && !known.contains(&word)
            && !known.iter().any(|key| key.starts_with(&below))
            && word != "flashduty.events"
        {
            offenders.push(format!("{path} names {word}"));
        }
    }
    assert_none(&offenders, "a key that is named is one of the default file");
}

#[test]
fn a_metric_that_is_named_is_counted() {
    let listed = read("docs/metrics.md") + &read("deploy/prometheus/rules.yaml");
    let sources: String = files("src/metrics", ".rs")
        .iter()
        .map(|path| read(path))
        .collect();
    let mut offenders = BTreeSet::new();
    for path in documents() {
        for rest in read(&path).split("flashduty_").skip(1) {
            let end = |at: char| !at.is_ascii_lowercase() && at != '_';
            let name = rest.split(end).next().unwrap().trim_end_matches('_');
            let kinds = ["_total", "_bucket", "_sum", "_count"];
            let plain = kinds.iter().find_map(|kind| name.strip_suffix(kind));
            let plain = plain.unwrap_or(name);
            // The last is the crate, whose modules a filter of the log names.
            if !listed.contains(&format!("flashduty_{plain}"))
                && !sources.contains(&format!("\"{plain}\""))
                && plain != "receiver"
            {
                offenders.insert(format!("{path} names flashduty_{name}"));
            }
        }
    }
    let offenders: Vec<String> = offenders.into_iter().collect();
    assert_none(&offenders, "a metric that is named is one there is");
}

#[test]
fn the_schemas_that_upgrades_speak_of_are_those_of_the_stores() {
    let page = read("docs/upgrades.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let steps = rows.filter_map(|row| row.split('`').next());
    let explained: Vec<&str> = steps.filter(|step| step.ends_with(".sql")).collect();
    let mut there = Vec::new();
    for (store, steps) in [
        ("inbox in a file", "src/inbox/sqlite/migrations"),
        ("PostgreSQL", "src/inbox/postgres/migrations"),
        ("spill", "src/inbox/sqlite/spill"),
    ] {
        let steps = files(steps, ".sql");
        let row = format!("| {store} | {} |", steps.len());
        assert!(page.contains(&row), "docs/upgrades.md has no {row}");
        let names = steps.iter().filter_map(|step| step.rsplit('/').next());
        there.extend(names.map(str::to_owned));
    }
    assert_eq!(explained, there, "docs/upgrades.md explains each step");
}
