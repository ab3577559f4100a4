//! How a command finds the inbox: named, or by the configuration of the receiver it belongs to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::SecretString;

use super::api::Api;
use super::reader::Reader;
use super::settings;
use super::tls::TlsArgs;
use crate::app;
use crate::config::{Loaded, ProxyProtocol};

/// Which receiver to ask.
#[derive(Debug, Args)]
pub struct AccessArgs {
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "The admin listener to ask, such as http://127.0.0.1:9090; else the configuration's"
    )]
    api: Option<String>,
    /// A file that holds the admin token; else the configuration's admin.token
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
}

impl AccessArgs {
    /// The way to the inbox: the API of the receiver that answers, else the store itself, unless
    /// somebody holds it.
    ///
    /// # Errors
    /// When neither can be had, with what to do.
    pub async fn open(&self, config: Option<&Path>) -> anyhow::Result<Reader> {
        if self.api.is_some() {
            return self.receiver(config).await.map(Reader::Api);
        }
        let loaded = settings::load(config)?;
        let (api, base) = self.configured(&loaded)?;
        if api.is_up().await? {
            return Ok(Reader::Api(api));
        }
        let settings = loaded.settings;
        let inbox = settings::open_store(&settings).await.with_context(|| {
            format!("no receiver answers at {base} (admin.listen), and its store cannot be opened")
        })?;
        Ok(Reader::Store(inbox, app::routing(&settings)))
    }

    /// The API of a receiver that runs, for what only one that runs can do.
    ///
    /// # Errors
    /// When none answers, with what to do.
    pub async fn receiver(&self, config: Option<&Path>) -> anyhow::Result<Api> {
        let (api, base) = match &self.api {
            Some(base) => {
                let api = Api::new(base, self.token()?.as_ref(), &self.tls.known()?)?;
                (api, base.clone())
            }
            None => self.configured(&settings::load(config)?)?,
        };
        if !api.is_up().await? {
            bail!(
                "nothing answers at {base}; is the receiver running, and is this its admin.listen?"
            );
        }
        Ok(api)
    }

    /// The API that a configuration names, and its URL.
    fn configured(&self, loaded: &Loaded) -> anyhow::Result<(Api, String)> {
        let admin = &loaded.settings.admin;
        let base = within_reach(admin.listen, admin.tls.is_on());
        let known = self.tls.known_as(loaded.identities.admin.as_deref())?;
        let token = match self.token()? {
            Some(token) => Some(token),
            None => admin.token.clone(),
        };
        Ok((Api::new(&base, token.as_ref(), &known)?, base))
    }

    fn token(&self) -> anyhow::Result<Option<SecretString>> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read --token-file {}", path.display()))?;
        let token = text.strip_suffix('\n').unwrap_or(&text);
        if token.is_empty() {
            bail!("--token-file {} is empty", path.display());
        }
        Ok(Some(token.into()))
    }
}

/// How this machine gets to the public listener.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// As anybody does.
    Straight,
    /// By the PROXY protocol, as a proxy that asks for itself.
    AsProxy,
    /// Not at all: that protocol is wanted, and not listened to from this address.
    Barred(IpAddr),
}

/// Whether the public listener speaks the PROXY protocol, and then takes this machine for a proxy.
///
/// # Errors
/// When the rules for proxies contradict themselves.
pub fn way_to_public(loaded: &Loaded) -> anyhow::Result<Way> {
    if loaded.settings.source.proxy_protocol == ProxyProtocol::Off {
        return Ok(Way::Straight);
    }
    let own = own_address(loaded.settings.server.listen.ip());
    let (rules, _) = settings::rules(loaded)?;
    Ok(match rules.trusts(own) {
        true => Way::AsProxy,
        false => Way::Barred(own),
    })
}

/// The URL under which this machine reaches a listener.
pub fn within_reach(listen: SocketAddr, over_tls: bool) -> String {
    let scheme = if over_tls { "https" } else { "http" };
    let address = SocketAddr::new(own_address(listen.ip()), listen.port());
    format!("{scheme}://{address}")
}

/// The address at which this machine reaches a listener, and from which it does: loopback when that
/// listens everywhere.
pub fn own_address(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_over_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.5:9090", "10.0.0.5:9090"),
        ] {
            let listen: SocketAddr = listen.parse().unwrap();
            assert_eq!(within_reach(listen, false), format!("http://{reached}"));
            assert_eq!(within_reach(listen, true), format!("https://{reached}"));
        }
    }
}
