//! What the binary is made of: licences, banned crates, versions that are there twice, where crates
//! come from, and no dependency without a use.
//!
//! The rules stand in deny.toml, which hosted CI reads as well.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::aloud::say_aloud;
use crate::tidy::{ROOT, assert_none, read, sources};

/// Where crates come from: never from a repository or a folder.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What must never be taken off the list of banned crates.
const NEVER: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
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

/// deny.toml's list `key` in the table `section`.
fn rules(section: &str, key: &str) -> Vec<toml::Value> {
    let rules: toml::Table = read("deny.toml").parse().unwrap();
    rules[section][key].as_array().unwrap().clone()
}

/// The crates that a list of deny.toml names.
fn crates(section: &str, key: &str) -> BTreeSet<String> {
    let name = |rule: &toml::Value| rule["crate"].as_str().unwrap().to_owned();
    rules(section, key).iter().map(name).collect()
}

fn words(list: &toml::Value) -> impl Iterator<Item = String> {
    let list = list.as_array().unwrap().iter();
    list.map(|word| word.as_str().unwrap().to_owned())
}

/// Every crate of Cargo.lock but the service itself.
fn locked() -> Vec<toml::Table> {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    let packages = packages.map(|package| package.as_table().unwrap().clone());
    packages
        .filter(|package| package["name"].as_str() != Some(env!("CARGO_PKG_NAME")))
        .collect()
}

fn metadata(more: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        // What is behind features is in the image.
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
        ])
        .args(more)
        .current_dir(ROOT)
        .env("CARGO_NET_RETRY", "0")
        .env("CARGO_HTTP_TIMEOUT", "10")
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// What cargo knows of every crate in Cargo.lock. Those for other systems may have to be fetched for
/// it; where that fails, of those that are built here.
fn described() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = metadata(&[]).unwrap_or_else(|why| {
        say_aloud(&format!(
            "licences of crates that are not built here, as they cannot be fetched: {why}"
        ));
        metadata(&["--filter-platform", &platform]).unwrap()
    });
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 50, "cargo lists the whole tree");
    packages
}

/// Whether an SPDX expression leaves a choice that is among `allowed`. AND binds closer than OR, and
/// a slash is how OR used to be written.
fn may_be_used(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut fits = both(rest, allowed);
    while take(rest, "OR") {
        fits |= both(rest, allowed);
    }
    fits
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut fits = one(rest, allowed);
    while take(rest, "AND") {
        fits &= one(rest, allowed);
    }
    fits
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    if take(rest, "(") {
        let fits = either(rest, allowed);
        return take(rest, ")") && fits;
    }
    let Some(name) = next(rest) else {
        return false;
    };
    if !take(rest, "WITH") {
        return allowed.contains(name);
    }
    let exception = next(rest).unwrap_or_default();
    allowed.contains(&format!("{name} WITH {exception}"))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let is_next = rest.first() == Some(&word);
    if is_next {
        *rest = &rest[1..];
    }
    is_next
}

fn next<'w>(rest: &mut &[&'w str]) -> Option<&'w str> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

#[test]
fn a_licence_is_read_as_spdx_means_it() {
    let allowed = BTreeSet::from(["MIT", "ISC", "GPL-2.0 WITH exception"].map(str::to_owned));
    for (expression, fits) in [
        ("MIT", true),
        ("GPL-2.0", false),
        ("GPL-2.0/MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-2.0", false),
        ("(MIT OR GPL-2.0) AND ISC", true),
        ("MIT OR GPL-2.0 AND GPL-3.0", true),
        ("GPL-2.0 OR (ISC AND GPL-3.0)", false),
        ("GPL-2.0 WITH exception OR GPL-2.0", true),
        ("GPL-2.0 WITH other", false),
        ("MIT ISC", false),
        ("MIT OR", true),
        ("(MIT", false),
        ("", false),
        ("no licence", false),
    ] {
        assert_eq!(may_be_used(expression, &allowed), fits, "{expression}");
    }
}

#[test]
fn every_crate_has_a_licence_we_can_keep() {
    let allowed: BTreeSet<String> = {
        let list = toml::Value::Array(rules("licenses", "allow"));
        words(&list).collect()
    };
    let exceptions: BTreeMap<String, BTreeSet<String>> = rules("licenses", "exceptions")
        .iter()
        .map(|rule| {
            let name = rule["crate"].as_str().unwrap().to_owned();
            (name, words(&rule["allow"]).chain(allowed.clone()).collect())
        })
        .collect();
    let mut offenders = Vec::new();
    for package in described() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("no licence");
        if !may_be_used(licence, exceptions.get(name).unwrap_or(&allowed)) {
            offenders.push(format!("{name}: {licence}"));
        }
    }
    assert_none(&offenders, "licences that do not belong in the tree");
}

#[test]
fn no_crate_that_is_banned_is_in_the_tree() {
    let banned = crates("bans", "deny");
    for name in NEVER {
        assert!(banned.contains(name), "{name} stays banned");
    }
    let locked = locked();
    let names = locked
        .iter()
        .map(|package| package["name"].as_str().unwrap());
    let offenders: Vec<String> = names
        .filter(|name| banned.contains(*name))
        .map(str::to_owned)
        .collect();
    assert_none(&offenders, "crates that do not belong in the tree");
}

#[test]
fn every_crate_comes_from_the_registry_and_is_known_by_its_checksum() {
    let mut offenders = Vec::new();
    for package in locked() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let is_sum =
            |sum: &str| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text("source") != Some(REGISTRY) || !text("checksum").is_some_and(is_sum) {
            offenders.push(format!("{} of {:?}", package["name"], text("source")));
        }
    }
    assert_none(&offenders, "what a build takes is what was looked at");
}

#[test]
fn a_crate_is_there_twice_only_for_a_reason_that_is_written_down() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in locked() {
        let name = package["name"].as_str().unwrap().to_owned();
        *versions.entry(name).or_default() += 1;
    }
    versions.retain(|_, count| *count > 1);
    let thrice: Vec<_> = versions.iter().filter(|(_, count)| **count > 2).collect();
    // One too many is base64's: a test's dependency is behind, and another one ahead.
    assert!(
        thrice
            .iter()
            .all(|(name, count)| *name == "base64" && **count == 3),
        "{thrice:?}"
    );
    let twice: BTreeSet<String> = versions.into_keys().collect();
    assert_eq!(
        twice,
        crates("bans", "skip"),
        "Cargo.lock on the left, deny.toml's bans.skip on the right"
    );
    for rule in rules("bans", "skip") {
        assert!(!rule["reason"].as_str().unwrap().is_empty(), "{rule}");
    }
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
