//! Where spans are sent, as the configuration has it.

use std::sync::Arc;

use super::presence;
use crate::build;
use crate::config::{Loaded, Settings};
use crate::trace::{BadDestination, Destination, DestinationOptions, Tracer};

/// Where spans are sent; `None` while nothing is traced. Where the configuration says what it said, it
/// is where `tracer` sends them now: a collector that asked to be left alone still is.
///
/// # Errors
/// A [`crate::config::ConfigError`] when nothing can be sent there.
pub(super) fn destination(
    loaded: &Loaded,
    tracer: &Tracer,
) -> anyhow::Result<Option<Arc<Destination>>> {
    let otlp = &loaded.settings.otlp;
    let Some(endpoint) = &otlp.endpoint else {
        return Ok(None);
    };
    let options = DestinationOptions {
        endpoint: endpoint.clone(),
        headers: otlp.headers.clone(),
        ca: otlp.ca_file.as_ref().map(|file| file.text().to_owned()),
        resource: resource(&loaded.settings),
        ratio: otlp.sample_ratio,
    };
    if let Some(stays) = tracer.destination_by(&options) {
        return Ok(Some(stays));
    }
    match Destination::new(options) {
        Ok(destination) => Ok(Some(Arc::new(destination))),
        Err(bad) => {
            let key = match &bad {
                BadDestination::Header(name) => format!("otlp.headers.{name}"),
                BadDestination::Ca(_) => "otlp.ca_file".to_owned(),
                BadDestination::Endpoint | BadDestination::Client(_) => "otlp.endpoint".to_owned(),
            };
            Err(loaded.problem(&key, bad.to_string()).into())
        }
    }
}

/// What makes the spans. What is configured goes before what is known anyway.
fn resource(settings: &Settings) -> Vec<(String, String)> {
    let otlp = &settings.otlp;
    let known = [
        ("service.name", otlp.service_name.clone()),
        ("service.version", build::VERSION.to_owned()),
        (
            "service.instance.id",
            presence::name(settings.server.listen),
        ),
    ];
    let known = known.map(|(key, value)| (key.to_owned(), value));
    let known = known
        .into_iter()
        .filter(|(key, _)| !otlp.resource.contains_key(key));
    known.chain(otlp.resource.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, ConfigSource, Environment};
    use crate::metrics::Metrics;

    const ENDPOINT: (&str, &str) = (
        "FLASHDUTY__OTLP__ENDPOINT",
        "http://127.0.0.1:1/in?k=canary",
    );

    fn loaded(more: Option<(&str, &str)>) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let source = ConfigSource {
            directory: folder.path().to_owned(),
            environment: Environment::from_pairs([ENDPOINT].into_iter().chain(more)),
            ..ConfigSource::default()
        };
        config::load(&source).unwrap()
    }

    #[test]
    fn a_reload_that_changes_nothing_of_a_collector_leaves_it_as_it_is() {
        let (tracer, _exporter) = Tracer::new(&Metrics::new().spans);
        let first = destination(&loaded(None), &tracer).unwrap();
        tracer.change(first.clone());
        let stays = |more| {
            let again = destination(&loaded(more), &tracer).unwrap().unwrap();
            first
                .as_ref()
                .is_some_and(|first| Arc::ptr_eq(first, &again))
        };
        assert!(stays(None));
        assert!(stays(Some(("FLASHDUTY__LOG__LEVEL", "debug"))));
        for other in [
            ("FLASHDUTY__OTLP__ENDPOINT", "http://127.0.0.1:1/in?k=other"),
            ("FLASHDUTY__OTLP__HEADERS__AUTHORIZATION", "other"),
            ("FLASHDUTY__OTLP__SAMPLE_RATIO", "0.5"),
            ("FLASHDUTY__OTLP__SERVICE_NAME", "other"),
        ] {
            assert!(!stays(Some(other)), "{other:?}");
        }
    }
}
