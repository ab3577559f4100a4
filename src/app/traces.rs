//! Where spans are sent, as the configuration has it.

use super::presence;
use crate::build;
use crate::config::{Loaded, Settings};
use crate::trace::{BadDestination, Destination, DestinationOptions};

/// Where spans are sent; `None` while nothing is traced.
///
/// # Errors
/// A [`crate::config::ConfigError`] when nothing can be sent there.
pub(super) fn destination(loaded: &Loaded) -> anyhow::Result<Option<Destination>> {
    let otlp = &loaded.settings.otlp;
    let Some(endpoint) = &otlp.endpoint else {
        return Ok(None);
    };
    let destination = Destination::new(DestinationOptions {
        endpoint: endpoint.clone(),
        headers: otlp.headers.clone(),
        ca: otlp.ca_file.as_ref().map(|file| file.text().to_owned()),
        resource: resource(&loaded.settings),
        ratio: otlp.sample_ratio,
    });
    match destination {
        Ok(destination) => Ok(Some(destination)),
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
