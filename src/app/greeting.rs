//! Connecting to where a sink delivers to, without a delivery: for who asks whether it would work.

use std::sync::Arc;

use anyhow::bail;

use super::{brokers, plans};
use crate::clock::Clock;
use crate::config::{Destination, Loaded};
use crate::sink::http::HttpSink;
use crate::sink::{Greeting, Sink};

/// Greets where the sink `name` delivers to. One that connects to nobody greets nobody.
///
/// # Errors
/// When the sink cannot be made, or there is no connection.
pub async fn greet(loaded: &Loaded, name: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Greeting> {
    let Some(sink) = loaded.settings.sinks.get(name) else {
        bail!("there is no sink {name}");
    };
    let delivery = &sink.delivery;
    let made: Arc<dyn Sink> = match &sink.to {
        Destination::Http(http) => {
            let options = http.options(delivery);
            let options = options.map_err(|faults| plans::blame(loaded, name, &faults))?;
            Arc::new(HttpSink::new(options, clock)?)
        }
        Destination::Nats(nats) => brokers::nats(nats, delivery)?,
        Destination::Redis(redis) => brokers::redis(redis, delivery)?,
        Destination::Kafka(kafka) => brokers::kafka(kafka, delivery)?,
        Destination::Log(_) | Destination::Exec(_) | Destination::File(_) => {
            return Ok(Greeting::default());
        }
    };
    Ok(made.greet().await?)
}
