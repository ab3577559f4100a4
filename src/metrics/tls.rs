//! What is counted of TLS, for each listener that speaks it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{FloatGauge, Registrar};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    listener: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeOutcome {
    /// The connection is encrypted.
    Completed,
    /// Plain HTTP came instead.
    PlainHttp,
    /// The client showed no certificate that is accepted.
    ClientCertificate,
    /// The client broke off with an alert, such as that it does not trust our certificate.
    Rejected,
    /// Nothing was in common, or it was no TLS.
    Failed,
    /// The client went away.
    Closed,
    /// The client took too long.
    Timeout,
}

impl HandshakeOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::PlainHttp,
        Self::ClientCertificate,
        Self::Rejected,
        Self::Failed,
        Self::Closed,
        Self::Timeout,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::PlainHttp => "plain_http",
            Self::ClientCertificate => "client_certificate",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
        }
    }
}

/// The metrics of all listeners.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    handshakes: Family<HandshakeLabels, Counter>,
    not_after: Family<ListenerLabels, FloatGauge>,
}

impl TlsMetrics {
    pub(super) fn new(add: &mut Registrar<'_>) -> Self {
        Self {
            handshakes: add.metric("tls_handshakes", "TLS handshakes, by listener and outcome"),
            not_after: add.metric(
                "tls_certificate_not_after_timestamp_seconds",
                "When the certificate in use expires",
            ),
        }
    }

    /// Those of one listener, created at zero.
    pub fn of(&self, listener: &'static str) -> ListenerTls {
        let handshakes = HandshakeOutcome::ALL.map(|outcome| {
            let labels = HandshakeLabels {
                listener,
                outcome: outcome.as_str(),
            };
            self.handshakes.get_or_create(&labels).clone()
        });
        let labels = ListenerLabels { listener };
        ListenerTls {
            handshakes,
            not_after: self.not_after.get_or_create(&labels).clone(),
        }
    }
}

/// The metrics of one listener.
#[derive(Debug, Clone, Default)]
pub struct ListenerTls {
    /// `flashduty_tls_handshakes_total`, by the outcome's number.
    handshakes: [Counter; HandshakeOutcome::ALL.len()],
    /// `flashduty_tls_certificate_not_after_timestamp_seconds`.
    pub not_after: FloatGauge,
}

impl ListenerTls {
    /// Counts one handshake.
    pub fn count(&self, outcome: HandshakeOutcome) {
        self.handshakes[outcome as usize].inc();
    }

    /// How many ended so.
    pub fn counted(&self, outcome: HandshakeOutcome) -> u64 {
        self.handshakes[outcome as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_counts_for_itself() {
        let metrics = ListenerTls::default();
        for (times, outcome) in HandshakeOutcome::ALL.into_iter().enumerate() {
            for _ in 0..times {
                metrics.count(outcome);
            }
        }
        for (times, outcome) in HandshakeOutcome::ALL.into_iter().enumerate() {
            let wanted = u64::try_from(times).unwrap();
            assert_eq!(metrics.counted(outcome), wanted, "{}", outcome.as_str());
        }
    }
}
