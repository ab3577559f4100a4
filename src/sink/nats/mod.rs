//! The nats sink: each event is published to a JetStream stream, and counts as delivered once the
//! stream has acknowledged it.
//!
//! Publishing is two steps, and only the second one, the acknowledgement, says that the message is
//! stored. A batch is published as a whole before the first acknowledgement is waited for.

mod id;
mod options;
mod subject;

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::connection::State;
use async_nats::jetstream::context::{
    ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use async_trait::async_trait;
use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

pub use self::options::{NatsAuth, NatsOptions};
use self::subject::SubjectPattern;
use super::broker::{Misconfigured, Results, all, fields, redacted, refused, retry, unknown};
use super::{Greeting, Sink, SinkError, Taken};
use crate::inbox::Lease;
use crate::trust::{self, Trust};

/// Publishes to a stream.
pub struct NatsSink {
    options: NatsOptions,
    servers: Vec<ServerAddr>,
    /// The servers' hosts: all of the URL that may be shown.
    place: String,
    subject: SubjectPattern,
    tls: Option<rustls::ClientConfig>,
    connected: tokio::sync::Mutex<Option<Context>>,
    /// What the client last complained of, for those who ask why there is no connection.
    trouble: Arc<Mutex<Option<String>>>,
}

impl NatsSink {
    /// Checks `options`; connects when there is something to deliver.
    pub fn new(options: NatsOptions) -> Result<Self, Misconfigured> {
        let servers = servers(&options.url)?;
        let place = servers.iter().map(|server| {
            let scheme = server.scheme();
            format!("{scheme}://{}:{}", server.host(), server.port())
        });
        let place = place.collect::<Vec<_>>().join(",");
        let subject = SubjectPattern::parse(&options.subject)
            .map_err(|what| Misconfigured::new("subject", what))?;
        let named =
            |name: &String| !name.is_empty() && name.bytes().all(|at| at.is_ascii_graphic());
        if !options.stream.as_ref().is_none_or(named) {
            let what = "is not the name of a stream: visible ASCII without spaces";
            return Err(Misconfigured::new("stream", what));
        }
        let tls = options.ca_file.as_deref().map(tls).transpose()?;
        let sink = Self {
            options,
            servers,
            place,
            subject,
            tls,
            connected: tokio::sync::Mutex::default(),
            trouble: Arc::default(),
        };
        sink.connect_options()?;
        Ok(sink)
    }

    fn connect_options(&self) -> Result<ConnectOptions, Misconfigured> {
        let trouble = Arc::clone(&self.trouble);
        // One server that does not answer leaves time for the others.
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        let mut connect = ConnectOptions::new()
            .name("flashduty-receiver")
            .connection_timeout(self.options.timeout / servers.max(1))
            .event_callback(move |event| {
                note(&trouble, &event);
                async {}
            });
        if let Some(tls) = &self.tls {
            connect = connect.tls_client_config(tls.clone());
        }
        Ok(match &self.options.auth {
            None => connect,
            Some(NatsAuth::Password { username, password }) => {
                connect.user_and_password(username.clone(), password.expose_secret().to_owned())
            }
            Some(NatsAuth::Token(token)) => connect.token(token.expose_secret().to_owned()),
            Some(NatsAuth::Nkey(seed)) => {
                let seed = seed.expose_secret().trim();
                if !seed.starts_with("SU") || seed.len() != 58 {
                    let what = "is not the seed of a user's nkey: 58 characters that begin with SU";
                    return Err(Misconfigured::new("nkey", what));
                }
                connect.nkey(seed.to_owned())
            }
            Some(NatsAuth::Credentials(content)) => {
                connect.credentials(content.expose_secret()).map_err(|_| {
                    let what = "is not the content of a .creds file: a JWT and an nkey's seed";
                    Misconfigured::new("credentials", what)
                })?
            }
        })
    }

    /// A connection that is up. One that was up once comes back by itself.
    async fn context(&self, deadline: Instant) -> Result<Context, SinkError> {
        let mut connected = self.connected.lock().await;
        if let Some(context) = &*connected {
            return match context.client().connection_state() {
                State::Connected => Ok(context.clone()),
                State::Pending | State::Disconnected => Err(retry(self.away())),
            };
        }
        let connect = self
            .connect_options()
            .map_err(|error| retry(error.to_string()))?;
        let client = timeout_at(deadline, connect.connect(self.servers.as_slice()))
            .await
            .map_err(|_elapsed| retry(format!("{} did not answer in time", self.place)))?
            .map_err(|error| retry(self.no_connection(&error)))?;
        let context = ContextBuilder::new()
            .timeout(self.options.timeout)
            .max_ack_inflight(MOST_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        *connected = Some(context.clone());
        Ok(context)
    }

    fn no_connection(&self, error: &async_nats::ConnectError) -> String {
        let place = &self.place;
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                format!("{place} refuses our credentials: {}", error.kind())
            }
            kind => {
                let source = error.source().map(ToString::to_string).unwrap_or_default();
                format!("cannot connect to {place}: {kind} {}", self.clean(&source))
            }
        }
    }

    fn away(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let why = trouble.as_deref().unwrap_or("the connection was lost");
        format!("not connected to {}: {}", self.place, self.clean(why))
    }

    /// Without the secrets that an error of somebody else may quote.
    fn clean(&self, text: &str) -> String {
        let own = match &self.options.auth {
            Some(
                NatsAuth::Password { password: own, .. }
                | NatsAuth::Token(own)
                | NatsAuth::Credentials(own)
                | NatsAuth::Nkey(own),
            ) => Some(own),
            None => None,
        };
        let mut secrets: Vec<SecretString> = own.into_iter().cloned().collect();
        for server in &self.servers {
            let of_url = [server.password(), server.username()];
            secrets.extend(of_url.into_iter().flatten().map(SecretString::from));
        }
        redacted(text, &secrets)
    }

    fn message(&self, lease: &Lease, subject: &str) -> PublishMessage {
        let mut message = PublishMessage::build().payload(lease.event.body.clone());
        for (name, value) in fields(lease) {
            message = message.header(name, &*value);
        }
        if let Some(id) = id::message_id(lease, subject) {
            message = message.message_id(id);
        }
        match &self.options.stream {
            Some(stream) => message.expected_stream(stream),
            None => message,
        }
    }

    /// Publishes one message; how that ended is said by what is returned.
    async fn publish(
        &self,
        context: &Context,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<PublishAckFuture, SinkError> {
        let subject = self.subject.of(&lease.event);
        let message = self.message(lease, &subject);
        match timeout_at(deadline, context.send_publish(subject, message)).await {
            Ok(sent) => sent.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => refused(format!(
                    "the push of {} bytes is larger than the server's max_payload: raise it, then \
                     replay this one",
                    lease.event.body.len()
                )),
                kind => retry(format!("not published: {kind}")),
            }),
            Err(_elapsed) => Err(retry(format!("{} takes nothing", self.place))),
        }
    }

    async fn acknowledged(
        &self,
        lease: &Lease,
        sent: Result<PublishAckFuture, SinkError>,
        deadline: Instant,
    ) -> Result<Taken, SinkError> {
        match timeout_at(deadline, sent?).await {
            Ok(Ok(_stored)) => Ok(Taken::default()),
            Ok(Err(error)) => Err(self.not_acknowledged(&self.subject.of(&lease.event), &error)),
            Err(_elapsed) => Err(self.silent()),
        }
    }

    fn silent(&self) -> SinkError {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let why = trouble
            .as_deref()
            .map(|why| format!(" ({})", self.clean(why)));
        unknown(format!(
            "no acknowledgement from {} within {:?}{}",
            self.place,
            self.options.timeout,
            why.unwrap_or_default()
        ))
    }

    fn not_acknowledged(&self, subject: &str, error: &PublishError) -> SinkError {
        if error.kind() == PublishErrorKind::StreamNotFound {
            return retry(format!(
                "no stream takes the subject {subject}: make one, such as `nats stream add \
                 flashduty --subjects={subject}`, and see that the server runs with JetStream"
            ));
        }
        let answer = error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>());
        let Some(answer) = answer else {
            return match error.kind() {
                PublishErrorKind::TimedOut => self.silent(),
                kind => unknown(format!("no acknowledgement from {}: {kind}", self.place)),
            };
        };
        let said = self.clean(&answer.to_string());
        match answer.error_code() {
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => refused(format!(
                "the stream refuses a push of this size: raise its max_msg_size, then replay this \
                 one: {said}"
            )),
            ErrorCode::STREAM_NOT_MATCH => retry(format!(
                "the subject {subject} belongs to another stream than {}, which `stream` names: \
                 {said}",
                self.options.stream.as_deref().unwrap_or_default()
            )),
            _ => retry(format!("the stream did not store it: {said}")),
        }
    }
}

