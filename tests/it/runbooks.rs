//! The runbooks: a page for each alert, whose commands and queries can be used as they stand.

use std::collections::BTreeSet;

use crate::alerts::{alerts, exposition_with_room, metrics_in, shown};
use crate::certificates::receiver_with_tls;
use crate::documents::commands_are_taken;
use crate::prometheus::Prometheus;
use crate::tidy::{assert_none, files, read};

pub(crate) const RUNBOOKS: &str = "docs/runbooks";
/// What every page has, in this order.
const PARTS: [&str; 5] = [
    "\n## What it means\n",
    "\n## What users lose meanwhile\n",
    "\n## What to look at\n",
    "\n## What to do\n",
    "\n## When it is harmless\n",
];

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let alerts = alerts();
    let index = read(&format!("{RUNBOOKS}/README.md"));
    let mut pages = BTreeSet::new();
    let mut offenders = Vec::new();
    for path in files(RUNBOOKS, ".md") {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".md");
        if name == "README" {
            continue;
        }
        pages.insert(name.to_owned());
        let text = read(&path);
        let places: Vec<_> = PARTS.iter().map(|part| text.find(part)).collect();
        let in_order = places.iter().all(Option::is_some) && places.is_sorted();
        // The expression is the rule's, so that it can be asked as it stands.
        let expression = alerts
            .get(name)
            .map(|alert| alert["expr"].as_str().unwrap());
        let shows = expression.is_some_and(|expression| text.contains(expression));
        let listed = index.contains(&format!("({name}.md)"));
        if !text.starts_with(&format!("# {name}\n")) || !in_order || !shows || !listed {
            offenders.push(format!(
                "{path}: {places:?}, shows {shows}, listed {listed}"
            ));
        }
    }
    assert_none(
        &offenders,
        "a page has its parts, and the rule's expression",
    );
    let names: BTreeSet<String> = alerts.into_keys().collect();
    assert_eq!(pages, names);
}

#[test]
fn commands_on_the_pages_take_the_arguments_they_are_shown_with() {
    commands_are_taken(files(RUNBOOKS, ".md"), 40);
}

/// What a page has people ask Prometheus: the rule's expression, and then one query a line.
fn queries(text: &str) -> Vec<&str> {
    let mut blocks = text.split("```promql\n").skip(1);
    let rule = blocks.next().and_then(|rest| rest.split("\n```").next());
    let others = blocks.flat_map(|rest| rest.split("\n```").next().unwrap().lines());
    rule.into_iter().chain(others).collect()
}

#[test]
fn what_a_page_has_people_ask_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_with_tls(folder.path());
    let prometheus = Prometheus::start(&[receiver.admin]);
    let exposition = exposition_with_room(&receiver);
    let names = shown(&exposition);
    let mut asked = 0;
    let mut offenders = Vec::new();
    for path in files(RUNBOOKS, ".md") {
        for query in queries(&read(&path)) {
            asked += 1;
            let answer = prometheus.ask(query);
            let unknown: Vec<_> = metrics_in(query).difference(&names).copied().collect();
            if answer.is_err() || !unknown.is_empty() {
                offenders.push(format!("{path}: {query}: {answer:?} {unknown:?}"));
            }
        }
    }
    assert!(asked > 60, "{asked}");
    assert_none(&offenders, "a query can be asked as it is shown");
}
