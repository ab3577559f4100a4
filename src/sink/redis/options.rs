//! What a redis sink is made of.

use std::time::Duration;

use secrecy::SecretString;

/// What a redis sink is made of.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS, or `unix:///socket`.
    pub url: SecretString,
    /// The stream's key.
    pub key: String,
    /// About how many entries the stream keeps; all of them unless set.
    pub max_len: Option<u64>,
    /// The user, where the URL does not say it.
    pub username: Option<String>,
    /// The password, where the URL does not say it.
    pub password: Option<SecretString>,
    /// Certificates that are trusted beside the system's, as PEM.
    pub ca_file: Option<Vec<u8>>,
    /// What a batch may take, from the connection to the last answer.
    pub timeout: Duration,
}
