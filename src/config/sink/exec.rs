//! A sink of type `exec`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::super::environment::Environment;
use super::super::{duration, size};
use super::check::{Fault, Faults};
use super::delivery::Delivery;
use crate::sink::exec::ExecOptions;

/// `EX_TEMPFAIL` of `sysexits.h`.
const TEMPORARY: i32 = 75;

/// One run of a command for each event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExecSink {
    /// The program and its arguments; no shell reads them.
    #[schemars(extend("x-allowed" = "a list of the program and its arguments, such as [\"/usr/local/bin/restart\", \"--now\"]"))]
    pub command: Vec<String>,
    /// Variables of the receiver's environment that are passed on.
    #[schemars(extend("x-allowed" = "a list of names of variables, none of which begins with FLASHDUTY_"))]
    pub env: Vec<String>,
    /// `HOME` of the command.
    #[schemars(with = "String", extend("x-allowed" = "the path of a folder"))]
    pub home: PathBuf,
    /// Where it runs; where the receiver does, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = "the path of a folder"))]
    pub directory: Option<PathBuf>,
    /// Exit codes after which it is tried again.
    #[schemars(with = "Vec<u8>", extend("x-allowed" = "a list of whole numbers from 1 to 255"))]
    pub retry_exit_codes: Vec<i32>,
    /// From TERM to KILL.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "5m"))]
    pub kill_after: Duration,
    /// How much of each of stdout and stderr is kept.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "0", "x-max" = "1MiB"))]
    pub capture: u64,
    /// Whether the result is posted to the incident's timeline.
    pub comment: bool,
    /// The values of `env`, as they were when the configuration was read.
    #[serde(skip)]
    #[schemars(skip)]
    pub values: Vec<(String, SecretString)>,
}

impl Default for ExecSink {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            env: Vec::new(),
            home: "/".into(),
            directory: None,
            retry_exit_codes: vec![TEMPORARY],
            kill_after: Duration::from_secs(5),
            capture: 64 << 10,
            comment: false,
            values: Vec::new(),
        }
    }
}

impl ExecSink {
    /// What the sink is made of.
    ///
    /// # Errors
    /// Everything that is wrong with its keys.
    pub fn options(&self, delivery: &Delivery) -> Result<ExecOptions, Vec<Fault>> {
        let mut faults = Faults::default();
        match self.command.first() {
            None => faults.add("command", "is missing or empty"),
            Some(program) if program.trim().is_empty() => faults.add("command", "names no program"),
            Some(_) if self.command.iter().any(|word| word.contains('\0')) => {
                faults.add("command", "holds a NUL");
            }
            Some(_) => {}
        }
        for (index, name) in self.env.iter().enumerate() {
            let key = format!("env[{index}]");
            if name.is_empty() || name.contains(['=', '\0']) {
                faults.add(&key, "is no name of a variable");
            } else if name.starts_with("FLASHDUTY_") {
                faults.allow(
                    &key,
                    "is a name that the sink itself gives a value, or a setting",
                    "a variable whose name does not begin with FLASHDUTY_",
                );
            }
        }
        for (index, code) in self.retry_exit_codes.iter().enumerate() {
            if !(1..=255).contains(code) {
                faults.add(
                    &format!("retry_exit_codes[{index}]"),
                    "is no exit code of a failure",
                );
            }
        }
        if !faults.is_empty() {
            return Err(faults.into_list());
        }
        let value = |(name, value): &(String, SecretString)| {
            (name.clone(), value.expose_secret().to_owned())
        };
        Ok(ExecOptions {
            command: self.command.clone(),
            env: self.values.iter().map(value).collect(),
            home: self.home.clone(),
            directory: self.directory.clone(),
            timeout: delivery.timeout.unwrap_or_default(),
            once: delivery.once(),
            kill_after: self.kill_after,
            retry_exit_codes: self.retry_exit_codes.clone(),
            capture: usize::try_from(self.capture).unwrap_or(usize::MAX),
        })
    }

    /// Takes the values of `env`; a variable that is not set is passed on as that.
    pub(super) fn read_values(&mut self, environment: &Environment) {
        let value = |name: &String| {
            let value = environment.get(name).ok()?;
            Some((name.clone(), value.into()))
        };
        self.values = self.env.iter().filter_map(value).collect();
    }
}
