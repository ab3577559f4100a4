//! The alert rules, each tested and about numbers there are, and the metrics, each documented.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certificates::receiver_with_tls;
use crate::database::Server;
use crate::deploy::yaml;
use crate::prometheus::promtool;
use crate::receiver::{BASE, PATIENCE, Receiver};
use crate::runbooks::RUNBOOKS;
use crate::tidy::{assert_none, files, read};

const RULES: &str = "deploy/prometheus/rules.yaml";

/// Every rule, recording ones among them.
pub(crate) fn rules() -> Vec<Value> {
    let file = yaml(RULES).remove(0);
    let groups = file["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// The alerts by their names.
pub(crate) fn alerts() -> BTreeMap<String, Value> {
    let rules = rules().into_iter();
    rules
        .filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule)))
        .collect()
}

/// The files that hold the rules' tests.
fn test_files() -> Vec<String> {
    files("deploy/prometheus", ".test.yaml")
}

/// The names of the receiver's metrics in an expression.
pub(crate) fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let end = |at: char| !at.is_ascii_alphanumeric() && at != '_' && at != ':';
    let words = expression.split(end);
    words
        .filter(|word| word.starts_with("flashduty_") || word.starts_with("process_"))
        .collect()
}

/// What a receiver shows.
fn exposition(receiver: &Receiver) -> String {
    String::from_utf8(receiver.api("/metrics").body).unwrap()
}

/// The same once the room of its store is known, which is looked for when it is up.
pub(crate) fn exposition_with_room(receiver: &Receiver) -> String {
    exposition_with(receiver, "flashduty_store_wanted_free_bytes")
}

/// What it shows once it shows the number called `name`.
fn exposition_with(receiver: &Receiver, name: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = exposition(receiver);
        if shown(&text).contains(name) {
            return text;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names of the samples in an exposition.
pub(crate) fn shown(exposition: &str) -> BTreeSet<&str> {
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect()
}

#[test]
fn the_rules_are_right_and_do_what_their_tests_say() {
    let (right, said) = promtool(&["check", "rules", "rules.yaml"]);
    assert!(right, "{said}");
    for file in test_files() {
        let name = file.rsplit('/').next().unwrap();
        let (right, said) = promtool(&["test", "rules", name]);
        assert!(right, "{said}");
    }
}

#[test]
fn each_alert_is_tested_where_it_fires_and_where_it_must_not() {
    let mut fires = BTreeSet::new();
    let mut keeps_quiet = BTreeSet::new();
    for file in test_files() {
        let file = yaml(&file).remove(0);
        for test in file["tests"].as_array().unwrap() {
            for case in test["alert_rule_test"].as_array().unwrap() {
                let name = case["alertname"].as_str().unwrap().to_owned();
                let expected = case["exp_alerts"].as_array().unwrap();
                match expected.is_empty() {
                    true => keeps_quiet.insert(name),
                    false => fires.insert(name),
                };
            }
        }
    }
    let alerts: BTreeSet<String> = alerts().into_keys().collect();
    assert_eq!(fires, alerts);
    assert_eq!(keeps_quiet, alerts);
}

#[test]
fn each_alert_says_how_bad_it_is_how_much_and_where_to_read_on() {
    let mut offenders = Vec::new();
    for (name, alert) in alerts() {
        let annotation = |which: &str| alert["annotations"][which].as_str().unwrap_or_default();
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        let is_right = ["critical", "warning", "info"].contains(&severity)
            && !annotation("summary").is_empty()
            && annotation("description").contains("$value")
            && annotation("runbook_url") == format!("{RUNBOOKS}/{name}.md");
        if !is_right {
            offenders.push(format!("{name}: {alert}"));
        }
    }
    assert_none(&offenders, "an alert tells a person what it needs to know");
}

#[test]
fn rules_ask_for_numbers_there_are_from_the_start_with_outcomes_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_with_tls(folder.path());
    let exposition = exposition_with_room(&receiver);
    let names = shown(&exposition);
    let mut offenders = Vec::new();
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        let asked = metrics_in(expression);
        // What a recording rule made begins with its level.
        assert!(!asked.is_empty() || expression.contains("job:flashduty_"));
        let unknown = asked.difference(&names);
        offenders.extend(unknown.map(|name| format!("{name} in {expression}")));
        for part in expression.split("outcome=").skip(1) {
            let words = part.split('"').nth(1).unwrap();
            let unknown = words
                .split('|')
                .filter(|word| !exposition.contains(&format!("outcome=\"{word}\"")));
            offenders.extend(unknown.map(|word| format!("{word} in {expression}")));
        }
    }
    assert_none(&offenders, "a rule asks for a number there is");
}

/// Each metric with its labels as an exposition shows it, and its kind.
fn kinds(exposition: &str) -> BTreeSet<(String, String)> {
    let types = exposition.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let name = match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        };
        Some((name, kind))
    });
    types
        .map(|(name, kind)| (name.clone() + &labels(exposition, &name), kind.to_owned()))
        .collect()
}

/// The names of a metric's labels, in braces, but for that of a histogram's buckets.
fn labels(exposition: &str, name: &str) -> String {
    let mut names = BTreeSet::new();
    for line in exposition.lines() {
        let Some((sample, rest)) = line.split_once('{') else {
            continue;
        };
        if sample.trim_end_matches("_bucket") != name {
            continue;
        }
        let within = rest.split('}').next().unwrap().split(',');
        names.extend(within.filter_map(|label| Some(label.split_once('=')?.0)));
    }
    names.remove("le");
    match names.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", names.into_iter().collect::<Vec<_>>().join(",")),
    }
}

#[test]
fn every_metric_is_documented_with_its_labels_and_its_kind_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_with_tls(folder.path());
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once('`').unwrap();
            let kind = rest.split('|').nth(1).unwrap().trim();
            (name.to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(documented, kinds(&exposition_with_room(&receiver)));
}

#[test]
fn a_receiver_on_a_database_shows_the_same_numbers_but_for_the_room() {
    let server = Server::shared();
    let url = server.url(&server.database());
    let on_a_database = BASE.replace("[store]\n", &format!("[store]\nurl = \"{url}\"\n"));
    let shared = Receiver::configured(&on_a_database);
    // Its sinks start once the database is known.
    let shared = exposition_with(&shared, "flashduty_filter_errors_total");
    let own = exposition_with_room(&Receiver::start(""));
    let missing: Vec<&str> = shown(&own).difference(&shown(&shared)).copied().collect();
    assert_eq!(
        missing,
        [
            "flashduty_store_free_bytes",
            "flashduty_store_wanted_free_bytes"
        ]
    );
    assert!(shown(&shared).is_subset(&shown(&own)));
}
