//! Where the database is, and how it is spoken to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How the connection is protected: the `sslmode` of the URL, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server offers it; whose certificate it shows does not matter.
    #[default]
    Prefer,
    /// Encrypted; whose certificate the server shows does not matter.
    Require,
    /// Encrypted, and the certificate is the host's, by an authority that is trusted.
    VerifyFull,
}

impl Tls {
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// What a `postgres://` URL says. Shown without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Target {
    /// The hosts that are connected to over the network: names, or addresses.
    pub fn hosts(&self) -> Vec<String> {
        let addresses = self.config.get_hostaddrs();
        if !addresses.is_empty() {
            return addresses.iter().map(ToString::to_string).collect();
        }
        let hosts = self.config.get_hosts().iter();
        let named = hosts.filter_map(|host| match host {
            Host::Tcp(name) => Some(name.clone()),
            Host::Unix(_) => None,
        });
        named.collect()
    }
}

impl FromStr for Target {
    type Err = String;

    /// Reads `postgres://user@host:5432/database?sslmode=…`. The error never quotes a value.
    fn from_str(url: &str) -> Result<Self, String> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut tls = Tls::default();
        let mut others = Vec::new();
        for parameter in parameters.split('&').filter(|one| !one.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", "disable")) => tls = Tls::Disable,
                Some(("sslmode", "prefer")) => tls = Tls::Prefer,
                Some(("sslmode", "require")) => tls = Tls::Require,
                Some(("sslmode", "verify-full")) => tls = Tls::VerifyFull,
                Some(("sslmode", _)) => {
                    return Err(
                        "has an unknown sslmode; there are disable, prefer, require and \
                                verify-full"
                            .to_owned(),
                    );
                }
                _ => others.push(parameter),
            }
        }
        let text = format!("{place}?{}", others.join("&"));
        let mut config: Config = text
            .parse()
            .map_err(|error| format!("is no PostgreSQL URL: {}", super::error::chain(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("names no host".to_owned());
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err("names no user".to_owned());
        }
        config.ssl_mode(match tls {
            Tls::Disable => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyFull => SslMode::Require,
        });
        config.keepalives_idle(Duration::from_secs(30));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        if config.get_application_name().is_none() {
            config.application_name("flashduty-receiver");
        }
        Ok(Self { config, tls })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.write_str("postgres://")?;
        if let Some(user) = config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = config.get_ports();
        for (place, host) in config.get_hosts().iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            if let Some(port) = ports.get(place).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        if let Some(name) = config.get_dbname() {
            write!(f, "/{name}")?;
        }
        write!(f, "?sslmode={}", self.tls.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url =
            "postgres://me:hunter2@db.example:5433/inbox?sslmode=verify-full&connect_timeout=3";
        let target: Target = url.parse().unwrap();
        assert_eq!(
            target.to_string(),
            "postgres://me@db.example:5433/inbox?sslmode=verify-full"
        );
        assert!(!format!("{target:?}").contains("hunter2"));
        for wrong in [
            "postgres://me:hunter2@db:port/inbox",
            "postgres://me:hunter2@db/inbox?sslmode=hunter2",
            "postgres://me:hunter2@db/inbox?hunter=hunter2",
            "postgres://me:hunter2@/inbox",
        ] {
            let error = wrong.parse::<Target>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_socket_of_this_machine_is_a_host_too() {
        let target: Target = "postgres://me@%2Frun%2Fpostgresql/inbox?sslmode=disable"
            .parse()
            .unwrap();
        assert_eq!(
            target.config.get_hosts(),
            [Host::Unix("/run/postgresql".into())]
        );
        assert!("postgres:///inbox".parse::<Target>().is_err());
        assert!(target.hosts().is_empty());
        let target: Target = "postgres://me@a,b:5433/inbox".parse().unwrap();
        assert_eq!(target.hosts(), ["a", "b"]);
    }
}
