//! What the documents say is so: keys, links, configurations, and the tests they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::aloud::say_aloud;
use crate::documents::shown;
use crate::markdown::links;
use crate::receiver::Receiver;
use crate::tidy::{ROOT, assert_none, documents, files, read};

/// Every function of the sources and the tests.
fn functions() -> BTreeSet<String> {
    let paths = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"));
    let mut names = BTreeSet::new();
    for path in paths {
        for line in read(&path).lines() {
            if let Some((_, rest)) = line.split_once("fn ") {
                let end = |at: char| !at.is_ascii_alphanumeric() && at != '_';
                names.insert(rest.split(end).next().unwrap().to_owned());
            }
        }
    }
    names
}

/// The words in backticks behind each "Tested by", up to the end of its paragraph.
fn named_tests(text: &str) -> Vec<String> {
    text.split("Tested by ")
        .skip(1)
        .map(|rest| rest.split("\n\n").next().unwrap())
        .flat_map(|sentence| sentence.split('`').skip(1).step_by(2))
        .map(|name| name.rsplit("::").next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let functions = functions();
    let mut promises = 0;
    let mut offenders = Vec::new();
    for path in documents() {
        for name in named_tests(&read(&path)) {
            promises += 1;
            if !functions.contains(&name) {
                offenders.push(format!("{path} names {name}"));
            }
        }
    }
    assert!(
        promises > 20,
        "ARCHITECTURE.md names its tests: found {promises}"
    );
    assert_none(&offenders, "a promise names the test that proves it");
}

/// Keys of a table, with their path. The headers' names are the user's, and the README explains
/// all pointers in one row.
fn keys(table: &toml::Table, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match (path.as_str(), value) {
            ("envelope", _) => {
                found.insert("envelope.*".to_owned());
            }
            (
                "source.headers" | "sink.log.retry" | "sink.http.headers" | "sink.http.remember"
                | "otlp.headers" | "otlp.resource",
                _,
            ) => {
                found.insert(path);
            }
            (_, toml::Value::Table(table)) => keys(table, &path, found),
            _ => {
                found.insert(path);
            }
        }
    }
}

/// The default file's keys, with those that are there as comments only.
pub(crate) fn default_keys() -> BTreeSet<String> {
    let text = read("config/default.toml");
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => rest,
            Some(header) if header.starts_with("[sink.") => header,
            _ => line,
        })
        .collect();
    let mut found = BTreeSet::new();
    keys(&uncommented.join("\n").parse().unwrap(), "", &mut found);
    found
}

fn is_key(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn the_readme_lists_every_key_of_the_default_file_and_no_other() {
    let readme = read("README.md");
    let (_, table) = readme.split_once("## Every key").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let listed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect();
    assert_eq!(listed, default_keys());
}

#[test]
fn the_readme_names_every_header_that_http_sinks_send() {
    let readme = read("README.md").to_lowercase();
    let sources = read("src/sink/http/request.rs");
    let names = sources.split("HeaderName::from_static(\"").skip(1);
    let names: Vec<&str> = names.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.contains(&"flashduty-event-id"), "{names:?}");
    let missing = names.iter().filter(|name| !readme.contains(**name));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    assert_none(&missing, "the README names what http sinks send");
}

#[test]
fn the_readme_lists_every_request_the_admin_port_takes() {
    let receiver = Receiver::start("");
    let index = String::from_utf8(receiver.api("/").body).unwrap();
    let requests = index.lines().filter_map(|line| line.split_once(" /"));
    let taken: BTreeSet<String> = requests
        .flat_map(|(method, rest)| {
            let paths = rest.split("  ").next().unwrap().split(", /");
            paths.map(|path| format!("{} /{path}", method.trim()))
        })
        .collect();
    assert!(taken.len() > 10, "{index}");
    let readme = read("README.md");
    let (_, section) = readme.split_once("## Ask it over HTTP").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let quoted = section.split('`').skip(1).step_by(2);
    let listed: BTreeSet<String> = quoted
        .filter(|word| word.starts_with("GET /") && *word != "GET /" || word.starts_with("POST /"))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, taken);
}

