//! The one place where parts are put together.
//!
//! [`App::build`] opens the store and binds the sockets, so that every bad set-up fails there.
//! [`App::run`] serves until it is told to stop; how that goes on stands in `stop`.

mod brokers;
mod contact;
mod descriptors;
mod greeting;
mod health;
mod hooks;
mod live;
mod plans;
mod presence;
mod recovery;
mod reoffer;
mod sinks;
mod spill;
mod stop;
mod store;
mod streams;
mod takeover;
mod tend;
mod tls;
mod traces;
mod unreadable;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::contact::Contact;
pub use self::descriptors::{files_for, public_connections};
pub use self::greeting::greet;
use self::health::ServiceHealth;
pub use self::live::Live;
use self::plans::Parts;
use self::presence::Presence;
use self::reoffer::Reoffer;
use self::sinks::Sinks;
use self::store::Store;
pub use self::store::StoreOptions;
pub use self::wiring::routing;
use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::config::{ConfigSource, Loaded};
use crate::inbox::spill::SpillOptions;
use crate::inbox::{Committer, CommitterOptions, Inbox};
use crate::intake::{self, Intake, Refusals};
use crate::lifecycle::{Farewell, Lifecycle};
use crate::listener::{Gate, Listener, ListenerMetrics, Serving};
use crate::metrics::Metrics;
use crate::recover::Recovery;
use crate::stdout::Stdout;
use crate::supervisor::Supervisor;
use crate::telemetry::Telemetry;
use crate::trace::{Exporter, Tracer};

/// What the operator tells a running service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Drain and end. Said twice, it hurries.
    Terminate,
    /// End without the drain delay.
    Interrupt,
    /// Read the configuration again.
    Reload,
}

/// What a service is built from, apart from its configuration.
pub struct Surroundings {
    /// Where the configuration came from, to be read again.
    pub source: ConfigSource,
    /// The log's thread.
    pub stdout: Stdout,
    /// Where numbers are counted.
    pub metrics: Arc<Metrics>,
    /// The log's filter; absent where a test keeps its own.
    pub telemetry: Option<Telemetry>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whoever looks after the process, with the sockets it holds.
    pub supervisor: Supervisor,
}

/// A built service: the store open, unless it is a database that is away, the sockets bound, nothing
/// served yet.
pub struct App {
    public: Listener,
    admin: Listener,
    store: Store,
    spill: Option<SpillOptions>,
    live: Arc<Live>,
    contact: Arc<Contact>,
    committer: Committer,
    committing: std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
    tracer: Tracer,
    exporter: Exporter,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    stdout: Stdout,
    supervisor: Supervisor,
    farewell: Farewell,
}

