//! `check` and `schema`: the configuration, without starting anything.

use std::path::Path;

use super::printer::Printer;
use super::{Exit, settings};
use crate::clock::{Clock as _, SystemClock};

/// Shown below `check --help`.
pub const CHECK_EXAMPLES: &str = "\
Prints the whole configuration as the receiver would use it, secrets and all that may hold one \
hidden, and says which files it comes from. Exits with 2 when the receiver would not start with it, \
naming file, line, key and what is allowed:
    flashduty-receiver --config new.toml check && mv new.toml config.toml";

/// Shown below `schema --help`.
pub const SCHEMA_EXAMPLES: &str = "\
For editors that complete and check TOML:
    flashduty-receiver schema > flashduty-receiver.schema.json";

/// Loads the configuration and prints it as it would be used.
///
/// # Errors
/// When the receiver would not start with it.
pub fn check(config: Option<&Path>, printer: &mut Printer) -> anyhow::Result<Exit> {
    let loaded = settings::load(config)?;
    settings::rules(&loaded)?;
    for file in &loaded.files {
        printer.note(&format!("read {}", file.display()))?;
    }
    let of_certificates = loaded.identities.warnings(SystemClock.now());
    for warning in loaded.warnings.iter().chain(&of_certificates) {
        printer.note(&format!("warning: {warning}"))?;
    }
    if printer.json() {
        printer.object(&loaded.settings)?;
    } else {
        let text = crate::config::describe(&loaded.settings);
        printer.line(text.trim_end())?;
    }
    Ok(Exit::Done)
}

/// Prints the configuration's JSON Schema.
///
/// # Errors
/// When it cannot be written.
pub fn schema(printer: &mut Printer) -> anyhow::Result<Exit> {
    let schema = crate::config::schema();
    if printer.json() {
        printer.object(&schema)?;
    } else {
        printer.line(&serde_json::to_string_pretty(&schema)?)?;
    }
    Ok(Exit::Done)
}
