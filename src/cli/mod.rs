//! The command line: what each command takes, which runs where, and the exit codes.
//!
//! Commands print through [`printer::Printer`] only and return how they ended; nothing below this
//! file ends the process.

pub mod access;
pub mod api;
pub mod change;
pub mod check;
pub mod completions;
pub mod deliveries;
pub mod demo;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod filter;
pub mod health;
pub mod hypothesis;
pub mod interrupt;
pub mod preset;
pub mod printer;
pub mod push;
pub mod reader;
pub mod recover;
pub mod request;
pub mod sample;
pub mod serve;
pub mod settings;
pub mod spill;
pub mod steps;
pub mod tail;
pub mod target;
pub mod tls;
pub mod unreadable;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use self::printer::{PrintError, Printer};
use self::reader::Reader;
use crate::build;
use crate::config::ConfigError;
use crate::inbox::InboxError;
use crate::inbox::sqlite::OpenError;
use crate::supervisor::WrongSocket;

/// Receives Flashduty webhooks, makes them durable, answers in time and hands them on.
#[derive(Debug, Parser)]
#[command(
    name = "flashduty-receiver",
    version,
    long_version = build::description(),
    after_help = EXAMPLES
)]
pub struct Cli {
    /// As given, or none.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "The configuration file; else the one $FLASHDUTY_CONFIG names"
    )]
    pub config: Option<PathBuf>,
    /// Print for scripts: one JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; serve when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
First steps:
  flashduty-receiver demo              see it work, on a temporary inbox
  flashduty-receiver check             the configuration as it would be used
  flashduty-receiver doctor            what else stands in the way, and what to do
  flashduty-receiver                   serve
  flashduty-receiver events            what came in, from the running receiver
  flashduty-receiver tail              what comes in, as it comes
  flashduty-receiver explain EVENT_ID  what became of one event, and why

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 74 the store's I/O failed.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive pushes until told to stop (the default)
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve,
    /// Serve on loopback with a temporary inbox, and play a sample incident into it
    #[command(after_help = serve::DEMO_EXAMPLES)]
    Demo,
    /// Check the configuration and print it as it would be used
    #[command(after_help = check::CHECK_EXAMPLES)]
    Check,
    /// Play the sender: push one event, or a load with a latency table
    #[command(after_help = push::EXAMPLES)]
    Push(Box<push::PushArgs>),
    /// Tell what became of an event and why, or what would become of a push
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArgs),
    /// List stored events, or show one
    #[command(after_help = events::EXAMPLES)]
    Events(events::EventsArgs),
    /// Show the events as they come, and go on after a cut or a restart
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::TailArgs),
    /// List deliveries to sinks, or show those of one event
    #[command(after_help = deliveries::EXAMPLES)]
    Deliveries(deliveries::DeliveriesArgs),
    /// Deliver again what a selection names: what was given up, or all a new sink missed
    #[command(after_help = change::REPLAY_EXAMPLES)]
    Replay(change::ReplayArgs),
    /// Give up deliveries that wait or are dead, for a reason that is kept
    #[command(after_help = change::DROP_EXAMPLES)]
    Drop(change::DropArgs),
    /// Fetch from the sender's history what it pushed while no receiver took it
    #[command(after_help = recover::EXAMPLES)]
    Recover(recover::RecoverArgs),
    /// Say what waits in a spill, or drain one whose receiver is gone
    #[command(after_help = spill::EXAMPLES)]
    Spill(spill::SpillArgs),
    /// Print a ready-made sink, or list those there are
    #[command(after_help = preset::EXAMPLES)]
    Preset(preset::PresetArgs),
    /// List pushes that could not be read, show one, offer them again or drop them
    #[command(after_help = unreadable::EXAMPLES)]
    Unreadable(unreadable::UnreadableArgs),
    /// Print the configuration's JSON Schema
    #[command(after_help = check::SCHEMA_EXAMPLES)]
    Schema,
    /// Print completions for a shell: bash, zsh or fish
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArgs),
    /// Look at all that a receiver rests on, and say what to do about what is found
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Ask a running receiver whether it can take a push, for container health checks
    #[command(after_help = health::EXAMPLES)]
    Health(health::HealthArgs),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: as asked.
    Done,
    /// 1: not as asked.
    Failed,
    /// 2: the arguments or the configuration are wrong.
    Usage,
    /// 74 (`EX_IOERR` of sysexits.h): the store's I/O failed.
    StoreIo,
}

impl Exit {
    /// How a command ended that ended with `error`.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<ConfigError>() || cause.is::<WrongSocket>() {
                return Self::Usage;
            }
            if let Some(InboxError::Broken(_)) = cause.downcast_ref() {
                return Self::StoreIo;
            }
            if cause.downcast_ref().is_some_and(OpenError::is_io) {
                return Self::StoreIo;
            }
            if let Some(PrintError::Closed) = cause.downcast_ref() {
                return Self::Done;
            }
        }
        Self::Failed
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::StoreIo => 74,
        })
    }
}

/// Parses the arguments, runs the command and gives the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Also --help and --version: clap knows which stream and code belong to each.
            let printed = error.print();
            let usage = error.use_stderr() || printed.is_err();
            return if usage { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let mut printer = Printer::standard(cli.json);
    let exit = dispatch(cli, &mut printer).unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        if exit != Exit::Done {
            // Nowhere is left to say so when standard error is gone.
            let _unsaid = printer.note(&format!("flashduty-receiver: {error:#}"));
        }
        exit
    });
    exit.into()
}

fn dispatch(cli: Cli, printer: &mut Printer) -> anyhow::Result<Exit> {
    let config = cli.config.as_deref();
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(config),
        Command::Demo => serve::demo(printer),
        Command::Check => check::check(config, printer),
        Command::Schema => check::schema(printer),
        Command::Completions(args) => completions::run(&args, printer),
        Command::Push(args) => one_thread()?.block_on(push::run(*args, printer)),
        Command::Explain(args) => one_thread()?.block_on(explain::run(args, config, printer)),
        Command::Events(args) => one_thread()?.block_on(events::run(args, config, printer)),
        Command::Tail(args) => one_thread()?.block_on(tail::run(args, config, printer)),
        Command::Deliveries(args) => one_thread()?.block_on(deliveries::run(args, config, printer)),
        Command::Replay(args) => one_thread()?.block_on(change::replay(args, config, printer)),
        Command::Drop(args) => one_thread()?.block_on(change::drop(args, config, printer)),
        Command::Recover(args) => one_thread()?.block_on(recover::run(args, config, printer)),
        Command::Spill(args) => one_thread()?.block_on(spill::run(args, config, printer)),
        Command::Doctor(args) => doctor::run(&args, config, printer),
        Command::Preset(args) => preset::run(&args, printer),
        Command::Unreadable(args) => one_thread()?.block_on(unreadable::run(args, config, printer)),
        Command::Health(args) => in_time(health::run(args, config, printer)),
    }
}

/// The runtime of every command but those that serve.
fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs a command that has to end as soon as it knows its answer: who asks a name server that says
/// nothing is left behind.
fn in_time(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = one_thread()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}

/// Lets go of the inbox, whatever came of the command.
async fn finish(reader: Reader, done: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let closed = reader.close().await;
    let exit = done?;
    closed?;
    Ok(exit)
}
