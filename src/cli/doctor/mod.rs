//! `doctor`: looks at everything that a receiver rests on, and says what to do about what it finds.
//!
//! It runs beside a running receiver and disturbs nothing: no lock is taken, nothing is delivered,
//! and of what is written nothing stays. Checks run at the same time, each with a deadline.

mod clock;
mod configuration;
mod database;
mod listeners;
mod names;
mod process;
mod recovery;
mod report;
mod sinks;
mod source;
mod store;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::join_all;
use tokio::time::timeout;

use self::report::{Check, Report};
use super::Exit;
use super::printer::Printer;
use crate::clock::{Clock, SystemClock};
use crate::config::{Loaded, StoreUrl};

/// How long a check may take. All of them run at once, so this is about the whole command.
const DEADLINE: Duration = Duration::from_secs(8);

/// How long somebody else may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How strict to be.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Exit with 1 for warnings, too
    #[arg(long)]
    strict: bool,
}

/// Shown below `doctor --help`.
pub const EXAMPLES: &str = "\
Looks at the configuration, secrets' files, ports, who may push, disk and its syncs, the store, \
the database, names, sinks, the key of Flashduty's API, the clock, and what the system allows. \
Each finding says what to do about it. Takes at most ten seconds, delivers nothing, and may run \
beside the receiver: best as the receiver's user, in its working directory and with its \
environment. Of an http sink's host only a HEAD of / is asked, without the sink's path, headers \
and secrets.

Exits with 0 when nothing fails, 1 when something does, 2 when the configuration cannot be used, \
74 when the store's disk fails. For scripts:
  flashduty-receiver doctor --json | jq '.checks[] | select(.status != \"ok\")'";

/// Looks at everything, and prints what was found.
///
/// # Errors
/// When it cannot be printed.
pub fn run(
    args: &DoctorArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let runtime = super::one_thread()?;
    let report = runtime.block_on(examine(config));
    // A name server or a disk that does not answer must not keep the process.
    runtime.shutdown_background();
    report.print(printer)?;
    Ok(report.exit(args.strict))
}

async fn examine(config: Option<&Path>) -> Report {
    let begun = Instant::now();
    let (mut configuration, loaded) = configuration::check(config);
    configuration.took(begun.elapsed());
    let mut checks = vec![configuration];
    let Some(loaded) = loaded else {
        return Report::new(checks, false);
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let found = join_all(looks(&Arc::new(loaded), &clock)).await;
    checks.extend(found.into_iter().flatten());
    let readings: Vec<_> = checks.iter().flat_map(Check::readings).cloned().collect();
    checks.push(clock::check(&readings, clock.now()));
    Report::new(checks, true)
}

/// Something that is being looked at.
type Look = Pin<Box<dyn Future<Output = Vec<Check>>>>;

/// All there is to look at, in the order in which it is shown.
fn looks(loaded: &Arc<Loaded>, clock: &Arc<dyn Clock>) -> Vec<Look> {
    let settings = &loaded.settings;
    let mut looks = Vec::new();
    let given = Arc::clone(loaded);
    let secrets = move || vec![configuration::secrets(&given)];
    looks.push(within("secrets", blocking("secrets", secrets)));
    let given = Arc::clone(loaded);
    let ports = async move { vec![listeners::check(&given).await] };
    looks.push(within("listeners", ports));
    let given = Arc::clone(loaded);
    let source = async move { vec![source::check(&given).await] };
    looks.push(within("source", source));
    let (given, now) = (Arc::clone(loaded), clock.now());
    let store = move || store::checks(&given.settings, now);
    looks.push(within("store", blocking("store", store)));
    if let StoreUrl::Postgres(target) = &settings.store.url {
        let (given, clock, hosts) = (Arc::clone(loaded), Arc::clone(clock), target.hosts());
        let database = async move { vec![database::check(&given.settings, &hosts, &*clock).await] };
        looks.push(within("database", database));
    }
    let given = Arc::clone(loaded);
    let names = async move { vec![names::check(&given.settings).await] };
    looks.push(within("names", names));
    if let Some(key) = settings.flashduty.app_key.clone()
        && settings.recover.has_scope()
    {
        let (given, clock) = (Arc::clone(loaded), Arc::clone(clock));
        let recovery = async move { vec![recovery::check(&given.settings, key, &*clock).await] };
        looks.push(within("recovery", recovery));
    }
    let enabled = settings.sinks.iter().filter(|(_, sink)| sink.is_enabled());
    for name in enabled.map(|(name, _)| name.clone()) {
        let (given, clock) = (Arc::clone(loaded), Arc::clone(clock));
        let title = format!("sink {name}");
        let sink = async move { vec![sinks::check(&given, &name, clock).await] };
        looks.push(within(&title, sink));
    }
    let given = Arc::clone(loaded);
    let process = move || process::checks(&given.settings);
    looks.push(within("process", blocking("process", process)));
    looks
}

/// Gives a look its deadline, and notes how long it took.
fn within(name: &str, look: impl Future<Output = Vec<Check>> + 'static) -> Look {
    let name = name.to_owned();
    Box::pin(async move {
        let begun = Instant::now();
        let mut checks = timeout(DEADLINE, look).await.unwrap_or_else(|_elapsed| {
            let mut late = Check::new(name);
            late.fail(
                format!("no end within {DEADLINE:?}"),
                "something it asks hangs: the disk, the network or a name server",
            );
            vec![late]
        });
        for check in &mut checks {
            check.took(begun.elapsed());
        }
        checks
    })
}

/// Runs a look that blocks where that holds up no other.
async fn blocking(
    name: &'static str,
    look: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|error| {
        let mut cut_off = Check::new(name);
        cut_off.fail(
            format!("it did not come to its end: {error}"),
            "this is a fault of the program: please report it",
        );
        vec![cut_off]
    })
}
