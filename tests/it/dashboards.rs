//! The dashboard: drawn as Grafana wants it, and showing what a running receiver has to say.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alerts::{exposition_with_room, metrics_in, rules, shown};
use crate::certificates::receiver_with_tls;
use crate::fake::{FakeServer, Reply};
use crate::http::SENDER;
use crate::prometheus::{JOB, Prometheus};
use crate::receiver::{PATIENCE, Receiver, now, wait_until};
use crate::runbooks::RUNBOOKS;
use crate::sender::Sender;
use crate::tidy::{ROOT, assert_none, read};

/// Panels that Grafana still develops.
const KINDS: [&str; 4] = ["row", "stat", "timeseries", "table"];
/// Who may not push.
const STRANGER: &str = "X-Forwarded-For: 203.0.113.9\r\n";

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Each query with the title of its panel.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let each = panels(dashboard).iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (text(panel, "title"), text(target, "expr")))
    });
    each.collect()
}

/// What the variables choose among, as Grafana asks for the values of a label.
fn choices(dashboard: &Value) -> Vec<(&str, String)> {
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asking = variables.filter(|variable| variable["type"] == "query");
    let each = asking.map(|variable| {
        let query = text(&variable["query"], "query");
        assert_eq!(query, text(variable, "definition"));
        let values = query.strip_prefix("label_values(").unwrap();
        let (series, label) = values.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        (
            text(variable, "name"),
            format!("group by ({label}) ({series})"),
        )
    });
    each.collect()
}

/// What is drawn into every panel.
fn annotations(dashboard: &Value) -> Vec<&str> {
    let all = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let ours = all.filter(|annotation| annotation["type"] != "dashboard");
    ours.map(|annotation| text(annotation, "expr")).collect()
}

/// The query with what Grafana puts in the place of variables when everything is chosen.
fn chosen(expression: &str) -> String {
    expression
        .replace("$job", JOB)
        .replace("$instance", ".+")
        .replace("$sink", ".+")
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h")
}

#[test]
fn panels_are_of_kinds_that_stay_and_say_what_they_show() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "flashduty-receiver");
    assert!(number(&dashboard["schemaVersion"]) >= 39);
    let mut offenders = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        let is_row = panel["type"] == "row";
        let defaults = &panel["fieldConfig"]["defaults"];
        let steps = defaults["thresholds"]["steps"].as_array();
        let is_said = !title.is_empty() && !text(panel, "description").is_empty();
        let is_measured = !text(defaults, "unit").is_empty() && steps.is_some();
        let is_from_source = panel["datasource"]["uid"] == "${datasource}";
        let is_complete = is_row || (is_said && is_measured && is_from_source);
        let is_known = KINDS.contains(&text(panel, "type"));
        if !is_complete || !is_known || !ids.insert(number(&panel["id"])) {
            offenders.push(format!("{title}: {panel}"));
        }
    }
    assert_none(&offenders, "a panel says what it shows, in which unit");
    assert!(ids.len() > 40, "{}", ids.len());
}

/// The fields of the grid that a panel takes.
fn fields(panel: &Value) -> Vec<(u64, u64)> {
    let at = |key: &str| number(&panel["gridPos"][key]);
    let (left, top) = (at("x"), at("y"));
    let (right, bottom) = (left + at("w"), top + at("h"));
    let lines = (top..bottom).flat_map(|line| (left..right).map(move |column| (column, line)));
    lines.collect()
}

#[test]
fn panels_lie_beside_each_other_and_lead_to_pages_there_are() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let mut offenders = Vec::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        for field in fields(panel) {
            if field.0 >= 24 || !taken.insert(field) {
                offenders.push(format!("{title} lies on another at {field:?}"));
            }
        }
        for link in panel["links"].as_array().into_iter().flatten() {
            let page = text(link, "url").strip_prefix("${runbooks}/");
            let is_there =
                page.is_some_and(|page| Path::new(ROOT).join(RUNBOOKS).join(page).exists());
            if !is_there {
                offenders.push(format!("{title} links to {link}"));
            }
        }
    }
    assert_none(&offenders, "panels have their place, and links lead on");
}

#[test]
fn variables_choose_among_receivers_and_sinks() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let names: Vec<&str> = variables.map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["datasource", "job", "instance", "sink", "runbooks"]);
    let mut offenders = Vec::new();
    for (title, query) in queries(&dashboard) {
        let all = query.matches('{').count();
        let of_job = query
            .matches("job=\"$job\", instance=~\"$instance\"")
            .count();
        // Alerts about a whole set of receivers have no instance, and one has no job.
        if all != of_job && title != "Alerts" {
            offenders.push(format!("{title}: {query}"));
        }
    }
    assert_none(&offenders, "each query heeds the variables");
}

/// A server that takes everything, refuses it for good or fails, by its path.
fn tools() -> FakeServer {
    FakeServer::new(|request, _| match request.target.as_str() {
        "/refusing" => Reply::new(404, "no such page"),
        "/failing" => Reply::new(503, ""),
        _ => Reply::new(200, ""),
    })
}

/// Takes a text for a number, in every event.
const FILTER: &str = "filter = 'title > 1'";

/// Sinks of every fortune.
fn sinks(tools: &FakeServer) -> String {
    let sink = |name: &str, keys: &str| {
        let url = tools.url(&format!("/{name}"));
        format!("\n[sink.{name}]\ntype = \"http\"\nurl = \"{url}\"\n{keys}\n")
    };
    sink("taking", "") + &sink("refusing", "") + &sink("failing", "") + &sink("asking", FILTER)
}