impl App {
    /// Opens the store and binds the listeners that were not handed over.
    ///
    /// # Errors
    /// A [`crate::config::ConfigError`] with file and line where the configuration is to blame, an
    /// [`crate::inbox::sqlite::OpenError`] or [`crate::inbox::postgres::PostgresOpenError`] for the
    /// store.
    pub async fn build(loaded: Loaded, surroundings: Surroundings) -> anyhow::Result<Self> {
        let Surroundings {
            source,
            stdout,
            metrics,
            telemetry,
            clock,
            mut supervisor,
        } = surroundings;
        let settings = &loaded.settings;
        let sockets = std::mem::take(&mut supervisor.sockets);
        let farewell = match sockets.public {
            Some(_) => Farewell::Brief,
            None => Farewell::Patient,
        };
        // Bound first: a port that is taken is said at once, not after the wait for the store.
        let (listen, key) = (settings.server.listen, "server.listen");
        let public = bind(&loaded, (key, listen), sockets.public)?;
        let (listen, key) = (settings.admin.listen, "admin.listen");
        let admin = bind(&loaded, (key, listen), sockets.admin)?;
        let store = Store::open(&loaded).await?;
        let in_force = Arc::<spill::RulesInForce>::default();
        let spill = spill::open(settings, &in_force).await?;
        let (committer, committing) = Committer::new(CommitterOptions {
            inbox: store.inbox(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            spill: spill.clone(),
        });
        let (tracer, exporter) = Tracer::new(&metrics.spans);
        let sinks = Sinks::new(
            store.inbox(),
            committer.clone(),
            Parts {
                stdout: stdout.clone(),
                clock: Arc::clone(&clock),
                tracer: tracer.clone(),
            },
            Arc::clone(&metrics),
        );
        let live = Arc::new(Live::new(loaded, source, sinks, telemetry, farewell)?);
        let contact = Contact::new(store.clone(), &live, in_force).await?;
        Ok(Self {
            public,
            admin,
            store,
            spill,
            live,
            contact,
            committer,
            committing: Box::pin(committing),
            tracer,
            exporter,
            metrics,
            clock,
            stdout,
            supervisor,
            farewell,
        })
    }

    /// The public listener's address, for those who bound port 0.
    pub fn public_addr(&self) -> SocketAddr {
        self.public.local_addr()
    }

    /// The admin listener's address.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Serves until `signals` says to stop, or a vital task ends; then ends in good order.
    ///
    /// # Errors
    /// [`crate::inbox::InboxError::Broken`] when the store's I/O failed; a
    /// [`crate::inbox::postgres::PostgresOpenError`] when a database that was away at the start turns
    /// out to be unfit; else when a vital task ended early.
    pub async fn run(self, signals: mpsc::Receiver<Signal>) -> anyhow::Result<()> {
        let lifecycle = Lifecycle::default();
        let committing = lifecycle.spawn_vital_last("the group commit", self.committing);
        let exporting = lifecycle.spawn_dispensable(self.exporter.run());
        let health = ServiceHealth::new(&lifecycle, &self.committer, &self.metrics);
        let _gauge = lifecycle.spawn(Arc::clone(&health).show_in_metrics());
        self.contact.begin(&lifecycle).await;
        let running = Running {
            health,
            live: self.live,
            contact: self.contact,
            store: self.store,
            spill: self.spill,
            committer: self.committer,
            tracer: self.tracer.clone(),
            metrics: self.metrics,
            presence: Presence::new(self.public.local_addr(), self.clock.now()),
            clock: self.clock,
            supervisor: self.supervisor,
            farewell: self.farewell,
            lifecycle,
        };
        running.announce(self.public.local_addr(), self.admin.local_addr());
        running.serve_public(self.public);
        let recovery = running.recover();
        running.serve_admin(self.admin, recovery);
        running.tend();
        running.be_seen();
        running.supervisor.tell_ready();
        running.supervisor.give_signs_of_life(&running.lifecycle);
        let end = running.until_stopped(signals).await;
        let result = running.wind_up(committing, end).await;
        let patience = stop::last_spans(self.farewell, end, result.is_ok());
        self.tracer.finish();
        // What a collector does not take by then is nobody's loss but its own.
        let _finished = tokio::time::timeout(patience, exporting).await;
        self.stdout.flush(stop::last_lines(self.farewell)).await;
        result
    }
}

/// A service that runs.
struct Running {
    health: Arc<ServiceHealth>,
    live: Arc<Live>,
    contact: Arc<Contact>,
    store: Store,
    spill: Option<SpillOptions>,
    committer: Committer,
    tracer: Tracer,
    metrics: Arc<Metrics>,
    presence: Arc<Presence>,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    farewell: Farewell,
    lifecycle: Lifecycle,
}

impl Running {
    fn inbox(&self) -> Arc<dyn Inbox> {
        self.store.inbox()
    }

    /// Spawns a vital task that begins once the store is known.
    fn spawn_at_contact(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let (contact, closing) = (Arc::clone(&self.contact), self.lifecycle.closing_token());
        self.lifecycle.spawn_vital(name, async move {
            match closing.run_until_cancelled(contact.made()).await {
                Some(()) => task.await,
                None => Ok(()),
            }
        });
    }

