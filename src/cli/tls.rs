//! TLS to a receiver: how its certificate is known, and what is shown to it.
//!
//! A command that goes by the receiver's own configuration knows it by the very certificate that
//! stands there, whatever name or address it is reached by, and needs no authority for that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::listener::tls::{Identity, private_key};
use crate::trust::{self, HTTP, Trust};

/// How an https receiver is known, and what it is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsArgs {
    /// Certificates in PEM to know the receiver by; else the configuration's, or the system's
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate and its key, in PEM in one file, to show where one is asked for
    #[arg(long, global = true, value_name = "FILE")]
    client_cert: Option<PathBuf>,
}

/// The same, read.
#[derive(Default)]
pub struct Known {
    /// Absent where the system's authorities are asked.
    trust: Option<Trust>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl TlsArgs {
    /// Whether there is a certificate to show.
    pub fn has_client_cert(&self) -> bool {
        self.client_cert.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be used, with its path.
    pub fn known(&self) -> anyhow::Result<Known> {
        let trust = match &self.ca {
            Some(path) => {
                let roots = trust::authorities(read(path)?.as_bytes())
                    .map_err(|what| anyhow!("--ca {} {what}", path.display()))?;
                Some(Trust::Authorities(roots))
            }
            None => None,
        };
        let client = match &self.client_cert {
            Some(path) => {
                let pem = read(path)?;
                let chain = trust::certificates(pem.as_bytes());
                let both = chain.and_then(|chain| Ok((chain, private_key(&pem)?)));
                Some(both.map_err(|what| anyhow!("--client-cert {} {what}", path.display()))?)
            }
            None => None,
        };
        Ok(Known { trust, client })
    }

    /// The same for the receiver that shows `identity`, unless --ca says otherwise.
    ///
    /// # Errors
    /// As [`TlsArgs::known`].
    pub fn known_as(&self, identity: Option<&Identity>) -> anyhow::Result<Known> {
        let mut known = self.known()?;
        if let Some(identity) = identity
            && self.ca.is_none()
        {
            known.trust = Some(Trust::Exactly(identity.der().clone()));
        }
        Ok(known)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Makes connections to one host encrypted.
#[derive(Clone)]
pub struct Encryption {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl Encryption {
    /// To `host`, a name or an address.
    ///
    /// # Errors
    /// When it is neither, or what is shown to it cannot be used.
    pub fn new(host: &str, known: &Known) -> anyhow::Result<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(bare.to_owned())
            .with_context(|| format!("{host} is no name of a host"))?;
        let trust = match &known.trust {
            Some(trust) => trust.clone(),
            None => Trust::Authorities(trust::system()),
        };
        let builder = trust.client()?;
        let mut config = match &known.client {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .context("the file of --client-cert cannot be used")?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            host,
        })
    }

    /// Shakes hands on `stream`.
    pub async fn begin(&self, stream: TcpStream) -> io::Result<Stream> {
        let host = self.host.clone();
        let shaken = self.connector.connect(host, stream).await;
        Ok(Stream::Encrypted(Box::new(shaken.map_err(explained)?)))
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encryption").field(&self.host).finish()
    }
}

/// The same error with what may help.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref();
    let hint = match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "name with --ca whoever signed it, and in the URL a host that it names"
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "if this port speaks plain HTTP, let the URL begin with http://"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {hint}"))
}

/// A connection to a receiver.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
