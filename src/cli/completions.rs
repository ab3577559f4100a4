//! `completions`: what a shell needs to complete commands, options and their values.

use clap::{Args, CommandFactory as _, ValueEnum};

use super::printer::Printer;
use super::{Cli, Exit};

/// The name that is completed.
const NAME: &str = "flashduty-receiver";

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shown below `completions --help`.
pub const EXAMPLES: &str = "\
Examples:
  For this bash, or for every one that begins from now on:
    source <(flashduty-receiver completions bash)
    flashduty-receiver completions bash \\
      > ~/.local/share/bash-completion/completions/flashduty-receiver
  For zsh, into a folder of $fpath:
    flashduty-receiver completions zsh > \"${fpath[1]}/_flashduty-receiver\"
  For fish:
    flashduty-receiver completions fish \\
      > ~/.config/fish/completions/flashduty-receiver.fish";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

/// Prints the completions of a shell.
///
/// # Errors
/// When they cannot be written.
pub fn run(args: &CompletionsArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    printer.line(script(args.shell)?.trim_end())?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    let shell = clap_complete::Shell::from(shell);
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    let script = String::from_utf8(script)?;
    // For bash clap takes the hyphen in the name for the beginning of a subcommand in one of the two
    // places that must agree.
    Ok(script.replace("flashduty__subcmd__receiver", "flashduty__receiver"))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::process::{Command, Output, Stdio};

    use super::*;

    /// What `shell` says to `script`; nothing where there is no such shell.
    fn said(shell: &str, arguments: &[&str], script: &str) -> Option<Output> {
        let mut command = Command::new(shell);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => panic!("{shell}: {error}"),
        };
        // A shell that reads no further says why by itself.
        let _unread = child.stdin.take().unwrap().write_all(script.as_bytes());
        Some(child.wait_with_output().unwrap())
    }

    #[test]
    fn each_shell_understands_its_completions() {
        for (shell, name, check) in [
            (Shell::Bash, "bash", "-n"),
            (Shell::Zsh, "zsh", "-n"),
            (Shell::Fish, "fish", "--no-execute"),
        ] {
            let script = script(shell).unwrap();
            for word in ["deliveries", "unreadable", "token-file", "superseded"] {
                assert!(script.contains(word), "{name}: {word}");
            }
            let Some(output) = said(name, &[check], &script) else {
                assert_ne!(shell, Shell::Bash, "bash is needed");
                continue;
            };
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {told}");
        }
    }

    #[test]
    fn bash_completes_commands_options_and_values() {
        let script = script(Shell::Bash).unwrap();
        for (line, wanted) in [
            ("flashduty-receiver del", "deliveries"),
            ("flashduty-receiver deliveries --sta", "--state"),
            ("flashduty-receiver deliveries --state de", "dead"),
            ("flashduty-receiver unreadable of", "offer"),
            ("flashduty-receiver completions zs", "zsh"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let at = words.len() - 1;
            let (last, previous) = (words[at], words[at - 1]);
            // The shell itself knows best what it would call.
            let asked = format!(
                "{script}\nCOMP_WORDS=({line})\nCOMP_CWORD={at}\n\
                 known=$(complete -p {NAME})\ncall=${{known##*-F }}\n\
                 \"${{call%% *}}\" {NAME} '{last}' '{previous}'\n\
                 printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
            );
            let output = said("bash", &["--norc"], &asked).expect("bash is there");
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let is_offered = told.lines().any(|word| word.trim() == wanted);
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(is_offered, "{line}: {told}{complaint}");
        }
    }
}
