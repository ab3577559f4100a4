//! The scripts that make a release: which tags they let through, and what they pack.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::markdown::links;
use crate::stand_in::stand_in;
use crate::tidy::{ROOT, files, read};

/// What the name of an archive begins with.
const PACKED: &str = "flashduty-receiver-9.8.7-";

/// A copy of what the scripts look at, of version 9.8.7.
struct Copied(tempfile::TempDir);

impl Copied {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::create_dir_all(here.join("scripts")).unwrap();
        let own = ["Cargo.toml", "Cargo.lock", "LICENSE"].map(str::to_owned);
        let folders = ["scripts", "config", "deploy", "docs"];
        let below = folders.into_iter().flat_map(|folder| files(folder, ""));
        for path in own.into_iter().chain(documents()).chain(below) {
            let to = here.join(&path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(Path::new(ROOT).join(&path), to).unwrap();
        }
        let copied = Self(folder);
        let version = env!("CARGO_PKG_VERSION");
        let package =
            |version: &str| format!("name = \"flashduty-receiver\"\nversion = \"{version}\"");
        copied.change("Cargo.toml", &package(version), &package("9.8.7"));
        copied.change("Cargo.lock", &package(version), &package("9.8.7"));
        for path in files("deploy/kubernetes", "kustomization.yaml") {
            let tag = format!("newTag: {version}");
            if read(&path).contains(&tag) {
                copied.change(&path, &tag, "newTag: 9.8.7");
            }
        }
        let news =
            "## [9.8.7] - 2026-05-04\n\n### Fixed\n\n- All of it.\n\n## [9.8.6] - 2026-05-03\n";
        fs::write(copied.0.path().join("CHANGELOG.md"), news).unwrap();
        copied
    }