/// Runs the binary with nothing of this process's surroundings.
pub(crate) fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashduty-receiver"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// The line with `mounted` in place of the files it names.
fn with_files_from(line: &str, mounted: &Path) -> String {
    let parts = line.split("\"file:").enumerate();
    let here = parts.map(|(number, part)| match (number, part.split_once('"')) {
        (0, _) | (_, None) => part.to_owned(),
        (_, Some((_, rest))) => format!("\"file:{}\"{rest}", mounted.display()),
    });
    here.collect()
}

/// What `check` says of a configuration, with the secrets that are mounted where it is used.
pub(crate) fn checked(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let url = folder.path().join("url");
    fs::write(&url, "https://tools.example.com/hook/0123456789abcdef").unwrap();
    let lines = text.lines().map(|line| {
        let mounted = match line.starts_with("url = ") {
            true => &url,
            false => &secret,
        };
        with_files_from(line, mounted)
    });
    let here = lines.collect::<Vec<_>>().join("\n");
    let file = folder.path().join("shown.toml");
    fs::write(&file, here).unwrap();
    run(
        &["--config", file.to_str().unwrap(), "check"],
        folder.path(),
    )
}

/// Every configuration of documents, deployments and examples, with where it stands.
pub(crate) fn configurations() -> Vec<(String, String)> {
    let mut shown = shown(&["toml"]);
    for folder in ["deploy", "config/examples"] {
        for path in files(folder, ".toml") {
            let text = read(&path);
            shown.push((path, text));
        }
    }
    assert!(shown.len() > 10, "found {}", shown.len());
    shown
}

#[test]
fn every_configuration_that_is_shown_is_accepted() {
    let mut offenders = Vec::new();
    for (path, text) in configurations() {
        let checked = checked(&text);
        let said = String::from_utf8_lossy(&checked.stderr);
        if checked.status.success() {
            continue;
        }
        if is_of_another_build(&said) {
            say_aloud(&format!("{path}: {said}"));
        } else {
            offenders.push(format!("{path}: {said}\n{text}"));
        }
    }
    assert_none(&offenders, "what a document shows can be used");
}

/// Whether all that is wrong is that this build has no brokers, as that of `make soak`; `make test` has them all.
fn is_of_another_build(said: &str) -> bool {
    let has_all = cfg!(all(feature = "nats", feature = "redis", feature = "kafka"));
    let faults = said.lines().filter(|line| line.contains("shown.toml:"));
    let (missing, wrong): (Vec<_>, Vec<_>) =
        faults.partition(|fault| fault.contains("is a type that this build does not have"));
    !has_all && !missing.is_empty() && wrong.is_empty()
}

#[test]
fn every_link_leads_somewhere() {
    let mut offenders = Vec::new();
    for path in documents() {
        let text = read(&path);
        let folder = Path::new(ROOT).join(&path);
        let folder = folder.parent().unwrap();
        for target in links(&text) {
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                offenders.push(format!("{path} links to {target}"));
            }
        }
    }
    assert_none(&offenders, "links lead to files that are there");
}

#[test]
fn files_for_deployment_can_be_parsed() {
    for path in files("deploy", ".json") {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&read(&path));
        assert!(parsed.is_ok(), "{path}: {parsed:?}");
    }
    let mut yaml = files("deploy", ".yaml");
    yaml.extend(files("deploy", ".yml"));
    let parsed = Command::new("python3")
        .args([
            "-c",
            "import sys, yaml\nfor f in sys.argv[1:]: list(yaml.safe_load_all(open(f)))",
        ])
        .args(&yaml)
        .current_dir(ROOT)
        .output()
        .expect("python3 is there: `make test` installs it, and python3-yaml");
    assert!(
        parsed.status.success(),
        "{}",
        String::from_utf8_lossy(&parsed.stderr)
    );
}
