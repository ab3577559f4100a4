//! What the binary is made of: licences, banned crates, and no dependency without a use.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::tidy::{ROOT, assert_none, read, sources};

/// Licences whose terms a binary under Apache-2.0 can keep.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// A second TLS library, or one of C: two of them in one binary panic or fail to link.
const BANNED: [&str; 6] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "boring-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
];

/// What the service is built on.
const FOUNDATION: [&str; 9] = [
    "axum",
    "config",
    "ipnet",
    "serde",
    "serde_json",
    "tokio",
    "tower-http",
    "tracing",
    "tracing-subscriber",
];

fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            // What is behind features is in the image.
            "--all-features",
            "--filter-platform",
            &platform,
        ])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether an SPDX expression leaves a choice that is in [`LICENCES`].
fn may_be_used(expression: &str) -> bool {
    let clean = expression.replace(['(', ')'], "").replace('/', " OR ");
    clean.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim()))
    })
}

#[test]
fn every_dependency_has_a_licence_we_can_keep_and_none_is_banned() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "cargo lists the whole tree");
    let mut offenders = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("no licence");
        if !may_be_used(licence) {
            offenders.push(format!("{name}: {licence}"));
        }
        if BANNED.contains(&name) {
            offenders.push(format!("{name} is banned"));
        }
    }
    assert_none(
        &offenders,
        "licences and crates that do not belong in the tree",
    );
}

#[test]
fn every_direct_dependency_is_used_and_the_foundation_is_among_them() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let names: BTreeSet<&str> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let code: String = sources().into_iter().map(|source| source.code).collect();
    let mut offenders = Vec::new();
    for name in &names {
        let path = format!("{}::", name.replace('-', "_"));
        let starts = |at: usize| {
            !code
                .split_at(at)
                .0
                .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
        };
        if !code.match_indices(&path).any(|(at, _)| starts(at)) {
            offenders.push(format!("{name} is not used"));
        }
    }
    for name in FOUNDATION {
        if !names.contains(name) {
            offenders.push(format!("{name} is missing"));
        }
    }
    assert_none(&offenders, "dependencies are there to be used");
}
