//! The kafka sink: each event becomes one record, keyed by its subject, and counts as delivered once
//! all in-sync replicas have it.
//!
//! The key keeps a subject's events in one partition and so in order; idempotence keeps librdkafka's
//! own retries from changing that. When a record's time is up, librdkafka does not say whether it had
//! been sent. So after a batch that went wrong, and at first, the brokers are asked for the topic
//! before anything is handed over: while they are away, a batch is known to have had no effect.

mod options;
mod outcome;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::{Instant, timeout_at};

pub use self::options::KafkaOptions;
use super::broker::{Misconfigured, Results, all, fields, redacted, retry, unknown};
use super::{Greeting, Sink, SinkError, Taken};
use crate::inbox::Lease;

type Producer = FutureProducer<Complaints>;

/// Writes to a topic.
pub struct KafkaSink {
    options: KafkaOptions,
    config: ClientConfig,
    /// There until the sink is dropped.
    producer: Mutex<Option<Producer>>,
    complaints: Complaints,
    /// Whether the last batch went well.
    well: AtomicBool,
}

impl KafkaSink {
    /// Checks `options` and starts librdkafka's threads; it connects by itself. Says aloud that
    /// nothing is encrypted, where it is not.
    pub fn new(options: KafkaOptions) -> Result<Self, Misconfigured> {
        let config = options.config()?;
        let complaints = Complaints::default();
        let producer =
            Producer::from_config_and_context(&config, complaints.clone()).map_err(|error| {
                let said = redacted(&error.to_string(), options.secrets());
                Misconfigured::new("properties", said)
            })?;
        if !options::has_tls() {
            tracing::warn!(
                brokers = options.brokers,
                "built without TLS for Kafka: what goes to these brokers goes in the clear{}",
                if options.password.is_some() {
                    ", the password too"
                } else {
                    ""
                }
            );
        }
        Ok(Self {
            options,
            config,
            producer: Mutex::new(Some(producer)),
            complaints,
            well: AtomicBool::new(false),
        })
    }

