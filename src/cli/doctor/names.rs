//! The names of machines in the configuration: whether each has an address, and how soon.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::PATIENCE;
use super::report::{Check, millis};
use crate::config::{Destination, Settings, StoreUrl};

/// An attempt at a delivery has better things to wait for.
const SLOW: Duration = Duration::from_secs(1);

/// Asks for all of them at once.
pub(super) async fn check(settings: &Settings) -> Check {
    let mut check = Check::new("names");
    let names = names(settings);
    let answers = join_all(names.keys().map(|name| resolve(name))).await;
    let mut slowest = Duration::ZERO;
    for ((name, keys), (answer, took)) in names.iter().zip(&answers) {
        let keys = keys.join(", ");
        slowest = slowest.max(*took);
        match answer {
            Err(why) => check.fail(
                format!("{name} ({keys}) does not resolve: {why}"),
                format!(
                    "correct the name, or see to this machine's name server (/etc/resolv.conf, \
                     `getent hosts {name}`)"
                ),
            ),
            Ok(()) if *took >= SLOW => check.warn(
                format!("{name} ({keys}) took {} to resolve", millis(*took)),
                "see to this machine's name server (/etc/resolv.conf): every connection waits for \
                 it",
            ),
            Ok(()) => {}
        }
    }
    check.tell(match names.len() {
        0 => "there is none in the configuration".to_owned(),
        1 => format!("1 resolves, in {}", millis(slowest)),
        many => format!("{many} resolve, the slowest in {}", millis(slowest)),
    });
    check
}

async fn resolve(name: &str) -> (Result<(), String>, Duration) {
    let begun = Instant::now();
    let answer = match timeout(PATIENCE, lookup_host((name, 0))).await {
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(_address) => Ok(()),
            None => Err("it has no address".to_owned()),
        },
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {PATIENCE:?}")),
    };
    (answer, begun.elapsed())
}

/// Each name with the keys it stands in. What is an address already is none.
fn names(settings: &Settings) -> BTreeMap<String, Vec<String>> {
    let mut named: Vec<(String, Option<String>)> = Vec::new();
    let secret =
        |url: &Option<SecretString>| url.as_ref().and_then(|url| host(url.expose_secret()));
    for (name, sink) in settings.sinks.iter().filter(|(_, sink)| sink.is_enabled()) {
        let key = |key: &str| format!("sink.{name}.{key}");
        match &sink.to {
            // Behind a proxy it is the proxy that asks.
            Destination::Http(http) => named.push(match &http.proxy {
                Some(_) => (key("proxy"), secret(&http.proxy)),
                None => (key("url"), secret(&http.url)),
            }),
            Destination::Redis(redis) => named.push((key("url"), secret(&redis.url))),
            Destination::Nats(nats) => {
                let servers = nats.url.as_ref().map_or("", |url| url.expose_secret());
                let servers = servers.split(',').map(host);
                named.extend(servers.map(|server| (key("url"), server)));
            }
            Destination::Kafka(kafka) => {
                let brokers = kafka.brokers.iter();
                let brokers = brokers.map(|broker| host(&format!("kafka://{broker}")));
                named.extend(brokers.map(|broker| (key("brokers"), broker)));
            }
            Destination::Log(_) | Destination::Exec(_) | Destination::File(_) => {}
        }
    }
    if let StoreUrl::Postgres(target) = &settings.store.url {
        let hosts = target.hosts().into_iter();
        named.extend(hosts.map(|host| ("store.url".to_owned(), Some(host))));
    }
    if settings.flashduty.app_key.is_some() {
        let base = host(&settings.flashduty.base_url);
        named.push(("flashduty.base_url".to_owned(), base));
    }
    if let Some(endpoint) = secret(&settings.otlp.endpoint) {
        named.push(("otlp.endpoint".to_owned(), Some(endpoint)));
    }
    let mut names = BTreeMap::<String, Vec<String>>::new();
    for (key, host) in named {
        let Some(host) = host.filter(|host| host.parse::<IpAddr>().is_err()) else {
            continue;
        };
        let keys = names.entry(host).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    names
}

/// The host of a URL, which may be shown; nothing else of it may.
pub(super) fn host(url: &str) -> Option<String> {
    let (_, behind) = url.trim().split_once("://")?;
    let authority = behind.split(['/', '?', '#', '\\']).next()?;
    let place = authority.rsplit('@').next()?;
    let host = match place.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => place.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_the_host_is_taken_and_nothing_else() {
        for (url, expected) in [
            ("https://tools.example.com/hook/secret", "tools.example.com"),
            ("https://tools.example.com:8443?secret", "tools.example.com"),
            ("redis://me:s3@cret@cache:6379/0", "cache"),
            ("http://[::1]:8080/", "::1"),
            ("kafka://kafka-1:9092", "kafka-1"),
        ] {
            assert_eq!(host(url).as_deref(), Some(expected), "{url}");
        }
        assert_eq!(host("no url"), None);
        assert_eq!(host("https:///path"), None);
    }
}
