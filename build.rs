//! Tells the code which commit it is built from and of when that is: what `BUILD_COMMIT` and
//! `SOURCE_DATE_EPOCH` say, or else, in a release build of a git checkout, what git says.
//!
//! Neither the clock nor the machine has a say, so that the same sources give the same binary. Debug
//! builds do not ask git: every commit would have them compiled anew.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

/// Said of what is not known.
const UNKNOWN: &str = "unknown";
/// What a binary is made of.
const SOURCES: [&str; 6] = [
    ".cargo",
    "Cargo.lock",
    "Cargo.toml",
    "build.rs",
    "config",
    "src",
];

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for name in ["BUILD_COMMIT", "SOURCE_DATE_EPOCH"] {
        writeln!(out, "cargo::rerun-if-env-changed={name}")?;
    }
    // Where nothing is named, every file of the package counts.
    writeln!(out, "cargo::rerun-if-changed=build.rs")?;
    let is_release = variable("PROFILE").is_some_and(|profile| profile == "release");
    let asks_git = is_release && Path::new(".git").exists();
    if asks_git {
        for path in moving() {
            writeln!(out, "cargo::rerun-if-changed={path}")?;
        }
    }
    let given = variable("BUILD_COMMIT");
    if let Some(given) = given.as_deref().filter(|given| !is_commit(given)) {
        let error = format!("BUILD_COMMIT is {given:?}, which is no commit's hash");
        return Err(io::Error::other(error));
    }
    let head = || git(&["rev-parse", "HEAD"]);
    let hash = given.clone().or_else(|| asks_git.then(head).flatten());
    let epoch = match variable("SOURCE_DATE_EPOCH") {
        Some(given) if given.parse::<u32>().is_ok() => Some(given),
        Some(given) => {
            let error = format!("SOURCE_DATE_EPOCH is {given:?}, which is no number of seconds");
            return Err(io::Error::other(error));
        }
        None => hash
            .as_deref()
            .filter(|_| asks_git)
            .and_then(|hash| git(&["log", "-1", "--no-show-signature", "--format=%ct", hash]))
            .filter(|said| said.parse::<u32>().is_ok()),
    };
    let mut commit = hash.unwrap_or_else(|| UNKNOWN.to_owned());
    if asks_git && given.is_none() && is_changed() {
        commit += "-dirty";
    }
    let epoch = epoch.unwrap_or_else(|| UNKNOWN.to_owned());
    writeln!(out, "cargo::rustc-env=BUILT_FROM_COMMIT={commit}")?;
    writeln!(out, "cargo::rustc-env=BUILT_FROM_EPOCH={epoch}")
}

/// The files that change when another commit is checked out, or the sources differ from it.
fn moving() -> Vec<String> {
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
    // A branch whose reference is packed has no file of its own; its log has a line for each change.
    let names = ["HEAD", "logs/HEAD"].map(str::to_owned);
    let files = names.into_iter().chain(branch);
    let paths = files.filter_map(|name| git(&["rev-parse", "--git-path", &name]));
    let sources = SOURCES.map(str::to_owned);
    // One that is not there would count as changed every time.
    paths
        .chain(sources)
        .filter(|path| Path::new(path).exists())
        .collect()
}

/// Whether the sources differ from the commit.
fn is_changed() -> bool {
    let arguments = ["diff", "--quiet", "HEAD", "--"];
    let compared = Command::new("git").args(arguments).args(SOURCES).status();
    !compared.is_ok_and(|status| status.success())
}

/// What git says to `arguments`; none where it is not there or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let said = said.trim();
    (output.status.success() && !said.is_empty()).then(|| said.to_owned())
}

fn is_commit(word: &str) -> bool {
    (7..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The value of a variable of the environment; an empty one is none.
#[expect(
    clippy::disallowed_methods,
    reason = "what makes the binary is told by its environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
