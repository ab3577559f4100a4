//! The store in PostgreSQL: for several receivers at once, on one database.
//!
//! A commit is durable at the server before it returns (`synchronous_commit = on`, whatever the
//! server's default). Nothing here remembers whether an event is new; the database decides, for all
//! replicas. A database that is away can be looked at later, at first contact; nothing is asked of one
//! that nobody has looked at yet.

mod audit;
mod change;
mod claim;
mod commit;
mod contact;
mod deliver;
mod error;
mod examine;
mod forget;
mod gate;
mod hint;
mod judge;
mod links;
mod prune;
mod read;
mod recovery;
mod replicas;
mod routes;
mod session;
mod settle;
mod space;
mod sql;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod time;
mod tls;
mod together;
mod unreadable;
mod verbs;
mod write;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, OnceCell, Semaphore, SemaphorePermit};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::commit::Setting;
pub use self::contact::{Glance, PostgresOpenError};
use self::error::Failure;
pub use self::examine::Examined;
use self::gate::Refused;
use self::judge::Moved;
use self::routes::Routes;
use self::session::Session;
use self::space::Meter;
pub use self::target::{Target, Tls};
use super::{Batch, Committed, InboxError};

/// Begins a short transaction.
const SHORT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL synchronous_commit = on";
/// How often a transaction that lost against others is tried.
const TRIES: u32 = 6;
/// Parts of a counter: no two replicas wait for each other's, as a rule.
const PARTS: u64 = 16;

/// Whose clock says when a delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clockwork {
    /// The database's, which all replicas share.
    #[default]
    Database,
    /// The caller's: for tests that make their time up.
    Caller,
}

/// How the store is reached.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where it is.
    pub target: Target,
    /// The role's password, where the URL has none.
    pub password: Option<SecretString>,
    /// Certificates of the authorities that are trusted, as PEM; absent for the system's.
    pub ca: Option<String>,
    /// Connections at most.
    pub pool: usize,
    /// Whether a pooler gives every transaction another connection.
    pub pgbouncer: bool,
    /// A cap on the database's size in bytes; zero means none.
    pub max_size: u64,
    /// How long an answer may take.
    pub patience: Duration,
    /// Whose clock counts.
    pub clock: Clockwork,
}

impl PostgresOptions {
    /// The database at `target`, with the defaults of the configuration.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            password: None,
            ca: None,
            pool: 8,
            pgbouncer: false,
            max_size: 0,
            patience: Duration::from_secs(10),
            clock: Clockwork::default(),
        }
    }
}

/// The store in PostgreSQL. Cheap to share; closed once.
pub struct PostgresInbox {
    options: PostgresOptions,
    pool: Pool,
    /// Those who only look have half of the connections at most: pushes never wait for all of them.
    lookers: Semaphore,
    routes: Routes,
    meter: Meter,
    /// Set once the gate is passed.
    passed: OnceCell<()>,
    config: tokio_postgres::Config,
    tls: rustls::ClientConfig,
    hints: hint::Hints,
    /// How far the events are known to be complete.
    positions: Mutex<read::Positions>,
    /// What this replica signs its hints with.
    name: String,
    /// This replica's part of the counters.
    part: i32,
    /// Whether the last claims found something that waited.
    backlog: AtomicBool,
}