/// More than a batch, so that a batch is never held up.
const MOST_IN_FLIGHT: usize = 1024;

#[async_trait]
impl Sink for NatsSink {
    async fn deliver(&self, leases: &[Lease]) -> Results {
        let deadline = Instant::now() + self.options.timeout;
        let context = match self.context(deadline).await {
            Ok(context) => context,
            Err(error) => return all(leases, &error),
        };
        let mut sent = Vec::with_capacity(leases.len());
        for lease in leases {
            sent.push(self.publish(&context, lease, deadline).await);
        }
        let acknowledged = leases
            .iter()
            .zip(sent)
            .map(|(lease, sent)| self.acknowledged(lease, sent, deadline));
        join_all(acknowledged).await
    }

    async fn greet(&self) -> Result<Greeting, SinkError> {
        let deadline = Instant::now() + self.options.timeout;
        self.context(deadline).await?;
        Ok(Greeting::default())
    }
}

fn servers(url: &SecretString) -> Result<Vec<ServerAddr>, Misconfigured> {
    let servers = url.expose_secret().split(',').map(|server| {
        let parsed: Option<ServerAddr> = server.trim().parse().ok();
        parsed
            .filter(|server| matches!(server.scheme(), "nats" | "tls") && !server.host().is_empty())
            .ok_or_else(|| {
                let what = "is not the URL of a server: nats://host:4222 or tls://host:4222, \
                            several separated by commas";
                Misconfigured::new("url", what)
            })
    });
    servers.collect()
}

fn tls(pem: &[u8]) -> Result<rustls::ClientConfig, Misconfigured> {
    let fault = |what: String| Misconfigured::new("ca_file", what);
    // What the library is given it trusts instead of the system's.
    let roots = trust::system_and(Some(pem), true).map_err(fault)?;
    let builder = Trust::Authorities(roots).client();
    let builder = builder.map_err(|error| fault(error.to_string()))?;
    Ok(builder.with_no_client_auth())
}

fn note(trouble: &Mutex<Option<String>>, event: &Event) {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::Connected => *trouble = None,
        Event::ServerError(_) | Event::ClientError(_) => *trouble = Some(event.to_string()),
        // Why comes with another event, and it is worth more.
        Event::Disconnected => {
            trouble.get_or_insert_with(|| event.to_string());
        }
        _ => {}
    }
}
