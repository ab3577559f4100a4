//! The `flashduty-receiver` binary: run the command line, turn the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    flashduty_receiver::cli::run()
}
