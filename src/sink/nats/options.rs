//! What a nats sink is made of.

use std::time::Duration;

use secrecy::SecretString;

/// What a nats sink is made of.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// One server or several of a cluster, separated by commas: `nats://` or `tls://`, which insists
    /// on TLS. May hold a user and password, or a token.
    pub url: SecretString,
    /// The subject that is published to; `{event_type}` and `{tag}` in it become one token each.
    pub subject: String,
    /// The stream that must take it; any stream that listens to the subject unless set.
    pub stream: Option<String>,
    /// Who we are, where the URL does not say it.
    pub auth: Option<NatsAuth>,
    /// Certificates that are trusted beside the system's, as PEM.
    pub ca_file: Option<Vec<u8>>,
    /// What a batch may take, from the connection to the last acknowledgement.
    pub timeout: Duration,
}

/// How the sink identifies itself.
#[derive(Debug, Clone)]
pub enum NatsAuth {
    /// A user and password.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A token.
    Token(SecretString),
    /// The content of a `.creds` file: a JWT and the seed that signs for it.
    Credentials(SecretString),
    /// The seed of an nkey.
    Nkey(SecretString),
}
