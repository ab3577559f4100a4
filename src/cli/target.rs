//! Where requests go: an `http://` or `https://` URL.

use std::io;

use anyhow::{Context as _, bail};
use http::Uri;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::tls::{Encryption, Known, Stream};
use crate::source::proxy;

/// A parsed URL, in the parts a request and a socket need.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host and port as the URL gave them, for the `Host` header.
    pub authority: String,
    /// Host and port to connect to.
    pub address: String,
    /// Path and query.
    pub path: String,
    /// What comes before everything else on a connection.
    preamble: &'static [u8],
    /// Of an `https://` URL.
    encryption: Option<Encryption>,
}

impl Target {
    /// Takes an `http://` URL, or an `https://` one of a receiver that is `known`; one without a path
    /// means `default_path`.
    ///
    /// # Errors
    /// When it is no such URL, with what to write instead.
    pub fn parse(url: &str, default_path: &str, known: &Known) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("{url}: give a whole URL, such as http://127.0.0.1:8080{default_path}"),
        };
        let authority = uri
            .authority()
            .with_context(|| format!("{url} names no host"))?;
        if authority.as_str().contains('@') {
            bail!("a user and password in the URL are not sent; a secret goes into a header");
        }
        let path = match uri.path_and_query().map(|path| path.as_str()) {
            None | Some("" | "/") => default_path,
            Some(path) => path,
        };
        let encryption = match is_secure {
            true => Some(Encryption::new(authority.host(), known)?),
            false => None,
        };
        let usual_port = if is_secure { 443 } else { 80 };
        Ok(Self {
            authority: authority.to_string(),
            address: format!(
                "{}:{}",
                authority.host(),
                authority.port_u16().unwrap_or(usual_port)
            ),
            path: path.to_owned(),
            preamble: &[],
            encryption,
        })
    }

    /// The same where the PROXY protocol is spoken: asked as a proxy asks for itself.
    #[must_use]
    pub fn asked_by_a_proxy(self) -> Self {
        Self {
            preamble: proxy::LOCAL,
            ..self
        }
    }

    /// Begins a connection to it: says what comes first, and encrypts it where that is asked for.
    ///
    /// # Errors
    /// When whoever listens there is not known, or speaks no TLS.
    pub async fn begin(&self, mut stream: TcpStream) -> io::Result<Stream> {
        stream.write_all(self.preamble).await?;
        match &self.encryption {
            Some(encryption) => encryption.begin(stream).await,
            None => Ok(Stream::Plain(stream)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_address_and_path() {
        let target = |url| Target::parse(url, "/webhook", &Known::default()).unwrap();
        let full = target("http://[::1]:8080/webhook/a?team=b");
        assert_eq!(full.authority, "[::1]:8080");
        assert_eq!(full.address, "[::1]:8080");
        assert_eq!(full.path, "/webhook/a?team=b");
        assert_eq!(target("http://receiver").address, "receiver:80");
        assert_eq!(target("http://receiver").path, "/webhook");
        assert_eq!(target("http://receiver/").path, "/webhook");
        assert_eq!(target("https://receiver/").address, "receiver:443");
        assert_eq!(target("https://[::1]:8443/").address, "[::1]:8443");
        assert!(target("https://[::1]:8443/").encryption.is_some());
    }

    #[test]
    fn other_urls_are_refused_with_what_to_write() {
        let parse = |url| Target::parse(url, "/webhook", &Known::default());
        let error = |url| parse(url).unwrap_err().to_string();
        insta::assert_snapshot!(error("127.0.0.1:8080"), @"127.0.0.1:8080: give a whole URL, such as http://127.0.0.1:8080/webhook");
        assert!(!error("http://u:hunter2@receiver/").contains("hunter2"));
    }
}
