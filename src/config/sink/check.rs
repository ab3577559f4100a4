//! What is wrong with sinks whose keys are right each for itself, and what deserves a warning.

use std::collections::BTreeMap;

use super::super::problem::Report;
use super::{Destination, ExecSink, HttpSink, Sink};

/// The type by which the sender says that an incident is new.
const NEW_INCIDENT: &str = "i_new";

/// Something wrong with a key of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key inside the sink's table, such as `headers.x-team`.
    pub key: String,
    /// What is wrong. Quotes no secret.
    pub what: String,
    /// What is allowed, unless the schema says it.
    pub allowed: Option<String>,
}

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, key: &str, what: impl Into<String>) {
        self.push(key, what.into(), None);
    }

    /// Adds one of which the schema does not know what is allowed.
    pub(super) fn allow(&mut self, key: &str, what: &str, allowed: &str) {
        self.push(key, what.to_owned(), Some(allowed.to_owned()));
    }

    /// The value, or else its fault noted.
    pub(super) fn take<T>(&mut self, key: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|what| self.add(key, what)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0
    }

    pub(super) fn finish(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }

    fn push(&mut self, key: &str, what: String, allowed: Option<String>) {
        self.0.push(Fault {
            key: key.to_owned(),
            what,
            allowed,
        });
    }
}

/// Whether `text` is a JSON pointer.
pub(super) fn is_pointer(text: &str) -> Result<(), &'static str> {
    if !text.is_empty() && !text.starts_with('/') {
        return Err("does not begin with a slash");
    }
    let mut escapes = text.split('~').skip(1);
    match escapes.all(|rest| rest.starts_with(['0', '1'])) {
        true => Ok(()),
        false => Err("has a ~ that is not followed by 0 or 1"),
    }
}

impl Sink {
    /// Checks what the type makes of its keys.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn check(&self) -> Result<(), Vec<Fault>> {
        match &self.to {
            Destination::Log(_) => Ok(()),
            Destination::Http(http) => http.options(&self.delivery).map(drop),
            Destination::Exec(exec) => exec.options(&self.delivery).map(drop),
            Destination::File(file) => file.options().map(drop),
            Destination::Nats(nats) => nats.check(),
            Destination::Redis(redis) => redis.check(),
            Destination::Kafka(kafka) => kafka.check(),
        }
    }

    /// Whether its type is one that this build was made without.
    fn lacks(&self) -> bool {
        match self.to {
            Destination::Nats(_) => !cfg!(feature = "nats"),
            Destination::Redis(_) => !cfg!(feature = "redis"),
            Destination::Kafka(_) => !cfg!(feature = "kafka"),
            _ => false,
        }
    }
}

/// Reports what cannot work, in each sink and between them. `commented` is whether there is a key
/// to comment incidents with.
pub(in crate::config) fn contradictions(
    sinks: &BTreeMap<String, Sink>,
    commented: bool,
    report: &mut Report<'_>,
) {
    let mut files: BTreeMap<&std::path::Path, &str> = BTreeMap::new();
    for (name, sink) in sinks {
        let around = format!("sink.{name}");
        if sink.lacks() {
            report.add_allowing(
                &format!("{around}.type"),
                "is a type that this build does not have",
                Some("log, http, exec or file; the container image has all types".to_owned()),
            );
        }
        for fault in sink.check().err().unwrap_or_default() {
            let key = format!("{around}.{}", fault.key);
            if report.blames(&key) {
                continue;
            }
            match fault.allowed {
                Some(allowed) => report.add_allowing(&key, fault.what, Some(allowed)),
                None => report.add(&key, fault.what),
            }
        }
        retry(&around, sink, report);
        match &sink.to {
            Destination::Http(http) => useless(&around, http, report),
            Destination::Exec(exec) => comment(&around, exec, commented, report),
            Destination::File(file) => {
                let Some(path) = file.path.as_deref() else {
                    continue;
                };
                if let Some(other) = files.insert(path, name) {
                    report.add(
                        &format!("{around}.path"),
                        format!("is the file of sink.{other}, too: each would rotate it away from the other"),
                    );
                }
            }
            _ => {}
        }
    }
}

fn retry(around: &str, sink: &Sink, report: &mut Report<'_>) {
    let retry = &sink.delivery.retry;
    let key = format!("{around}.retry");
    if retry.initial > retry.max && !report.blames(&key) {
        report.add_allowing(
            &format!("{key}.initial"),
            "is longer than the longest wait",
            Some(format!("at most {key}.max, or a larger {key}.max")),
        );
    }
}

/// A key that does nothing is a mistake where a person wrote it; a preset may well have one.
fn useless(around: &str, http: &HttpSink, report: &mut Report<'_>) {
    let lang = format!("{around}.lang");
    // A preset that is misspelt is one that is meant.
    let preset = http.preset.is_some() || report.blames(&format!("{around}.preset"));
    if http.lang.is_some() && !preset && !report.blames(&lang) {
        report.add_allowing(
            &lang,
            "does nothing without a preset",
            Some("no lang, or a preset beside it".to_owned()),
        );
    }
    let signature = format!("{around}.signature");
    let written = http.signature.is_some() && !report.is_of_preset(&signature);
    if written && http.signing_secret.is_empty() && !report.blames(&signature) {
        report.add_allowing(
            &signature,
            "signs nothing without a secret",
            Some("no signature, or a signing_secret beside it".to_owned()),
        );
    }
}

fn comment(around: &str, exec: &ExecSink, commented: bool, report: &mut Report<'_>) {
    if exec.comment && !commented {
        report.add_allowing(
            &format!("{around}.comment"),
            "cannot be had without a key for the sender's API",
            Some("false, or flashduty.app_key beside it".to_owned()),
        );
    }
}

/// What is worth saying about sinks that can be used; `place` tells where a key was set.
pub(in crate::config) fn warnings(
    sinks: &BTreeMap<String, Sink>,
    place: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, sink) in sinks {
        let delivery = &sink.delivery;
        if let Some(filter) = &delivery.filter
            && !delivery.include_stale
            && filter.compares("event_type", NEW_INCIDENT)
        {
            let key = format!("sink.{name}.filter");
            warnings.push(format!(
                "{}: {key} asks for \"{NEW_INCIDENT}\" without include_stale: a new incident whose event arrives after a later one of it is missed",
                place(&key)
            ));
        }
        if let Destination::Exec(exec) = &sink.to {
            for variable in &exec.env {
                if !exec.values.iter().any(|(known, _)| known == variable) {
                    let key = format!("sink.{name}.env");
                    warnings.push(format!(
                        "{}: {key} names {variable}, which is not set: the command will not find it",
                        place(&key)
                    ));
                }
            }
        }
        if let Destination::Kafka(_) = &sink.to {
            warnings.push(format!(
                "sink.{name} sends events to Kafka without TLS: what they say can be read on the way"
            ));
        }
    }
    warnings
}
