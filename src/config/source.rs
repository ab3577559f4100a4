//! `[source]`: who may push.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{header, net, secret};
use crate::source::{ClientIpHeader, Enforce, PUBLISHED, SourceOptions};

/// What a push must bring to be accepted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Source {
    /// Addresses the sender pushes from.
    #[serde(serialize_with = "net::serialize", deserialize_with = "net::allowed")]
    #[schemars(with = "net::Allowed")]
    pub allow: Vec<IpNet>,
    /// What keeps strangers out.
    pub enforce: Enforce,
    /// Peers whose forwarding or PROXY header is believed.
    #[serde(serialize_with = "net::serialize", deserialize_with = "net::trusted")]
    #[schemars(with = "net::Trusted")]
    pub trusted_proxies: Vec<IpNet>,
    /// The one forwarding header that is read.
    pub client_ip_header: ClientIpHeader,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// Values of `token_header`, any of which will do; none: no such check.
    #[serde(
        serialize_with = "secret::serialize_list",
        deserialize_with = "secret::deserialize_list",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "secret::TextList")]
    pub token: Vec<SecretString>,
    /// The header that carries the token.
    #[serde(with = "header")]
    #[schemars(with = "String", extend("x-allowed" = "the name of a header, such as \"X-Flashduty-Token\""))]
    pub token_header: HeaderName,
    /// More headers that must match, each with the values that will do.
    #[serde(
        serialize_with = "header::serialize_table",
        deserialize_with = "header::deserialize_table",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "header::Table")]
    pub headers: Vec<(HeaderName, Vec<SecretString>)>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            allow: PUBLISHED
                .map(|address| IpNet::from(IpAddr::from(address)))
                .to_vec(),
            enforce: Enforce::Address,
            trusted_proxies: Vec::new(),
            client_ip_header: ClientIpHeader::XForwardedFor,
            proxy_protocol: ProxyProtocol::Off,
            token: Vec::new(),
            token_header: HeaderName::from_static("x-flashduty-token"),
            headers: Vec::new(),
        }
    }
}

impl Source {
    /// The section as the rules take it.
    pub fn options(&self) -> SourceOptions {
        SourceOptions {
            allow: self.allow.clone(),
            enforce: self.enforce,
            trusted_proxies: self.trusted_proxies.clone(),
            client_ip_header: self.client_ip_header,
            proxy_protocol: self.proxy_protocol == ProxyProtocol::Required,
            tokens: self.token.clone(),
            token_header: self.token_header.clone(),
            headers: self.headers.clone(),
        }
    }
}

/// Whether the PROXY protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Connections begin with HTTP.
    Off,
    /// Connections begin with a version 1 or 2 header, from trusted proxies only.
    Required,
}
