//! Sinks for brokers, each where it was built in; where it was not, the configuration was refused.

use std::sync::Arc;

use crate::config::{Delivery, KafkaSink, NatsSink, RedisSink};
use crate::sink::Sink;

type Made = anyhow::Result<Arc<dyn Sink>>;

#[cfg(feature = "nats")]
pub(super) fn nats(nats: &NatsSink, delivery: &Delivery) -> Made {
    use crate::sink::nats::{NatsAuth, NatsOptions, NatsSink};
    let credentials = nats.credentials_file.as_ref();
    let sink = NatsSink::new(NatsOptions {
        url: nats.url.clone().unwrap_or_default(),
        subject: nats.subject.clone(),
        stream: nats.stream.clone(),
        auth: credentials.map(|file| NatsAuth::Credentials(file.text().into())),
        ca_file: pem(nats.ca_file.as_ref()),
        timeout: delivery.timeout.unwrap_or_default(),
    })?;
    Ok(Arc::new(sink))
}

#[cfg(feature = "redis")]
pub(super) fn redis(redis: &RedisSink, delivery: &Delivery) -> Made {
    use crate::sink::redis::{RedisOptions, RedisSink};
    let sink = RedisSink::new(RedisOptions {
        url: redis.url.clone().unwrap_or_default(),
        key: redis.key.clone(),
        max_len: Some(redis.max_len).filter(|most| *most > 0),
        username: None,
        password: None,
        ca_file: pem(redis.ca_file.as_ref()),
        timeout: delivery.timeout.unwrap_or_default(),
    })?;
    Ok(Arc::new(sink))
}

#[cfg(feature = "kafka")]
pub(super) fn kafka(kafka: &KafkaSink, delivery: &Delivery) -> Made {
    use crate::sink::kafka::{KafkaOptions, KafkaSink};
    let sink = KafkaSink::new(KafkaOptions {
        brokers: kafka.brokers.join(","),
        topic: kafka.topic.clone(),
        username: None,
        password: None,
        ca_file: None,
        properties: std::collections::BTreeMap::new(),
        timeout: delivery.timeout.unwrap_or_default(),
    })?;
    Ok(Arc::new(sink))
}

#[cfg(any(feature = "nats", feature = "redis"))]
fn pem(file: Option<&crate::config::Document>) -> Option<Vec<u8>> {
    file.map(|file| file.text().as_bytes().to_vec())
}

#[cfg(not(feature = "nats"))]
pub(super) fn nats(_: &NatsSink, _: &Delivery) -> Made {
    Err(anyhow::anyhow!("this build has no sinks for NATS"))
}

#[cfg(not(feature = "redis"))]
pub(super) fn redis(_: &RedisSink, _: &Delivery) -> Made {
    Err(anyhow::anyhow!("this build has no sinks for Redis"))
}

#[cfg(not(feature = "kafka"))]
pub(super) fn kafka(_: &KafkaSink, _: &Delivery) -> Made {
    Err(anyhow::anyhow!("this build has no sinks for Kafka"))
}
