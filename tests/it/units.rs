//! The units for systemd agree with the binary and hold what their comments say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::deploy::{key, line_of, seconds, toml};
use crate::proxy::switched_on;
use crate::tidy::read;

/// The units with this binary in place of the installed one, in a folder.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["flashduty-receiver.service", "flashduty-receiver.socket"] {
        let text = read(&format!("deploy/systemd/{name}"));
        let here = text.replace(
            "ExecStart=/usr/local/bin/flashduty-receiver",
            &format!("ExecStart={}", env!("CARGO_BIN_EXE_flashduty-receiver")),
        );
        fs::write(folder.path().join(name), here).unwrap();
    }
    folder
}

fn analyze(arguments: &[&str], folder: &Path) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("systemd-analyze is there: `make test` installs systemd");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}{said}");
    // Verifying also reads the machine's own units, which may be what they like.
    let ours = errors.lines().find(|line| line.contains("flashduty"));
    assert_eq!(ours, None, "{arguments:?}");
}

#[test]
fn systemd_understands_the_units_and_finds_little_to_attack() {
    let folder = units();
    let (service, socket) = (
        "./flashduty-receiver.service",
        "./flashduty-receiver.socket",
    );
    analyze(&["verify", service, socket], folder.path());
    // In tenths, of 100 for a unit without any hardening.
    let strict = ["security", "--no-pager", "--offline=true", "--threshold=15"];
    analyze(&[strict.as_slice(), &[service]].concat(), folder.path());
}

#[test]
fn the_units_agree_with_the_binary() {
    let socket = read("deploy/systemd/flashduty-receiver.socket");
    let service = read("deploy/systemd/flashduty-receiver.service");
    let defaults = toml("config/default.toml");
    assert_eq!(
        line_of(&socket, "ListenStream="),
        key(&defaults, "server", "listen")
    );
    assert_eq!(line_of(&socket, "Backlog="), "4096");
    assert_eq!(line_of(&socket, "FileDescriptorName="), "public");
    assert_eq!(line_of(&service, "Type="), "notify");
    let watchdog = Duration::from_secs(seconds(line_of(&service, "WatchdogSec=")));
    assert!(watchdog >= Duration::from_secs(10));
    // The store is below the working directory, which is all that may be written to.
    let store = key(&defaults, "store", "url")
        .strip_prefix("sqlite:")
        .unwrap();
    assert!(Path::new(store).is_relative());
    let state = line_of(&service, "StateDirectory=");
    assert_eq!(
        line_of(&service, "WorkingDirectory="),
        format!("%S/{state}")
    );
    let config = read("deploy/systemd/config.toml");
    for (service, config) in [
        (&service, &config),
        (&switched_on(&service), &switched_on(&config)),
    ] {
        assert_eq!(loaded(service), named(config));
    }
}

/// The credentials that the unit loads.
fn loaded(service: &str) -> BTreeSet<&str> {
    let lines = service
        .lines()
        .filter_map(|line| line.strip_prefix("LoadCredential="));
    let loaded = lines.map(|line| line.split_once(':').unwrap());
    loaded
        .inspect(|(name, path)| assert_eq!(*path, format!("/etc/flashduty-receiver/{name}")))
        .map(|(name, _)| name)
        .collect()
}

/// The credentials that the configuration reads.
fn named(config: &str) -> BTreeSet<&str> {
    let lines = config.lines().filter(|line| !line.starts_with('#'));
    let places = lines.filter_map(|line| line.split_once("file:/run/credentials/"));
    places
        .map(|(_, place)| {
            let place = place.split('"').next().unwrap();
            place.strip_prefix("flashduty-receiver.service/").unwrap()
        })
        .collect()
}

#[test]
fn the_unit_leaves_commands_their_compilers_and_metrics_their_figures() {
    let service = read("deploy/systemd/flashduty-receiver.service");
    for harmful in ["MemoryDenyWriteExecute=", "ProcSubset="] {
        assert!(!service.lines().any(|line| line.starts_with(harmful)));
        // And says why, or somebody adds it for one point less.
        assert!(service.contains(&format!("# - {harmful}")));
    }
    // Lines that the journal drops would count as delivered.
    assert_eq!(line_of(&service, "LogRateLimitIntervalSec="), "0");
}
