//! The client: what it connects to, what it trusts, and how long it waits.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Proxy, Url};
use secrecy::ExposeSecret as _;

use super::HttpOptions;
use super::private::{PublicOnly, is_private};
use crate::trust::{self, Trust};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Shorter than servers usually keep an idle connection, 5 s being the shortest that is common: a
/// request on a connection that the other side is closing has an unknown end.
const IDLE: Duration = Duration::from_secs(4);

/// Why options make no sink. Names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOptions {
    /// Its fixed part is no URL, or what a template makes of no event at all is none.
    #[error("url: {0}")]
    Url(String),
    /// What the template gives is no method that can be sent.
    #[error("method: {0}")]
    Method(String),
    /// A header that cannot be sent, or is not for the user to set.
    #[error("headers: {0} {1}")]
    Header(http::HeaderName, &'static str),
    /// It is no URL of a proxy.
    #[error("proxy: is no http:// or https:// URL")]
    Proxy,
    /// The certificates cannot be read.
    #[error("ca_file: {0}")]
    Ca(String),
    /// The URL's host is an address that may not be connected to.
    #[error("url: its host is the private address {0}, and allow_private is false")]
    Private(IpAddr),
    /// Behind a proxy nobody sees what is connected to.
    #[error(
        "proxy: with allow_private = false there can be none, because what it connects to cannot be checked"
    )]
    PrivateBehindProxy,
    /// It is no pointer.
    #[error("remember: the value of {0} is no JSON pointer")]
    Pointer(String),
    /// The system does not let a client be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// How long a connection may take: an attempt has time left when it is refused, so that a timeout
/// while connecting is never taken for one while waiting for an answer.
pub(super) fn connect_timeout(timeout: Duration) -> Duration {
    CONNECT.min(timeout / 2)
}

/// A client for `origin`.
pub(super) fn build(options: &HttpOptions, origin: &Url) -> Result<Client, BadOptions> {
    let proxy = match &options.proxy {
        Some(proxy) => Some(proxy_url(proxy.expose_secret())?),
        None => None,
    };
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Nor the environment's.
        .no_proxy()
        .http1_only()
        .connect_timeout(connect_timeout(options.timeout))
        .timeout(options.timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.idle_connections);
    if !options.allow_private {
        refuse_private(origin, proxy.as_ref())?;
        builder = builder.dns_resolver(PublicOnly);
    }
    let is_secure = |url: &Url| url.scheme() == "https";
    let uses_tls = is_secure(origin) || proxy.as_ref().is_some_and(is_secure);
    let roots = trust::system_and(options.ca.as_deref(), uses_tls).map_err(BadOptions::Ca)?;
    let tls = Trust::Authorities(roots).http_client();
    let tls = tls.map_err(|error| BadOptions::Client(error.to_string()))?;
    builder = builder.tls_backend_preconfigured(tls);
    if let Some(proxy) = proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(|_| BadOptions::Proxy)?);
    }
    builder
        .build()
        .map_err(|error| BadOptions::Client(error.without_url().to_string()))
}

fn proxy_url(proxy: &str) -> Result<Url, BadOptions> {
    Url::parse(proxy)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(BadOptions::Proxy)
}

fn refuse_private(origin: &Url, proxy: Option<&Url>) -> Result<(), BadOptions> {
    if proxy.is_some() {
        return Err(BadOptions::PrivateBehindProxy);
    }
    // The parser has put every way to write an address into the usual one.
    let host = origin.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(address) if is_private(address) => Err(BadOptions::Private(address)),
        _ => Ok(()),
    }
}
