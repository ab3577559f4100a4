//! The command line: what each command takes, which runs where, and the exit codes.
//!
//! Commands print through [`printer::Printer`] only and return how they ended; nothing below this
//! file ends the process.

pub mod printer;
pub mod push;
pub mod sample;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use self::printer::Printer;

/// Receives Flashduty webhooks, makes them durable, answers in time and hands them on.
#[derive(Debug, Parser)]
#[command(name = "flashduty-receiver", version)]
pub struct Cli {
    /// As given, or none.
    #[arg(long, global = true, value_name = "FILE",
        help = "The configuration file; else the one $FLASHDUTY_CONFIG names", long_help = None)]
    pub config: Option<PathBuf>,
    /// Print for scripts: one JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; serve when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the sender: push one event, or a load with a latency table
    #[command(after_help = push::EXAMPLES)]
    Push(push::PushArgs),
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
        if is_closed_pipe(&error) {
            // Whoever read our output has seen enough.
            return Exit::Done;
        }
        // Nowhere is left to say so when standard error is gone.
        let _unsaid = printer.note(&format!("flashduty-receiver: {error:#}"));
        Exit::Failed
    });
    exit.into()
}

fn dispatch(cli: Cli, printer: &mut Printer) -> anyhow::Result<Exit> {
    match cli.command {
        None => Ok(Exit::Done),
        Some(Command::Push(args)) => one_thread()?.block_on(push::run(args, printer)),
    }
}

/// The runtime of every command but those that serve.
fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_definitions_agree_with_themselves() {
        Cli::command().debug_assert();
    }
}
