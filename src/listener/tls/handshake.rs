//! From a fresh connection to one that is encrypted, or to why it is not.
//!
//! Whoever connects can fail here as often as it likes: that is counted, and told once a minute
//! where somebody has to do something about it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ahead::Ahead;
use super::{Certificate, Tls};
use crate::listener::OverTls;
use crate::listener::outflow::Outflow;
use crate::listener::throttle::Throttle;
use crate::metrics::HandshakeOutcome;

const MINUTE: Duration = Duration::from_secs(60);

/// What is encrypted.
type Socket = Outflow<TcpStream>;

/// What a handshake is made with, and what was told about those that failed.
pub(in crate::listener) struct Handshakes {
    tls: Tls,
    plain: Throttle,
    client_certificate: Throttle,
    rejected: Throttle,
}

/// Why there is none.
#[derive(Debug)]
pub(in crate::listener) enum Failure {
    /// A client that does nothing but connect, such as a probe.
    Silent,
    /// HTTP in the clear, with what came of it.
    Plain(Ahead<Socket>),
    Other(io::Error),
}

impl Handshakes {
    pub(in crate::listener) fn new(tls: Tls) -> Self {
        Self {
            tls,
            plain: Throttle::every(MINUTE),
            client_certificate: Throttle::every(MINUTE),
            rejected: Throttle::every(MINUTE),
        }
    }

    /// Shakes hands, with the certificate that is in force now.
    pub(in crate::listener) async fn shake(
        &self,
        mut stream: Ahead<Socket>,
    ) -> Result<(TlsStream<Ahead<Socket>>, OverTls), Failure> {
        let first = stream.first().await.map_err(Failure::Other)?;
        match first.first().copied() {
            None => return Err(Failure::Silent),
            // Records of TLS begin with a small number, methods of HTTP with a letter.
            Some(byte) if byte.is_ascii_alphabetic() => return Err(Failure::Plain(stream)),
            Some(_) => {}
        }
        let config = self.tls.identity.load().config();
        let stream = TlsAcceptor::from(config).accept(stream).await;
        let stream = stream.map_err(Failure::Other)?;
        self.tls.metrics.count(HandshakeOutcome::Completed);
        let client = client_of(&stream);
        Ok((stream, OverTls { client }))
    }

    /// The client's time was up.
    pub(in crate::listener) fn overdue(&self, socket: IpAddr) {
        self.tls.metrics.count(HandshakeOutcome::Timeout);
        tracing::debug!(%socket, "no TLS handshake in time");
    }

    /// Plain HTTP came.
    pub(in crate::listener) fn plain(&self, socket: IpAddr) {
        self.tls.metrics.count(HandshakeOutcome::PlainHttp);
        if let Some(silenced) = self.plain.pass() {
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                "request refused: it came as plain HTTP, and {section}.listen speaks TLS; let its URL \
                 begin with https://, or let the proxy or balancer in front speak TLS to this port",
                section = self.tls.section,
            );
        }
    }

    /// There is no encrypted connection, for this reason.
    pub(in crate::listener) fn failed(&self, socket: IpAddr, error: &io::Error) {
        let outcome = outcome(error);
        self.tls.metrics.count(outcome);
        let section = self.tls.section;
        match outcome {
            HandshakeOutcome::ClientCertificate => {
                if let Some(silenced) = self.client_certificate.pass() {
                    tracing::warn!(
                        peer_ip = %socket,
                        silenced,
                        cause = %error,
                        "connection refused: the client showed no certificate that is valid by \
                         {section}.tls.client_ca"
                    );
                }
            }
            HandshakeOutcome::Rejected => {
                if let Some(silenced) = self.rejected.pass() {
                    tracing::warn!(
                        peer_ip = %socket,
                        silenced,
                        cause = %error,
                        "the client broke off the TLS handshake; if it does not trust the \
                         certificate, see whether {section}.tls.cert holds the whole chain, is in \
                         date, and names the host of the client's URL"
                    );
                }
            }
            _ => tracing::debug!(%socket, "TLS handshake failed: {error}"),
        }
    }
}

/// By whose certificate the client came, where one was asked for.
fn client_of(stream: &TlsStream<Ahead<Socket>>) -> Option<Arc<str>> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates()?.first()?;
    Some(Arc::from(Certificate::read(shown)?.name))
}

fn outcome(error: &io::Error) -> HandshakeOutcome {
    let inner = error.get_ref();
    let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return HandshakeOutcome::Closed;
    };
    match error {
        rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
            HandshakeOutcome::ClientCertificate
        }
        rustls::Error::AlertReceived(_) => HandshakeOutcome::Rejected,
        _ => HandshakeOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, InvalidMessage};

    use super::*;

    #[test]
    fn a_failure_is_told_by_whose_it_is() {
        let of = |error: rustls::Error| outcome(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(
            of(rustls::Error::NoCertificatesPresented),
            HandshakeOutcome::ClientCertificate
        );
        assert_eq!(
            of(CertificateError::UnknownIssuer.into()),
            HandshakeOutcome::ClientCertificate
        );
        assert_eq!(
            of(rustls::Error::AlertReceived(AlertDescription::UnknownCA)),
            HandshakeOutcome::Rejected
        );
        assert_eq!(
            of(rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
            )),
            HandshakeOutcome::Failed
        );
        let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(outcome(&gone), HandshakeOutcome::Closed);
    }
}
