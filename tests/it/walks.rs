//! Walks from a peer to the client, as the handbook shows them for each kind of proxy: walked, and compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::markdown::sections;
use crate::tidy::{assert_none, read};

/// What a terminal in `folder` prints for `command`, behind its prompt.
fn printed(folder: &Path, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_flashduty-receiver"));
    let beside = binary.parent().unwrap().display();
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{beside}:/usr/bin:/bin"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    format!("$ {command}\n{said}")
}

#[test]
fn walks_that_are_shown_are_walked_so() {
    let mut walked = 0;
    let mut offenders = Vec::new();
    for section in sections(&read("docs/deployment.md")) {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let push = read("tests/samples/i_new.json");
        fs::write(here.join("push.json"), push).unwrap();
        for block in &section.blocks {
            if block.language == "toml" {
                fs::write(here.join("config.toml"), &block.text).unwrap();
            }
            if block.language == "console" {
                walked += 1;
                let command = block.text.lines().next().unwrap();
                let found = printed(here, command.strip_prefix("$ ").unwrap());
                if found != block.text {
                    offenders.push(format!("{}: {found}", section.heading));
                }
            }
        }
    }
    assert!(walked > 5, "{walked}");
    assert_none(&offenders, "a walk that is shown is walked so");
}