fn event(id: &str, subject: &str, time: i64) -> String {
    let incident = json!({"incident_id": subject, "title": "disk almost full"});
    let push =
        json!({"event_id": id, "event_type": "i_ack", "event_time": time, "incident": incident});
    push.to_string()
}

/// Pushes of every kind, and what becomes of them.
fn traffic(receiver: &Receiver, sender: &Sender) {
    let now = now();
    for (id, subject, time, outcome) in [
        ("e-1", "a", now, "accepted"),
        ("e-1", "a", now, "duplicate"),
        ("e-2", "a", now - 60_000, "stale"),
    ] {
        let answer = receiver.push(&event(id, subject, time));
        assert_eq!(answer.outcome(), outcome, "{answer:?}");
    }
    // More subjects and attempts than a sink may fail for without being paused.
    for subject in 0..12 {
        let (id, subject) = (format!("many-{subject}"), format!("s-{subject}"));
        assert_eq!(receiver.push(&event(&id, &subject, now)).status, 200);
    }
    assert_eq!(receiver.push("{{incident.title}} is no JSON").status, 400);
    let denied = receiver.client().push_with("/webhook", STRANGER, b"{}");
    assert_eq!(denied.unwrap().status, 403);
    let packed = format!("X-Forwarded-For: {SENDER}\r\nContent-Encoding: gzip\r\n");
    let refused = receiver.client().push_with("/webhook", &packed, b"{}");
    assert_eq!(refused.unwrap().status, 415);
    // Nobody answers this one; it is found in the history.
    sender.push("127.0.0.1:1".parse().unwrap());
}

/// Whether some sample is a number.
fn has_number(samples: &[Value]) -> bool {
    let mut values = samples
        .iter()
        .filter_map(|sample| sample["value"][1].as_str());
    values.any(|value| value != "NaN")
}

/// What the traffic brings about, and alerts that see it.
const HAPPENS: [&str; 7] = [
    "flashduty_recovered_total{outcome=\"accepted\"} == 1",
    "flashduty_sink_paused{sink=\"failing\"} == 1",
    "flashduty_sink_dead_deliveries{sink=\"refusing\"} > 0",
    "flashduty_filter_errors_total{sink=\"asking\"} > 0",
    "flashduty_ack_budget_total{outcome=\"kept\"} > 10",
    "ALERTS{alertname=\"FlashdutyUnreadablePushes\", alertstate=\"firing\"}",
    "ALERTS{alertname=\"FlashdutyDeadLetters\"}",
];

#[test]
fn each_query_of_the_dashboard_returns_data_from_a_running_receiver() {
    let (sender, tools) = (Sender::new(), tools());
    let tables = sender.tables("interval = \"100ms\"\nrate = \"1000/1s\"");
    let receiver = Receiver::start(&(tables + &sinks(&tools)));
    receiver.lines.wait("recovery to begin", |line| {
        text(line, "message").starts_with("from now on")
    });
    let folder = tempfile::tempdir().unwrap();
    let encrypted = receiver_with_tls(folder.path());
    let prometheus = Prometheus::start(&[receiver.admin, encrypted.admin]);
    traffic(&receiver, &sender);

    let dashboard = dashboard();
    let choices = choices(&dashboard);
    let mut left = queries(&dashboard);
    assert!(left.len() > 50, "{}", left.len());
    left.extend(HAPPENS.map(|what| ("what happens", what)));
    left.extend(choices.iter().map(|(name, asked)| (*name, asked.as_str())));
    let deadline = Instant::now() + PATIENCE;
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "no data: {left:#?}");
        left.retain(|(title, query)| match prometheus.ask(&chosen(query)) {
            Ok(samples) => !has_number(&samples),
            Err(error) => panic!("{title}: {error}"),
        });
        std::thread::sleep(Duration::from_millis(100));
    }
    // Most rules find nothing, as they should, and nothing was started again; all can be asked.
    let rules = rules();
    let mut others: Vec<&str> = rules.iter().map(|rule| text(rule, "expr")).collect();
    others.extend(annotations(&dashboard));
    for expression in others {
        let answer = prometheus.ask(&chosen(expression));
        assert!(answer.is_ok(), "{expression}: {answer:?}");
    }
}

#[test]
fn the_dashboard_asks_for_numbers_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_with_tls(folder.path());
    let exposition = exposition_with_room(&receiver);
    let names = shown(&exposition);
    let dashboard = dashboard();
    let mut asked = BTreeSet::new();
    let choices = choices(&dashboard);
    let queries = queries(&dashboard).into_iter().map(|(_, query)| query);
    let choices = choices.iter().map(|(_, asked)| asked.as_str());
    for query in queries.chain(choices).chain(annotations(&dashboard)) {
        asked.extend(metrics_in(query));
    }
    let unknown: Vec<_> = asked.difference(&names).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // And for all there are, but for the parts of histograms that it has no use for.
    let is_part = |name: &&str| ["_sum", "_count"].iter().any(|part| name.ends_with(part));
    let unused = names.difference(&asked).copied();
    let unused: Vec<&str> = unused.filter(|name| !is_part(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_history_that_cannot_be_read_shows_until_it_can() {
    let sender = Sender::new();
    sender.refuse(true);
    let receiver = Receiver::start(&sender.tables("interval = \"50ms\""));
    let fails = || receiver.metric("flashduty_recovery_failing") > 0.5;
    wait_until("it fails", fails);
    sender.refuse(false);
    // What was refused is asked again once a person found it to work.
    receiver.told(&["recover", "--since", "1h"]);
    wait_until("it fails no more", || !fails());
}
