//! Every page as different viewers see it, and as those use it who have no mouse.

use serde_json::{Value, json};

use crate::driver::{play, target};
use crate::receiver::soak_line;
use crate::stage::{self, Stage};

fn nothing(_: &str, _: &Value) -> Value {
    Value::Null
}

/// Each page and each state of it that looks different: where it is, and what to click there. One
/// that is silent is heard again with more of it open.
fn pages(stage: &Stage) -> Value {
    let dead = &stage.dead[0];
    json!([
        {"name": "overview", "hash": "#/", "silent": true},
        {"name": "numbers", "hash": "#/", "open": ["figure details summary"]},
        {"name": "incidents", "hash": "#/incidents"},
        {"name": "board", "hash": "#/incidents", "silent": true, "shot": "screen"},
        {"name": "incident", "hash": "#/incidents/incident:69db5a40c1f04e7a9d2b8c05"},
        {"name": "events", "hash": "#/events", "until": "tbody tr"},
        {"name": "found", "hash": "#/events?q=event-4-1&in=event_id", "until": "tbody tr"},
        {"name": "not-found", "hash": "#/events?q=nowhere&in=event_id"},
        {
            "name": "event", "hash": format!("#/events/{dead}"),
            "open": ["details.history summary"], "until": "details[open] td",
        },
        {"name": "dead", "hash": "#/dead"},
        {
            "name": "replay", "hash": "#/dead?sink=tickets", "shot": "screen",
            "open": ["section button.first"], "until": "dialog button.first",
        },
        {
            "name": "drop", "hash": "#/dead?sink=tickets&state=dead", "shot": "screen",
            "open": ["section button.danger"], "until": "dialog textarea",
        },
        {"name": "unreadable", "hash": "#/unreadable"},
        {"name": "unreadable-one", "hash": "#/unreadable/2"},
        {
            "name": "unreadable-drop", "hash": "#/unreadable/3", "shot": "screen",
            "open": ["section button.danger"], "until": "dialog textarea",
        },
        {"name": "audit", "hash": "#/audit"},
        {"name": "missing", "hash": "#/events/999999"},
    ])
}

#[test]
fn every_page_is_usable_for_all_in_both_languages_and_colours_and_on_a_phone() {
    let stage = Stage::set();
    let (locked, closed) = (stage::locked("t0ken"), stage::closed());
    let folder = target().join("console/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let with = json!({
        "base": stage.base(), "pages": pages(&stage), "folder": folder,
        "locked": stage::base(&locked), "closed": stage::base_of_closed(&closed),
    });
    if let Some(seen) = play("pages", &with, nothing) {
        soak_line(
            82,
            "every page of the console in Chromium",
            &format!(
                "{} looks with axe, none with a serious finding; {} pictures",
                seen["checks"], seen["pictures"]
            ),
        );
    }
}

#[test]
fn the_keyboard_alone_reaches_and_shows_everything_and_dialogs_keep_the_focus() {
    let stage = Stage::set();
    let dead = &stage.dead[0];
    let one = format!("#/events/{dead}");
    let pages = [
        "#/",
        "#/incidents",
        "#/incidents/incident:69db5a40c1f04e7a9d2b8c05",
        "#/events?live=off",
        &one,
        "#/dead",
        "#/unreadable",
        "#/unreadable/2",
        "#/audit",
    ];
    let with = json!({"base": stage.base(), "pages": pages, "dead": dead, "unreadable": 2});
    play("keyboard", &with, nothing);
}

#[test]
fn language_and_colours_are_the_browsers_or_those_chosen_and_remembered() {
    let stage = Stage::set();
    let dead = &stage.dead[0];
    let one = format!("#/events/{dead}");
    let pages = [
        "#/",
        "#/incidents",
        "#/incidents/incident:69db5a40c1f04e7a9d2b8c05",
        "#/events",
        &one,
        "#/dead",
        "#/unreadable",
        "#/audit",
    ];
    play(
        "choices",
        &json!({"base": stage.base(), "pages": pages}),
        nothing,
    );
}
