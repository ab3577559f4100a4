//! The redis sink: each event becomes one entry of a stream.
//!
//! A batch is one pipeline of `XADD`, and every entry has an answer of its own. What is known to have
//! had no effect is kept apart from what may have had one: a connection is asked whether it is alive
//! before a batch is written to it, so that one that died while nothing was to be delivered is
//! replaced, and only a loss after writing leaves an end unknown.

mod options;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, Pipeline, RedisError, RedisResult, ServerErrorKind, TlsCertificates,
    Value,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

pub use self::options::RedisOptions;
use super::broker::{Misconfigured, Results, all, fields, redacted, refused, retry, unknown};
use super::{Greeting, Sink, SinkError, Taken};
use crate::inbox::Lease;
use crate::trust;

/// The field that holds the pushed bytes.
const PUSH: &str = "push";

/// Adds to a stream.
pub struct RedisSink {
    options: RedisOptions,
    client: Client,
    /// The server's host: all of the URL that may be shown.
    place: String,
    /// What must not be shown of what others say.
    secrets: Vec<SecretString>,
    connected: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl RedisSink {
    /// Checks `options`; connects when there is something to deliver.
    pub fn new(options: RedisOptions) -> Result<Self, Misconfigured> {
        if options.key.is_empty() {
            return Err(Misconfigured::new("key", "is empty: it names the stream"));
        }
        if options.max_len == Some(0) {
            let what = "would keep nothing; leave it out to keep everything";
            return Err(Misconfigured::new("max_len", what));
        }
        let info = connection_info(&options)?;
        let place = place(info.addr());
        let secrets = info.redis_settings().password().map(SecretString::from);
        let secrets = secrets.into_iter().chain(options.password.clone());
        Ok(Self {
            secrets: secrets.collect(),
            client: client(info, options.ca_file.as_deref())?,
            options,
            place,
            connected: tokio::sync::Mutex::default(),
        })
    }

    /// A connection that was alive just now.
    async fn connection(
        &self,
        there: Option<MultiplexedConnection>,
    ) -> RedisResult<MultiplexedConnection> {
        if let Some(mut there) = there {
            let alive: RedisResult<Value> = redis::cmd("PING").query_async(&mut there).await;
            if alive.is_ok() {
                return Ok(there);
            }
        }
        // The whole batch has a deadline; these only keep a dead connection from holding on.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.timeout))
            .set_response_timeout(Some(self.options.timeout));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn pipeline(&self, leases: &[Lease]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(leases.len());
        pipeline.ignore_errors();
        for lease in leases {
            let add = pipeline.cmd("XADD").arg(&self.options.key);
            if let Some(most) = self.options.max_len {
                add.arg("MAXLEN").arg("~").arg(most);
            }
            add.arg("*");
            for (name, value) in fields(lease) {
                add.arg(name).arg(&*value);
            }
            add.arg(PUSH).arg(&lease.event.body[..]);
        }
        pipeline
    }

    fn no_connection(&self, error: &RedisError) -> SinkError {
        let said = self.clean(error);
        let place = &self.place;
        retry(match error.kind() {
            ErrorKind::AuthenticationFailed => format!("{place} refuses our credentials: {said}"),
            ErrorKind::Server(ServerErrorKind::BusyLoading) => {
                format!("{place} is still loading its data: {said}")
            }
            _ => format!("cannot connect to {place}: {said}"),
        })
    }

    /// How an entry ended that the server answered with an error: it was not added.
    fn not_added(&self, error: &RedisError) -> SinkError {
        let (said, key) = (self.clean(error), &self.options.key);
        match error.code() {
            Some("WRONGTYPE") => refused(format!(
                "the key {key} holds something else than a stream: name another one, or delete it, \
                 then replay this one"
            )),
            Some("READONLY") => retry(format!("{} is a replica: {said}", self.place)),
            Some("OOM") => retry(format!(
                "{} is out of memory: set max_len, or raise its maxmemory: {said}",
                self.place
            )),
            Some("MOVED" | "ASK") => retry(format!(
                "{} is a cluster and does not hold the key {key}: name the server that does: {said}",
                self.place
            )),
            _ => retry(format!("{} did not add it: {said}", self.place)),
        }
    }

    fn clean(&self, error: &RedisError) -> String {
        redacted(&error.to_string(), &self.secrets)
    }
}

#[async_trait]
impl Sink for RedisSink {
    async fn deliver(&self, leases: &[Lease]) -> Results {
        let deadline = Instant::now() + self.options.timeout;
        let mut connected = self.connected.lock().await;
        // It is put back only if it is worth keeping, and that includes being interrupted here.
        let there = connected.take();
        let mut connection = match timeout_at(deadline, self.connection(there)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return all(leases, &self.no_connection(&error)),
            Err(_elapsed) => {
                let reason = format!("{} did not answer in time", self.place);
                return all(leases, &retry(reason));
            }
        };
        let pipeline = self.pipeline(leases);
        let added = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection);
        let added = match timeout_at(deadline, added).await {
            Ok(Ok(added)) => added,
            Ok(Err(error)) => {
                let reason = format!("no answer from {}: {}", self.place, self.clean(&error));
                return all(leases, &unknown(reason));
            }
            Err(_elapsed) => {
                let (place, limit) = (&self.place, self.options.timeout);
                return all(
                    leases,
                    &unknown(format!("no answer from {place} within {limit:?}")),
                );
            }
        };
        if added.len() != leases.len() {
            let reason = format!("{} did not answer for each entry", self.place);
            return all(leases, &unknown(reason));
        }
        // After a failover another server may stand behind the name: errors cost the connection.
        if added.iter().all(Result::is_ok) {
            *connected = Some(connection);
        }
        let ended = |added: RedisResult<Value>| match added {
            Ok(_id) => Ok(Taken::default()),
            Err(error) => Err(self.not_added(&error)),
        };
        added.into_iter().map(ended).collect()
    }

    async fn greet(&self) -> Result<Greeting, SinkError> {
        let alive = async {
            let mut connection = self.connection(None).await?;
            redis::cmd("PING")
                .query_async::<Value>(&mut connection)
                .await
        };
        match tokio::time::timeout(self.options.timeout, alive).await {
            Ok(Ok(_pong)) => Ok(Greeting::default()),
            Ok(Err(error)) => Err(self.no_connection(&error)),
            Err(_elapsed) => Err(retry(format!("{} did not answer in time", self.place))),
        }
    }
}

fn connection_info(options: &RedisOptions) -> Result<ConnectionInfo, Misconfigured> {
    let url = options.url.expose_secret();
    let info = url.into_connection_info().map_err(|_| {
        // What the parser says may quote the URL, and so the password.
        let what = "is not the URL of a server: redis://host:6379/0, rediss://host:6379/0 for TLS, \
                    or unix:///path";
        Misconfigured::new("url", what)
    })?;
    let mut settings = info.redis_settings().clone();
    if let Some(username) = &options.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &options.password {
        settings = settings.set_password(password.expose_secret());
    }
    Ok(info.set_redis_settings(settings.set_skip_set_lib_name()))
}

fn client(info: ConnectionInfo, ca: Option<&[u8]>) -> Result<Client, Misconfigured> {
    let Some(ca) = ca else {
        return Client::open(info)
            .map_err(|error| Misconfigured::new("url", error.category().to_owned()));
    };
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        let what = "is of no use without TLS, which a URL asks for with rediss://";
        return Err(Misconfigured::new("ca_file", what));
    }
    // What the library is given it trusts instead of the system's.
    let roots = trust::system_and_in_pem(ca).map_err(|what| Misconfigured::new("ca_file", what))?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(roots),
    };
    Client::build_with_tls(info, certificates)
        .map_err(|error| Misconfigured::new("ca_file", error.category().to_owned()))
}

fn place(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}"),
        other => format!("redis://{other}"),
    }
}