    fn serve_public(&self, listener: Listener) {
        let keeper = spill::keeper(self);
        let intake = Arc::new(Intake {
            rules: self.live.rules(),
            committer: self.committer.clone(),
            inbox: self.inbox(),
            keeper,
            health: self.health.shared(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            lifecycle: self.lifecycle.clone(),
            budget: Arc::default(),
            refusals: Refusals::new(5, 100, Duration::from_secs(10)),
            strangers: Refusals::new(5, 100, Duration::from_secs(10)),
            unlisted: Refusals::new(1, 100, Duration::from_secs(60)),
        });
        let (standing, trusted) = (self.live.rules(), self.live.rules());
        let serving = Serving {
            refuse: intake::refuse_heads(Arc::clone(&intake)),
            router: intake::router(intake, &self.live.settings().server.path),
            options: self.live.listener_options(),
            gate: Gate {
                standing: Arc::new(move |peer| standing.load().source.standing(peer)),
                trusted: Arc::new(move |ip| trusted.load().source.trusts(ip)),
            },
            metrics: ListenerMetrics::public(&self.metrics),
        };
        let listener = listener.with_tls(self.live.certificates().of_server());
        let run = listener.run(serving, self.lifecycle.clone());
        self.lifecycle.spawn_vital("the public listener", run);
    }

    fn recover(&self) -> Arc<Recovery> {
        let admission = recovery::Admit {
            live: Arc::clone(&self.live),
            rules: self.live.rules(),
            inbox: self.inbox(),
            committer: self.committer.clone(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            in_box: unreadable::InBox::default(),
        };
        let recovery = admission.recovery();
        let run = Arc::clone(&recovery).run(self.lifecycle.clone());
        self.spawn_at_contact("recovery", run);
        recovery
    }

    /// What offers pushes out of the box of unreadable ones.
    fn reoffer(&self) -> Reoffer {
        Reoffer {
            rules: self.live.rules(),
            inbox: self.inbox(),
            committer: self.committer.clone(),
            clock: Arc::clone(&self.clock),
            tracer: self.tracer.clone(),
            lifecycle: self.lifecycle.clone(),
        }
    }

    fn serve_admin(&self, listener: Listener, recovery: Arc<Recovery>) {
        let router = admin::router(Admin {
            inbox: self.inbox(),
            metrics: Arc::clone(&self.metrics),
            health: self.health.shared(),
            hooks: Arc::new(hooks::Hooks {
                live: Arc::clone(&self.live),
                inbox: self.inbox(),
                spill: self.spill.clone(),
                committer: self.committer.clone(),
                clock: Arc::clone(&self.clock),
                recovery,
                presence: Arc::clone(&self.presence),
                reoffer: self.reoffer(),
                lifecycle: self.lifecycle.clone(),
            }),
            token: self.live.admin_token(),
            listen: listener.local_addr(),
            clock: Arc::clone(&self.clock),
            streams: self.streams(),
        });
        let serving = Serving {
            router,
            refuse: admin::refuse_heads(),
            options: self.live.admin_options(),
            gate: Gate::open(),
            metrics: ListenerMetrics::default(),
        };
        let listener = listener.with_tls(self.live.certificates().of_admin());
        let run = listener.run(serving, self.lifecycle.clone());
        self.lifecycle.spawn_vital("the admin listener", run);
    }
}

/// The listener that was handed over, or one at the address that a key of the configuration names.
fn bind(
    loaded: &Loaded,
    (key, address): (&str, SocketAddr),
    handed_over: Option<Listener>,
) -> anyhow::Result<Listener> {
    if let Some(listener) = handed_over {
        let inherited = listener.local_addr();
        tracing::info!("listening on {inherited}, which was handed over: {key} is not used");
        return Ok(listener);
    }
    Ok(Listener::bind(address).map_err(|error| loaded.problem(key, error.to_string()))?)
}