impl PostgresInbox {
    /// Prepares the store without asking the database anything.
    ///
    /// # Errors
    /// When the options cannot be used.
    pub fn new(options: PostgresOptions) -> Result<Self, PostgresOpenError> {
        let misconfigured = |what: String| PostgresOpenError::Misconfigured {
            target: options.target.to_string(),
            what,
        };
        let mut config = options.target.config.clone();
        if let Some(password) = &options.password {
            config.password(password.expose_secret());
        }
        let tls = tls::client(options.target.tls, options.ca.as_deref()).map_err(misconfigured)?;
        let manager = Manager::from_config(
            config.clone(),
            MakeRustlsConnect::new(tls.clone()),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(options.pool)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.patience))
            .create_timeout(Some(options.patience))
            .recycle_timeout(Some(options.patience))
            .build()
            .map_err(|error| misconfigured(error.to_string()))?;
        let name = RandomState::new().hash_one(0);
        Ok(Self {
            lookers: Semaphore::new((options.pool / 2).max(1)),
            options,
            pool,
            routes: Routes::default(),
            meter: Meter::default(),
            passed: OnceCell::new(),
            config,
            tls,
            hints: hint::Hints::default(),
            positions: Mutex::default(),
            name: format!("{name:016x}"),
            part: i32::try_from(name % PARTS).unwrap_or_default(),
            backlog: AtomicBool::default(),
        })
    }

    /// A connection to a database that is known to be fit.
    async fn session(&self) -> Result<Session, Failure> {
        if !self.is_known() {
            let what = "nobody has reached it since the start".to_owned();
            return Err(InboxError::Away(what).into());
        }
        match self.connection().await {
            Ok(session) => Ok(session),
            Err(Refused::Away(error)) => Err(error.into()),
            // It let this receiver in before, and may do so again.
            Err(Refused::Denied(what) | Refused::Unfit(what)) => Err(InboxError::Away(what).into()),
        }
    }

    /// Lets one in who only looks.
    async fn looker(&self) -> Result<SemaphorePermit<'_>, InboxError> {
        match tokio::time::timeout(self.options.patience, self.lookers.acquire()).await {
            Ok(Ok(looker)) => Ok(looker),
            Ok(Err(_closed)) => Err(InboxError::Closed),
            Err(_elapsed) => Err(self.late()),
        }
    }

    fn late(&self) -> InboxError {
        InboxError::Away(format!("no answer within {:?}", self.options.patience))
    }

    /// Waits for `work`, but not for ever.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, InboxError> {
        match tokio::time::timeout(self.options.patience, work).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(self.late()),
        }
    }

    /// Applies `batch`, again while it loses against others.
    async fn commit_batch(&self, batch: &Batch, now: Timestamp) -> Result<Committed, Failure> {
        let setting = Setting {
            now,
            given: self.given(now),
            part: self.part,
            backlog: &self.backlog,
        };
        let mut moved = Moved::new();
        let mut tries = Tries::default();
        loop {
            let done = self.try_commit(batch, setting, &mut moved).await;
            if let Some(done) = tries.judge(done).await {
                return done;
            }
        }
    }

    async fn try_commit(
        &self,
        batch: &Batch,
        setting: Setting<'_>,
        moved: &mut Moved,
    ) -> Result<Committed, Failure> {
        let mut session = self.session().await?;
        let routes = batch.offers.iter().map(|offer| &offer.event.route);
        let now = setting.now.as_microsecond();
        let routes = self.routes.ids(&mut session, routes, now).await?;
        let hint = || self.hint();
        let done = commit::commit(&mut session, (batch, &routes), setting, moved, &hint).await;
        session.abandon().await;
        done
    }

    /// `now`, where the caller's clock counts.
    fn given(&self, now: Timestamp) -> Option<i64> {
        match self.options.clock {
            Clockwork::Caller => Some(now.as_microsecond()),
            Clockwork::Database => None,
        }
    }
}

/// Counts how often a transaction was tried.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// What became of the transaction; `None`, after a pause, when it is tried again.
    async fn judge<T>(&mut self, done: Result<T, Failure>) -> Option<Result<T, Failure>> {
        match done {
            Err(Failure::Again(what)) if self.0 + 1 < TRIES => {
                tracing::debug!("a transaction is tried again: {what}");
                tokio::time::sleep(pause(self.0)).await;
                self.0 += 1;
                None
            }
            done => Some(done),
        }
    }
}

/// A wait that doubles, and is nobody else's: up to a tenth of a second in the end.
fn pause(attempt: u32) -> Duration {
    let ceiling = 5_000_u64 << attempt.min(5);
    Duration::from_micros(RandomState::new().hash_one(attempt) % ceiling)
}
