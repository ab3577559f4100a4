//! What an http sink is made of.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::filter::Expression;
use crate::sign::Robot;
use crate::template::{Template, UrlTemplate};

/// What an http sink is made of. Everything that can be wrong was checked when it was made.
pub struct HttpOptions {
    /// Rendered to the method, such as `POST`.
    pub method: Template,
    /// Where to; all but its host is secret.
    pub url: UrlTemplate,
    /// Names and values; values are secret. They win over what is sent anyway, but for
    /// `Idempotency-Key` and `Flashduty-*`.
    pub headers: Vec<(http::HeaderName, SecretString)>,
    /// What is sent.
    pub body: Body,
    /// Standard Webhooks, or a robot's own way; `None` signs nothing.
    pub signature: Option<Signature>,
    /// The longest body that is sent; longer ones are refused, not sent.
    pub max_bytes: Option<usize>,
    /// Which answers mean that the other side took it. Over `status`, `headers`, `body` and `text`.
    pub success: Expression,
    /// Which of the others are worth another try. Over the same.
    pub retry_on: Expression,
    /// How long such an answer below 500 holds the whole sink; zero: not at all.
    pub pause: Duration,
    /// The longest `Retry-After` that is believed.
    pub longest_retry_after: Duration,
    /// A proxy for all requests.
    pub proxy: Option<SecretString>,
    /// Certificates that are trusted beside the system's, as PEM.
    pub ca: Option<Vec<u8>>,
    /// Whether private addresses may be connected to.
    pub allow_private: bool,
    /// What an attempt may take, from the connection to the answer's last byte.
    pub timeout: Duration,
    /// Names, and JSON pointers into the answer.
    pub remember: Vec<(String, String)>,
    /// Which events are not sent. Over the words and `remembered`.
    pub skip_when: Option<Expression>,
    /// The zone of times that are shown.
    pub timezone: String,
    /// Connections kept open for the next deliveries.
    pub idle_connections: usize,
}

impl fmt::Debug for HttpOptions {
    /// Neither a value of a header nor more of a URL than its host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpOptions")
            .field("url", &self.url)
            .field("headers", &headers)
            .field("body", &self.body)
            .field("signature", &self.signature)
            .field("proxy", &self.proxy.is_some())
            .field("allow_private", &self.allow_private)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a sink")]
pub enum Body {
    /// The pushed bytes.
    Push,
    /// What the template makes of the event.
    Template(Template),
    /// CloudEvents 1.0: attributes as headers, the pushed bytes as the body.
    CloudEventsBinary,
    /// CloudEvents 1.0: one JSON object that holds the pushed JSON as its data.
    CloudEventsStructured,
}

/// How requests are signed at the moment they are sent.
#[derive(Debug)]
pub enum Signature {
    /// Standard Webhooks headers.
    Standard(crate::sign::Standard),
    /// A chat robot's.
    Robot(Robot, SecretString),
}
