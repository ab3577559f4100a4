//! Presets: sinks that are ready but for their URL.
//!
//! A preset is a table of an http sink's keys, which lies below what the user configures: each key
//! can be replaced alone. The files beside this one are what people read, change and copy;
//! [`print()`] puts them together. Every body stays under the limit of its robot, whatever an event
//! says, because each part of it is cut before it is placed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The presets there are.
pub const NAMES: [&str; 7] = [
    "feishu", "lark", "dingtalk", "wecom", "slack", "teams", "ticket",
];

/// The language of what people read. Tickets have none: their fields are for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// The keys of `[sink.NAME]` that the preset stands for; `None` when there is no such preset.
///
/// Beside an http sink's own: `path`, a template that goes behind the URL's path; `signature`, the
/// way in which `signing_secret` signs; `max_bytes`, the most the robot takes; `timezone`.
pub fn defaults(name: &str, lang: Lang) -> Option<Table> {
    let preset = Preset::find(name)?;
    let mut table: Table = preset.settings.parse().ok()?;
    table.insert("template".to_owned(), Value::String(preset.template(lang)));
    Some(table)
}

/// The preset as a person would write it into a configuration, with comments; `None` when there is
/// no such preset.
pub fn print(name: &str, lang: Lang) -> Option<String> {
    let preset = Preset::find(name)?;
    // A literal string: nothing in it is escaped, and the line break after its quotes does not count.
    Some(format!(
        "[sink.{name}]\n{}\ntemplate = '''\n{}'''\n",
        preset.settings,
        preset.template(lang)
    ))
}

struct Preset {
    settings: &'static str,
    /// Whether the words and the facts of an incident stand before the template.
    is_chat: bool,
    body: &'static str,
}

impl Preset {
    fn find(name: &str) -> Option<Self> {
        macro_rules! files {
            ($name:literal, $is_chat:literal) => {
                Self {
                    settings: include_str!(concat!($name, ".toml")),
                    is_chat: $is_chat,
                    body: include_str!(concat!($name, ".json.j2")),
                }
            };
        }
        Some(match name {
            "feishu" | "lark" => files!("feishu", true),
            "dingtalk" => files!("dingtalk", true),
            "wecom" => files!("wecom", true),
            "slack" => files!("slack", true),
            "teams" => files!("teams", true),
            "ticket" => files!("ticket", false),
            _ => return None,
        })
    }

    fn template(&self, lang: Lang) -> String {
        let words = match lang {
            Lang::Zh => include_str!("zh.j2"),
            Lang::En => include_str!("en.j2"),
        };
        let parts: &[&str] = if self.is_chat {
            &[words, include_str!("incident.j2"), self.body]
        } else {
            &[self.body]
        };
        parts.concat()
    }
}

#[cfg(test)]
mod tests;