    fn change(&self, path: &str, from: &str, to: &str) {
        let file = self.0.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    fn run(&self, script: &str, argument: &str, variables: &[(&str, &str)]) -> Output {
        Command::new(self.0.path().join("scripts").join(script))
            .arg(argument)
            .current_dir(self.0.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// What is said of a tag, or what is wrong with it.
    fn check(&self, tag: &str) -> Result<String, String> {
        let output = self.run("release-check.sh", tag, &[]);
        let said = |bytes| String::from_utf8(bytes).unwrap();
        match output.status.success() {
            true => Ok(said(output.stdout)),
            false => Err(said(output.stderr)),
        }
    }
}

#[test]
fn only_a_tag_that_agrees_with_all_that_names_a_version_is_released() {
    let copied = Copied::new();
    assert_eq!(
        copied.check("v9.8.7").unwrap(),
        "\n### Fixed\n\n- All of it.\n\n"
    );
    for tag in ["", "9.8.7", "v9.8.6", "v9.8.7-rc.1"] {
        let error = copied.check(tag).unwrap_err();
        assert!(error.contains(&format!("the tag is \"{tag}\"")), "{error}");
    }
    for (path, from, to, wanted) in [
        (
            "CHANGELOG.md",
            "2026-05-04",
            "unreleased",
            "CHANGELOG.md has no",
        ),
        ("Cargo.lock", "9.8.7", "9.8.6", "Cargo.lock has another"),
        (
            "deploy/kubernetes/overlays/sqlite/kustomization.yaml",
            "9.8.7",
            "9.8.6",
            "names another image",
        ),
    ] {
        copied.change(path, from, to);
        let error = copied.check("v9.8.7").unwrap_err();
        assert!(error.contains(wanted), "{error}");
        copied.change(path, to, from);
    }
    copied.check("v9.8.7").unwrap();
}

#[test]
fn what_people_may_have_is_not_released_once_more() {
    let tools = tempfile::tempdir().unwrap();
    let here = tools.path();
    let refused = |what: &str, name: &str| {
        let output = Command::new("scripts/release-new.sh")
            .args([what, name])
            .current_dir(ROOT)
            .env("PATH", format!("{}:/usr/bin:/bin", here.display()))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (!output.status.success()).then_some(said)
    };
    stand_in(here, "gh", "echo v9.8.10; echo v9.8.6");
    assert_eq!(refused("release", "v9.8.7"), None);
    assert_eq!(refused("release", "v9.8.1"), None);
    let released = refused("release", "v9.8.6").unwrap();
    assert!(released.contains("there is a release v9.8.6"), "{released}");
    stand_in(here, "gh", "exit 1");
    assert!(refused("release", "v9.8.7").is_some());

    for (docker, wanted) in [
        ("echo 'ERROR: host/own:9.8.7: not found' >&2; exit 1", None),
        ("echo 'Name: host/own:9.8.7'", Some("there is an image")),
        (
            "echo 'no route to host' >&2; exit 1",
            Some("cannot be told: no route"),
        ),
        (
            "echo 'ERROR: unexpected status from HEAD request: 404 Not Found' >&2; exit 1",
            Some("cannot be told: ERROR"),
        ),
    ] {
        stand_in(
            here,
            "docker",
            &format!("[ \"$2\" != version ] || exit 0; {docker}"),
        );
        let said = refused("image", "host/own:9.8.7");
        assert_eq!(said.is_some(), wanted.is_some(), "{said:?}");
        let said = said.unwrap_or_default();
        assert!(said.contains(wanted.unwrap_or_default()), "{said}");
    }
    stand_in(
        here,
        "docker",
        "echo 'docker: command not found' >&2; exit 127",
    );
    let said = refused("image", "host/own:9.8.7").unwrap();
    assert!(said.contains("no docker buildx"), "{said}");
}

#[test]
fn a_binary_is_packed_alike_each_time_and_not_at_all_when_it_is_another_one() {
    let copied = Copied::new();
    let tools = tempfile::tempdir().unwrap();
    let here = tools.path();
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let built = here.join(&target).join("release");
    fs::create_dir_all(&built).unwrap();
    let wanted =
        "flashduty-receiver 9.8.7 (commit 0123456789abcdef, build date 2026-05-04T10:00:00Z)";
    stand_in(&built, "flashduty-receiver", &format!("echo '{wanted}'"));
    let cargo = format!(
        "[ \"$1\" != metadata ] || echo '{{\"target_directory\":\"{0}\"}}'\n\
         echo \"$* CC=$CC RUSTFLAGS=$RUSTFLAGS\" >> {0}/calls",
        here.display()
    );
    stand_in(here, "cargo", &cargo);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", here.display());
    let pack = |dist: &str| {
        let dist = here.join(dist);
        let variables = [
            ("PATH", path.as_str()),
            ("BUILD_COMMIT", "0123456789abcdef"),
            ("SOURCE_DATE_EPOCH", "1777888800"),
            ("DIST", dist.to_str().unwrap()),
        ];
        let output = copied.run("dist.sh", &target, &variables);
        let said = String::from_utf8(output.stderr).unwrap();
        let file = dist.join(format!("{PACKED}{target}.tar.gz"));
        match output.status.success() {
            true => Ok(fs::read(file).unwrap()),
            false => Err(said),
        }
    };
    let first = pack("first").unwrap();
    // Another day, by the times of the files.
    stand_in(&built, "flashduty-receiver", &format!("echo '{wanted}'"));
    assert!(
        first == pack("second").unwrap(),
        "the same sources give the same bytes"
    );
    let archive = here.join("first").join(format!("{PACKED}{target}.tar.gz"));
    all_is_packed_that_documents_lead_to(&listed(&archive), &format!("{PACKED}{target}"));
    let calls = fs::read_to_string(here.join("calls")).unwrap();
    let call = calls
        .lines()
        .find(|call| call.starts_with("build "))
        .unwrap();
    let arguments = format!("--release --locked --target {target} --features nats,redis,kafka");
    for part in [arguments.as_str(), "CC=musl-gcc", "=/src"] {
        assert!(call.contains(part), "{part}: {call}");
    }

    stand_in(
        &built,
        "flashduty-receiver",
        "echo 'flashduty-receiver 9.8.6'",
    );
    let error = pack("third").unwrap_err();
    assert!(error.contains("it says that it is another one"), "{error}");
    let other = copied.run("dist.sh", "riscv64-unknown-linux-musl", &[]);
    assert!(!other.status.success(), "{other:?}");
}

fn all_is_packed_that_documents_lead_to(listed: &str, top: &str) {
    let packed: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix(top)?.strip_prefix('/'))
        .map(|path| path.trim_end_matches('/'))
        .collect();
    for own in ["flashduty-receiver", "LICENSE", "CHANGELOG.md"] {
        assert!(packed.contains(own), "{listed}");
    }
    for document in ["README.md", "README.zh-CN.md", "docs/README.md"] {
        let folder = Path::new(document).parent().unwrap();
        let prose = read(document);
        for link in links(&prose) {
            let link = link.split('#').next().unwrap().trim_end_matches('/');
            let path = folder.join(link);
            let path = path.to_str().unwrap().replace("docs/../", "");
            assert!(
                link.is_empty() || link.contains("://") || packed.contains(path.as_str()),
                "{document} leads to {path}, which is not packed"
            );
        }
    }
}

/// The documents in the project's own folder.
fn documents() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(ROOT).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md"))
}

fn listed(archive: &Path) -> String {
    let mut tar = Command::new("tar");
    let output = tar.arg("tzf").arg(archive).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
