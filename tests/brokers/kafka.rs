//! The kafka sink against librdkafka's mock cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flashduty_receiver::sink::kafka::{KafkaOptions, KafkaSink};
use flashduty_receiver::sink::{Sink as _, SinkError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::arrived::{Arrived, check};
use crate::course::{Course, event, leases};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "flashduty";
const PARTITIONS: i32 = 4;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 2).unwrap();
    cluster
}

fn options(brokers: String) -> KafkaOptions {
    KafkaOptions {
        brokers,
        topic: TOPIC.to_owned(),
        username: None,
        password: None,
        ca_file: None,
        properties: BTreeMap::new(),
        timeout: Duration::from_secs(4),
    }
}

/// Reads all partitions, one after the other.
fn arrived(cluster: &Cluster) -> Vec<Arrived> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut found = Vec::new();
    for partition in 0..PARTITIONS {
        let patience = Duration::from_secs(20);
        let (low, high) = consumer
            .fetch_watermarks(TOPIC, partition, patience)
            .unwrap();
        let mut assigned = TopicPartitionList::new();
        assigned
            .add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
        consumer.assign(&assigned).unwrap();
        let until = Instant::now() + patience;
        let mut next = low;
        while next < high {
            assert!(
                Instant::now() < until,
                "partition {partition}: {next} of {high}"
            );
            let Some(message) = consumer.poll(Duration::from_millis(200)) else {
                continue;
            };
            let message = message.unwrap();
            next = message.offset() + 1;
            let headers = message.headers().unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let fields: BTreeMap<String, String> = headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                .collect();
            let key = text(message.key().unwrap());
            assert_eq!(fields.get("Flashduty-Subject"), Some(&key));
            found.push(Arrived {
                fields,
                body: message.payload().unwrap().to_vec(),
            });
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_whose_brokers_go_and_come_back_has_every_event_in_order() {
    let cluster = cluster();
    let sink = Arc::new(KafkaSink::new(options(cluster.bootstrap_servers())).unwrap());
    let mut course = Course::run(sink, 2_000, 50).await;
    for enough in [400, 1_200] {
        let before = course.until(|progress| progress.delivered >= enough).await;
        for broker in [1, 2] {
            cluster.broker_down(broker).unwrap();
        }
        course
            .until(|progress| progress.failed > before.failed || progress.delivered == 2_000)
            .await;
        for broker in [1, 2] {
            cluster.broker_up(broker).unwrap();
        }
    }
    let progress = course.until(|progress| progress.delivered == 2_000).await;
    course.end().await;
    assert!(progress.failed > 0, "the brokers went in the middle");
    let repeats = check(&arrived(&cluster), 2_000, 50);
    println!(
        "kafka: {} failed attempts, {repeats} repeats",
        progress.failed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_failed_for_good_is_replaced() {
    let cluster = cluster();
    let sink = KafkaSink::new(options(cluster.bootstrap_servers())).unwrap();
    let batch = leases(vec![event(0, 1)]).await;
    assert!(sink.deliver(&batch).await[0].is_ok());
    // The broker has another idea of what came last: nothing idempotent can be promised any more,
    // and the producer takes no further record.
    let desynchronised = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[desynchronised]);
    let failed = sink.deliver(&batch).await;
    assert!(
        matches!(&failed[0], Err(SinkError::Unknown(_))),
        "{failed:?}"
    );
    let again = sink.deliver(&batch).await;
    assert!(again[0].is_ok(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_broker_is_there_a_batch_is_known_to_have_had_no_effect() {
    let cluster = cluster();
    let sink = KafkaSink::new(options(cluster.bootstrap_servers())).unwrap();
    for broker in [1, 2] {
        cluster.broker_down(broker).unwrap();
    }
    let batch = leases(vec![event(0, 2), event(1, 2)]).await;
    for result in sink.deliver(&batch).await {
        let Err(SinkError::Retry(failure)) = &result else {
            panic!("{result:?}");
        };
        assert!(failure.reason.contains("no broker"), "{failure}");
    }
    for broker in [1, 2] {
        cluster.broker_up(broker).unwrap();
    }
    assert!(sink.deliver(&batch).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_brokers_refuse_for_its_size_is_given_up() {
    let cluster = cluster();
    let sink = KafkaSink::new(options(cluster.bootstrap_servers())).unwrap();
    let batch = leases(vec![event(0, 1)]).await;
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large]);
    let refused = sink.deliver(&batch).await;
    assert!(
        matches!(&refused[0], Err(SinkError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_is_greeted_and_makes_no_topic_for_it() {
    let cluster = cluster();
    let sink = KafkaSink::new(options(cluster.bootstrap_servers())).unwrap();
    sink.greet().await.unwrap();
    assert!(arrived(&cluster).is_empty());
    for _ in 0..2 {
        let mut other = options(cluster.bootstrap_servers());
        other.topic = "another".to_owned();
        let missing = KafkaSink::new(other).unwrap().greet().await.unwrap_err();
        let said = missing.to_string();
        assert!(said.contains("the topic another does not exist"), "{said}");
    }
}
