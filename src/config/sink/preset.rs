//! Presets lie below what is configured: each of their keys can be replaced alone.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::super::problem::Place;
use super::http::PresetName;
use crate::preset::{self, Lang};

impl PresetName {
    /// The word it is written as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Lark => "lark",
            Self::Dingtalk => "dingtalk",
            Self::Wecom => "wecom",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Ticket => "ticket",
        }
    }
}

/// Puts the keys of their presets below those of all sinks in `merged`, and notes in `places`
/// where they are from. What is wrong with the keys that name a preset is found elsewhere.
pub(in crate::config) fn lay_below(merged: &mut Table, places: &mut BTreeMap<String, Place>) {
    let Some(Value::Table(sinks)) = merged.get_mut("sink") else {
        return;
    };
    for (name, sink) in sinks {
        let Value::Table(sink) = sink else { continue };
        let Some(Value::String(preset)) = sink.get("preset") else {
            continue;
        };
        let preset = preset.clone();
        let lang = match sink.get("lang") {
            Some(Value::String(word)) if word == "en" => Lang::En,
            _ => Lang::default(),
        };
        let http = Value::String("http".to_owned());
        // Presets are of one type; the key itself is refused where it is another.
        if sink.entry("type").or_insert(http.clone()) != &http {
            continue;
        }
        let Some(mut below) = preset::defaults(&preset, lang) else {
            continue;
        };
        // Another format takes the place of the preset's body.
        if sink
            .get("format")
            .is_some_and(|format| format.as_str() != Some("push"))
        {
            below.remove("template");
        }
        let place = Place::Preset(preset);
        lay(sink, below, &format!("sink.{name}"), &mut |key| {
            places.insert(key, place.clone());
        });
    }
}

fn lay(table: &mut Table, below: Table, around: &str, note: &mut impl FnMut(String)) {
    for (name, value) in below {
        let key = format!("{around}.{name}");
        match (table.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(below)) => lay(inner, below, &key, note),
            (Some(_), _) => {}
            (None, value) => {
                table.insert(name, value);
                note(key);
            }
        }
    }
}
