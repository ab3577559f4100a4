//! The command line as its users see it.

pub(crate) mod fake;
mod receiver;
mod spill;
mod store;
mod unreadable;

use clap::CommandFactory as _;

use super::*;

fn help(names: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    for name in names {
        command = command.find_subcommand(name).unwrap().clone();
    }
    command.render_long_help().to_string()
}

#[test]
fn the_command_definitions_agree_with_themselves() {
    Cli::command().debug_assert();
}

#[test]
fn a_probe_ends_in_time_though_a_name_server_never_answers() {
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    let ended = in_time(async {
        let (begin, begun) = tokio::sync::oneshot::channel();
        // As whoever looks up a name does.
        let _asking = tokio::task::spawn_blocking(move || {
            begin.send(()).unwrap();
            answered.recv()
        });
        begun.await.unwrap();
        Ok(Exit::Done)
    });
    assert_eq!(ended.unwrap(), Exit::Done);
    drop(answer);
}

#[test]
fn help_teaches_the_first_steps() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
fn each_command_has_a_help_with_examples() {
    for command in [
        "push",
        "explain",
        "events",
        "deliveries",
        "unreadable",
        "recover",
        "spill",
        "doctor",
        "health",
        "check",
        "schema",
        "completions",
    ] {
        insta::assert_snapshot!(command, help(&[command]));
    }
}

#[test]
fn a_help_is_wrapped_where_the_terminal_ends_and_nowhere_else() {
    for command in Cli::command().get_subcommands() {
        let text = command.get_after_help().unwrap().to_string();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines {
            let is_example = line.starts_with(' ');
            assert!(!is_example || line.len() <= 80, "{line:?} is cut");
        }
        for pair in lines.windows(2) {
            let broken = pair
                .iter()
                .all(|line| !line.is_empty() && !line.starts_with(' '));
            assert!(!broken, "a paragraph is broken by hand: {pair:?}");
        }
    }
}

#[test]
fn a_global_argument_may_stand_before_or_behind_the_command() {
    for line in [
        "flashduty-receiver --config x.toml events",
        "flashduty-receiver events --config x.toml",
        "flashduty-receiver events show 5 --config x.toml --api http://127.0.0.1:9090",
        "flashduty-receiver events --api http://127.0.0.1:9090 show 5",
    ] {
        let parsed = Cli::try_parse_from(line.split(' '));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

#[test]
fn explain_takes_an_event_or_a_file_and_never_both() {
    for (line, good) in [
        ("flashduty-receiver explain 8d6f", true),
        (
            "flashduty-receiver explain --file b.json --peer 10.0.0.1",
            true,
        ),
        ("flashduty-receiver explain --file b.json", true),
        (
            "flashduty-receiver explain --file b.json --tag ops --query a=b",
            true,
        ),
        (
            "flashduty-receiver explain --file b.json -H X-Real-IP:10.0.0.1",
            false,
        ),
        ("flashduty-receiver explain --peer 10.0.0.1", false),
        (
            "flashduty-receiver explain 8d6f --file b.json --peer 10.0.0.1",
            false,
        ),
        ("flashduty-receiver explain", false),
    ] {
        assert_eq!(Cli::try_parse_from(line.split(' ')).is_ok(), good, "{line}");
    }
}

#[test]
fn an_error_ends_with_the_code_of_its_kind() {
    let broken = anyhow::Error::new(InboxError::Broken("bad sector".to_owned()));
    assert_eq!(Exit::of(&broken.context("read events")), Exit::StoreIo);
    let full = anyhow::Error::new(InboxError::Full("no room".to_owned()));
    assert_eq!(Exit::of(&full), Exit::Failed);
    let broken_pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
    let read_enough = anyhow::Error::new(PrintError::from(broken_pipe()));
    assert_eq!(Exit::of(&read_enough), Exit::Done);
    let connection_lost = anyhow::Error::new(broken_pipe());
    assert_eq!(Exit::of(&connection_lost), Exit::Failed);
    assert_eq!(Exit::of(&anyhow::anyhow!("anything else")), Exit::Failed);
}
