//! From librdkafka's error codes to what the dispatcher does next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::sink::SinkError;
use crate::sink::broker::{refused, retry, unknown};

/// The brokers answered, and cannot serve the topic.
pub(super) fn of_topic(topic: &str, code: Code) -> SinkError {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic => retry(format!(
            "the topic {topic} does not exist: make it, such as with kafka-topics.sh --create \
             --topic {topic}"
        )),
        code => retry(format!(
            "the topic {topic} cannot be written to now: {code}"
        )),
    }
}

/// It was not handed over, so that nothing was sent.
pub(super) fn of_handing_over(error: &KafkaError) -> SinkError {
    match error.rdkafka_error_code() {
        Some(code) if is_too_large(code) => too_large(),
        Some(Code::InvalidRecord) => not_taken(),
        _ => retry(format!("not handed over to librdkafka: {error}")),
    }
}

/// It was handed over, and did not end well. `complaint` is what librdkafka last said.
pub(super) fn of_delivery(error: &KafkaError, complaint: &str) -> SinkError {
    let Some(code) = error.rdkafka_error_code() else {
        return unknown(format!("no acknowledgement: {error}{complaint}"));
    };
    match code {
        code if is_too_large(code) => too_large(),
        Code::InvalidRecord => not_taken(),
        // A broker's answer that nothing was written, or nothing was sent.
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::NotEnoughReplicas
        | Code::PolicyViolation
        | Code::InvalidRequiredAcks
        | Code::QueueFull
        | Code::PurgeQueue => retry(format!("the brokers did not write it: {code}{complaint}")),
        // Among them timeouts, and replicas that failed after the leader had written it.
        _ => unknown(format!("no acknowledgement: {code}{complaint}")),
    }
}

fn is_too_large(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::InvalidMessageSize)
}

fn too_large() -> SinkError {
    refused(
        "the brokers refuse a push of this size: raise the topic's max.message.bytes (and \
         message.max.bytes in `properties`), then replay this one",
    )
}

fn not_taken() -> SinkError {
    refused(
        "the brokers do not take this record: a topic that is compacted wants a key, which an event \
         without a subject has not",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_have_had_no_effect_counts_as_such() {
        let end = |code| of_delivery(&KafkaError::MessageProduction(code), "");
        for code in [Code::NotEnoughReplicas, Code::TopicAuthorizationFailed] {
            assert!(matches!(end(code), SinkError::Retry(_)), "{code}");
        }
        for code in [
            Code::MessageTimedOut,
            Code::NotEnoughReplicasAfterAppend,
            Code::Fatal,
            Code::RequestTimedOut,
        ] {
            assert!(matches!(end(code), SinkError::Unknown(_)), "{code}");
        }
        assert!(matches!(
            end(Code::MessageSizeTooLarge),
            SinkError::Refused(_)
        ));
    }

    #[test]
    fn what_was_not_handed_over_had_no_effect() {
        let full = KafkaError::MessageProduction(Code::QueueFull);
        assert!(matches!(of_handing_over(&full), SinkError::Retry(_)));
    }
}
