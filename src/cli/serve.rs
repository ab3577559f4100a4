//! `serve` and `demo`: the commands that run a receiver.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::printer::Printer;
use super::{Exit, demo};
use crate::app::{App, Signal, Surroundings};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, ConfigSource, Environment, Loaded, LogFormat};
use crate::metrics::Metrics;
use crate::sink::log::Format;
use crate::stdout::Stdout;
use crate::supervisor::Supervisor;
use crate::telemetry::Telemetry;

/// Shown below `serve --help`.
pub const SERVE_EXAMPLES: &str = "\
Signals: SIGTERM drains (server.drain_delay, then server.drain_timeout) and ends, SIGINT leaves out \
the delay, a second one hurries; SIGHUP reads the configuration again. The log goes to standard \
output, one JSON object a line:
    flashduty-receiver --config config.toml |
      jq 'select(.target == \"flashduty::event\")'

Under systemd (see deploy/systemd): a listening socket that is handed over (LISTEN_FDS) takes the \
place of server.listen, a second one that of admin.listen. It outlives the process, so a restart \
refuses nobody, and SIGTERM then ends within a moment: neither drain key applies.";

/// Shown below `demo --help`.
pub const DEMO_EXAMPLES: &str = "\
Needs no configuration and leaves nothing behind. Listens on loopback only, on 8080 and 9090 or, \
when these are taken, on free ports; accepts private addresses besides the sender's.";

/// Between the steps of the play, so that each is seen beside its log line.
const PAUSE: Duration = Duration::from_millis(300);

/// How long the last lines of the log may take before a start is given up.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Serves until told to stop.
///
/// # Errors
/// When the configuration, a socket or the store stands in the way; `InboxError::Broken` when the
/// store's I/O failed.
pub fn serve(config: Option<&Path>) -> anyhow::Result<Exit> {
    let source = ConfigSource::from_process(config.map(Path::to_owned));
    // Before anything is opened: files are handed over by their numbers.
    let supervisor = Supervisor::of_process(&source.environment.socket_names())?;
    let loaded = config::load(&source)?;
    run(loaded, (source, supervisor), |_| {})
}

/// Serves on loopback with a temporary inbox and plays a sample incident into it.
///
/// # Errors
/// As [`serve`], and when the receiver does not answer as the play expects.
pub fn demo(printer: &mut Printer) -> anyhow::Result<Exit> {
    let folder = Folder::new()?;
    let public = free_address(8080)?;
    let admin = free_address(9090)?;
    let store = format!("sqlite:{}", folder.0.join("inbox.db").display());
    let source = ConfigSource {
        directory: folder.0.clone(),
        file: None,
        environment: Environment::from_pairs([
            ("FLASHDUTY__SERVER__LISTEN", public.to_string().as_str()),
            ("FLASHDUTY__ADMIN__LISTEN", admin.to_string().as_str()),
            ("FLASHDUTY__STORE__URL", store.as_str()),
            ("FLASHDUTY__STORE__MIN_FREE_DISK", "1MiB"),
            ("FLASHDUTY__SOURCE__ALLOW", DEMO_ALLOW),
            ("FLASHDUTY__SOURCE__TRUSTED_PROXIES", "127.0.0.0/8,::1/128"),
        ]),
    };
    let loaded = config::load(&source)?;
    printer.note(&format!(
        "A receiver on http://{public} with a temporary inbox. It accepts private addresses, which \
         a real one should not.\nIts log is on standard output; remarks like this are on standard \
         error.\n"
    ))?;
    let mut printer = Printer::standard(false);
    run(loaded, (source, Supervisor::default()), move |failed| {
        let playing = std::thread::Builder::new()
            .name("demo".to_owned())
            .spawn(move || {
                let played = super::one_thread()
                    .map_err(anyhow::Error::from)
                    .and_then(|runtime| {
                        let base = format!("http://{public}");
                        runtime.block_on(demo::play(&base, PAUSE, &mut printer))
                    });
                if let Err(error) = played {
                    tracing::error!("the demo's play went wrong: {error:#}");
                    let _ended = failed.blocking_send(Signal::Interrupt);
                }
            });
        if let Err(error) = playing {
            tracing::error!("the demo cannot be played: {error}");
        }
    })
}

/// The sender's addresses and the private ranges, without loopback, which the demo trusts as a
/// proxy.
const DEMO_ALLOW: &str = "47.94.95.118,123.56.8.183,47.94.193.81,1.13.19.96,10.0.0.0/8,\
     172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7";

fn run(
    loaded: Loaded,
    (source, supervisor): (ConfigSource, Supervisor),
    when_ready: impl FnOnce(mpsc::Sender<Signal>),
) -> anyhow::Result<Exit> {
    let metrics = Metrics::new();
    let stdout = Stdout::start(Arc::clone(&metrics)).context("cannot use standard output")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let format = match loaded.settings.log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    };
    let level = &loaded.settings.log.level;
    let telemetry = Telemetry::install(level, format, stdout.clone(), Arc::clone(&clock))
        .map_err(|error| loaded.problem("log.level", error.to_string()))?;
    allow_open_files();
    let surroundings = Surroundings {
        source,
        stdout: stdout.clone(),
        metrics,
        telemetry: Some(telemetry),
        clock,
        supervisor,
    };
    let runtime = many_threads()?;
    let ended = runtime.block_on(async {
        let (signals, mut received) = mpsc::channel(8);
        forward_signals(&signals)?;
        let built = tokio::select! {
            biased;
            built = App::build(loaded, surroundings) => built.map(Some),
            () = told_to_end(&mut received) => Ok(None),
        };
        let Some(app) = built.transpose() else {
            // Nothing was taken yet, so there is nothing to drain.
            tracing::info!("stopped before it was ready");
            stdout.flush(LAST_LINES).await;
            return Ok(());
        };
        let app = match app {
            Ok(app) => app,
            Err(error) => {
                // What was said on the way, such as who holds the store, is part of the answer.
                stdout.flush(LAST_LINES).await;
                return Err(error);
            }
        };
        when_ready(signals);
        app.run(received).await
    });
    // A thread blocked by a dead disk or a full pipe must not keep the process.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

/// Returns once a signal asks for the end; the start may take long, such as for the store's lock.
async fn told_to_end(signals: &mut mpsc::Receiver<Signal>) {
    // The configuration was just read, and a change since then is noticed by itself.
    while let Some(Signal::Reload) = signals.recv().await {}
}

/// Raises the limit of open files as far as this process may by itself. Systemd and shells start
/// everything with 1024, for programs that use `select`; that is less than
/// `server.max_connections`.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        // On some systems "no limit" is more than there can be.
        tracing::debug!("the limit of open files stays: {error}");
    }
}

/// The runtime of the commands that serve: a worker for each core it may use.
fn many_threads() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "signals arrive before the service, and after it"
)]
fn forward_signals(signals: &mpsc::Sender<Signal>) -> anyhow::Result<()> {
    let kinds = [
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::hangup(), Signal::Reload),
    ];
    for (kind, meaning) in kinds {
        let mut arriving = signal(kind).context("cannot listen for signals")?;
        let signals = signals.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() {
                if signals.send(meaning).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// Loopback at `port`, or at a free one when that is taken.
fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let wanted = SocketAddr::from(([127, 0, 0, 1], port));
    let free = TcpListener::bind(wanted).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(free.context("no free port on loopback")?.local_addr()?)
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("flashduty-receiver-demo-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies where the system cleans up by itself.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}