    fn producer(&self) -> Option<Producer> {
        let producer = self.producer.lock();
        producer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A fatal error ends a producer for good, because it can no longer promise order: another one
    /// takes its place.
    fn renew(&self, broken: Producer) {
        let Some((code, reason)) = broken.client().fatal_error() else {
            return;
        };
        let reason = self.clean(&reason);
        tracing::error!(
            brokers = self.options.brokers,
            "the Kafka producer failed for good and is replaced: {code}: {reason}"
        );
        match Producer::from_config_and_context(&self.config, self.complaints.clone()) {
            Ok(new) => {
                let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
                let old = producer.replace(new);
                drop(producer);
                end(vec![Some(broken), old]);
            }
            Err(error) => {
                let reason = self.clean(&error.to_string());
                tracing::error!("a new Kafka producer could not be made: {reason}");
            }
        }
    }

    /// Asks the brokers for the topic: for it alone, or, where brokers should not make what they are
    /// asked for, for all that there are.
    async fn reached(
        &self,
        producer: &Producer,
        deadline: Instant,
        alone: bool,
    ) -> Result<(), SinkError> {
        let (asking, topic) = (producer.clone(), self.options.topic.clone());
        let limit = self.options.timeout / 2;
        let asked = tokio::task::spawn_blocking(move || {
            let wanted = alone.then_some(topic.as_str());
            let metadata = asking.client().fetch_metadata(wanted, limit)?;
            let mut topics = metadata.topics().iter();
            let error = match topics.find(|found| found.name() == topic) {
                Some(found) => found.error().map(RDKafkaErrorCode::from),
                None => (!alone).then_some(RDKafkaErrorCode::UnknownTopicOrPartition),
            };
            Ok::<_, KafkaError>(error)
        });
        let brokers = &self.options.brokers;
        match timeout_at(deadline, asked).await {
            Ok(Ok(Ok(None))) => Ok(()),
            Ok(Ok(Ok(Some(code)))) => Err(outcome::of_topic(&self.options.topic, code)),
            Ok(Ok(Err(error))) => Err(retry(format!(
                "no broker of {brokers} answers: {error}{}",
                self.last_complaint()
            ))),
            Ok(Err(_)) | Err(_) => Err(retry(format!("no broker of {brokers} answers in time"))),
        }
    }

    fn publish(&self, producer: &Producer, lease: &Lease) -> Result<DeliveryFuture, SinkError> {
        let fields = fields(lease);
        let mut headers = OwnedHeaders::new_with_capacity(fields.len());
        for (key, value) in &fields {
            headers = headers.insert(Header {
                key,
                value: Some(&**value),
            });
        }
        let subject = lease.event.subject.as_ref().map(ToString::to_string);
        let mut record = FutureRecord::<str, [u8]>::to(&self.options.topic)
            .payload(&lease.event.body[..])
            .headers(headers);
        if let Some(subject) = &subject {
            record = record.key(subject);
        }
        producer
            .send_result(record)
            .map_err(|(error, _record)| outcome::of_handing_over(&error))
    }

    async fn acknowledged(
        &self,
        sent: Result<DeliveryFuture, SinkError>,
        deadline: Instant,
    ) -> Result<Taken, SinkError> {
        match timeout_at(deadline, sent?).await {
            Ok(Ok(Ok(_stored))) => Ok(Taken::default()),
            Ok(Ok(Err((error, _message)))) => {
                Err(outcome::of_delivery(&error, &self.last_complaint()))
            }
            Ok(Err(_gone)) => Err(unknown(
                "the Kafka producer ended before it was acknowledged",
            )),
            Err(_elapsed) => Err(unknown(format!(
                "no acknowledgement within {:?}{}",
                self.options.timeout,
                self.last_complaint()
            ))),
        }
    }

    fn last_complaint(&self) -> String {
        let last = self
            .complaints
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = last
            .as_deref()
            .map(|last| format!(" ({})", self.clean(last)));
        last.unwrap_or_default()
    }

    /// Without the secrets that librdkafka may quote.
    fn clean(&self, text: &str) -> String {
        redacted(text, self.options.secrets())
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn deliver(&self, leases: &[Lease]) -> Results {
        let deadline = Instant::now() + self.options.timeout;
        let Some(producer) = self.producer() else {
            return all(leases, &retry("the sink ends"));
        };
        if !self.well.load(Ordering::Relaxed)
            && let Err(error) = self.reached(&producer, deadline, true).await
        {
            return all(leases, &error);
        }
        // Records of one batch are handed over in order before any is waited for.
        let sent: Vec<_> = leases
            .iter()
            .map(|lease| self.publish(&producer, lease))
            .collect();
        let ended = sent
            .into_iter()
            .map(|sent| self.acknowledged(sent, deadline));
        let results = join_all(ended).await;
        let well = results.iter().all(Result::is_ok);
        self.well.store(well, Ordering::Relaxed);
        if well {
            self.complaints.forget();
        } else {
            self.renew(producer);
        }
        results
    }

    async fn greet(&self) -> Result<Greeting, SinkError> {
        let deadline = Instant::now() + self.options.timeout;
        let Some(producer) = self.producer() else {
            return Err(retry("the sink ends"));
        };
        self.reached(&producer, deadline, false).await?;
        Ok(Greeting::default())
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        let producer = self.producer.get_mut();
        end(vec![
            producer.unwrap_or_else(PoisonError::into_inner).take(),
        ]);
    }
}

/// The end of a producer waits for its threads, which no task may.
fn end(producers: Vec<Option<Producer>>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn_blocking(move || drop(producers));
    }
}

/// What librdkafka last complained of, for those who ask why nothing is delivered.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Option<String>>>);

impl Complaints {
    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ClientContext for Complaints {
    /// Nothing: these lines name brokers again and again, and what matters of them comes as an error.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows the reason why, and says less.
        let all_down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        if error != all_down || last.is_none() {
            *last = Some(reason.to_owned());
        }
    }
}
