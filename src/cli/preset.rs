//! `preset`: sinks that are ready but for their URL.

use clap::{Args, ValueEnum};

use super::Exit;
use super::printer::Printer;
use crate::preset;

/// Which preset, and for whom.
#[derive(Debug, Args)]
pub struct PresetArgs {
    /// Its name; without one, those there are
    name: Option<String>,
    /// The language of the messages
    #[arg(long, value_enum, default_value = "zh")]
    lang: Lang,
}

/// Shown below `preset --help`.
pub const EXAMPLES: &str = "\
Examples:
  What there is:
    flashduty-receiver preset
  A Slack channel, to be adapted and put into the configuration:
    flashduty-receiver preset slack --lang en >> config.toml";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    /// Chinese
    Zh,
    /// English
    En,
}

impl From<Lang> for preset::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Zh => Self::Zh,
            Lang::En => Self::En,
        }
    }
}

/// Prints one preset, or the names of all.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &PresetArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let lang = args.lang.into();
    if let Some(name) = &args.name {
        let Some(text) = preset::print(name, lang) else {
            printer.note(&format!(
                "flashduty-receiver: there is no preset {name}; there are {}",
                preset::NAMES.join(", ")
            ))?;
            return Ok(Exit::Usage);
        };
        if printer.json() {
            let about = about(name, lang);
            printer.object(&serde_json::json!({ "name": name, "about": about, "toml": text }))?;
        } else {
            printer.line(text.trim_end())?;
        }
        return Ok(Exit::Done);
    }
    for name in preset::NAMES {
        let about = about(name, lang);
        if printer.json() {
            printer.object(&serde_json::json!({ "name": name, "about": about }))?;
        } else {
            printer.line(&format!("{name:<10}{about}"))?;
        }
    }
    Ok(Exit::Done)
}

/// A preset's first comment says what it is for.
fn about(name: &str, lang: preset::Lang) -> String {
    let text = preset::print(name, lang).unwrap_or_default();
    let comment = text.lines().find_map(|line| line.strip_prefix("# "));
    comment.unwrap_or_default().to_owned()
}
