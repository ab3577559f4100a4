//! The workflows of hosted CI: what they run, what they may do, and what they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::deploy::{line_of, toml, yaml};
use crate::tidy::{ROOT, assert_none, files, read};

const CI: &str = ".github/workflows/ci.yml";
const RELEASE: &str = ".github/workflows/release.yml";

fn workflow(path: &str) -> Value {
    yaml(path).remove(0)
}

fn jobs(workflow: &Value) -> &serde_json::Map<String, Value> {
    workflow["jobs"].as_object().unwrap()
}

/// Every step, with the name of its job.
fn steps(workflow: &Value) -> Vec<(&str, &Value)> {
    let each = jobs(workflow).iter().flat_map(|(name, job)| {
        let steps = job["steps"].as_array().into_iter().flatten();
        steps.map(move |step| (name.as_str(), step))
    });
    each.collect()
}

/// All that the steps run, one script a step.
fn scripts(workflow: &Value) -> Vec<&str> {
    let steps = steps(workflow).into_iter();
    steps.filter_map(|(_, step)| step["run"].as_str()).collect()
}

/// Whether a line such as `uses: owner/name@HASH # v1.2.3` cannot come to mean something else.
fn is_pinned(line: &str) -> bool {
    let Some((_, used)) = line.split_once("uses: ") else {
        return false;
    };
    if let Some(own) = used.strip_prefix("./") {
        return Path::new(ROOT).join(own).exists();
    }
    let Some((action, comment)) = used.split_once(" # v") else {
        return false;
    };
    let is_hash = |hash: &str| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        hash.len() == 40 && hash.bytes().all(is_digit)
    };
    let hash = action.split_once('@').map(|(_, hash)| hash);
    comment.starts_with(|first: char| first.is_ascii_digit()) && hash.is_some_and(is_hash)
}

#[test]
fn every_action_is_named_by_the_hash_of_a_commit_and_its_version() {
    let own = format!("uses: ./{CI}");
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let pinned = format!("- uses: a/b@{hash} # v1.2.3");
    assert!(is_pinned(&own) && is_pinned(&pinned));
    for wrong in [
        "uses: a/b@v1.2.3".to_owned(),
        "uses: a/b".to_owned(),
        "uses: ./no/such/file.yml".to_owned(),
        format!("uses: a/b@{hash}"),
        pinned.replace('f', "F"),
        pinned.replace("67 ", " "),
    ] {
        assert!(!is_pinned(&wrong), "{wrong}");
    }
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut offenders = Vec::new();
    for path in files(".github/workflows", ".yml") {
        for line in read(&path).lines().filter(|line| line.contains("uses:")) {
            if !is_pinned(line) {
                offenders.push(format!("{path}: {line}"));
            }
            if let Some((action, version)) = line.split_once('@') {
                let of_action = versions.entry(action.trim().to_owned()).or_default();
                of_action.insert(version.to_owned());
            }
        }
    }
    assert_none(
        &offenders,
        "an action is pinned, with its version behind it",
    );
    // And each in one version.
    for (action, versions) in versions {
        assert_eq!(versions.len(), 1, "{action}: {versions:?}");
    }
}

#[test]
fn ci_runs_every_check_there_is_without_a_secret_and_with_the_rust_of_the_manifest() {
    let ci = workflow(CI);
    // What YAML takes `on` for.
    let on = ci["true"].as_object().unwrap();
    assert!(
        on.contains_key("pull_request") && on.contains_key("push"),
        "{on:?}"
    );
    assert!(
        on.contains_key("workflow_call") && on.contains_key("schedule"),
        "{on:?}"
    );
    assert_eq!(ci["permissions"], json!({"contents": "read"}));
    let said = scripts(&ci);
    for wanted in ["make test", "make image", "cargo deny check", "cargo audit"] {
        assert!(said.contains(&wanted), "{wanted}: {said:?}");
    }
    // What runs here before it is pushed is the same.
    assert!(read(".ci/run").ends_with("exec make test\n"));
    let text = read(CI);
    assert!(!text.contains("secrets.") && !text.contains("github.token"));
    assert!(jobs(&ci).values().all(|job| job["permissions"].is_null()));

    let manifest = toml("Cargo.toml");
    let rust = manifest["package"]["rust-version"].as_str().unwrap();
    for path in [CI, RELEASE] {
        assert_eq!(workflow(path)["env"]["RUST_VERSION"], rust, "{path}");
    }
    assert!(read("README.md").contains(&format!("You need Linux, Rust {rust} or later")));
    let image = ci["jobs"]["test"]["container"]["image"].as_str().unwrap();
    let dockerfile = read("Dockerfile");
    let build = line_of(&dockerfile, "ARG BUILD_IMAGE=");
    assert_eq!(image, format!("rust:{rust}-trixie"));
    assert_eq!(build, format!("rust:{rust}-slim-trixie"));
}

#[test]
fn each_job_may_do_what_it_needs_and_ends_by_itself() {
    let release = workflow(RELEASE);
    assert_eq!(release["permissions"], json!({}));
    assert_eq!(release["true"], json!({"push": {"tags": ["v*"]}}));
    let read_only = json!({"contents": "read"});
    let allowed = json!({
        "check": read_only,
        "test": read_only,
        "binaries": read_only,
        "sbom": read_only,
        "image": {"contents": "read", "packages": "write"},
        "index": {"packages": "write", "id-token": "write", "attestations": "write"},
        "publish": {"contents": "write", "id-token": "write", "attestations": "write"},
    });
    let asked = jobs(&release).iter();
    let asked: Value = asked
        .map(|(name, job)| (name.clone(), job["permissions"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(asked, allowed);
    // What is published waits for the tests.
    for job in ["image", "publish"] {
        let needs = release["jobs"][job]["needs"].as_array().unwrap();
        assert!(needs.contains(&json!("test")), "{job}");
    }
    // And nothing takes the version's name before the rest of it is there.
    let needs = release["jobs"]["index"]["needs"].as_array().unwrap();
    for job in ["image", "binaries", "sbom"] {
        assert!(needs.contains(&json!(job)), "{job}");
    }
    for path in [CI, RELEASE] {
        let workflow = workflow(path);
        assert!(workflow["concurrency"]["group"].is_string(), "{path}");
        assert_eq!(workflow["defaults"]["run"]["shell"], "bash", "{path}");
        for (name, job) in jobs(&workflow) {
            let is_called = job["uses"].is_string();
            assert!(
                is_called || job["timeout-minutes"].is_u64(),
                "{path}: {name}"
            );
        }
        for (name, step) in steps(&workflow) {
            let uses = step["uses"].as_str().unwrap_or_default();
            let keeps = &step["with"]["persist-credentials"];
            let is_checkout = uses.starts_with("actions/checkout@");
            assert!(!is_checkout || *keeps == json!(false), "{path}: {name}");
        }
        // A branch or a tag may be called anything; what is put into a script is run.
        for script in scripts(&workflow) {
            assert!(!script.contains("${{"), "{path}: {script}");
        }
    }
}

#[test]
fn a_run_that_is_made_again_asks_first_what_there_is() {
    let release = workflow(RELEASE);
    let place = |job: &str, command: &str| {
        let each = steps(&release).into_iter().filter(|(name, _)| *name == job);
        let said: String = each.filter_map(|(_, step)| step["run"].as_str()).collect();
        said.find(command)
    };
    assert!(place("check", "release-new.sh release \"$GITHUB_REF_NAME\"").is_some());
    let asked = place("image", "release-new.sh image \"${TAG%-*}\"").unwrap();
    assert!(asked < place("image", "docker push").unwrap());
    // What is put under the version's name is what was pushed behind that question.
    assert!(place("index", "--tag \"$IMAGE:$VERSION\"").is_some());
}

#[test]
fn a_release_has_what_is_promised_and_calls_what_is_there() {
    let release = workflow(RELEASE);
    let matrix = |job: &str| -> BTreeSet<String> {
        let include = &release["jobs"][job]["strategy"]["matrix"]["include"];
        let each = include.as_array().unwrap().iter();
        each.map(|one| one["arch"].as_str().unwrap().to_owned())
            .collect()
    };
    let both = |first: &str, second: &str| BTreeSet::from([first.to_owned(), second.to_owned()]);
    assert_eq!(matrix("binaries"), both("x86_64", "aarch64"));
    assert_eq!(matrix("image"), both("amd64", "arm64"));
    let page = read("docs/releases.md");
    for name in [
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
        ".cdx.json",
        "SHA256SUMS",
        "gh attestation verify",
    ] {
        assert!(page.contains(name), "{name}");
    }
    let makefile = read("Makefile");
    let mut called = 0;
    for path in [CI, RELEASE] {
        for script in scripts(&workflow(path)) {
            let words: Vec<&str> = script.split_whitespace().collect();
            for pair in words.windows(2).filter(|pair| pair[0] == "make") {
                called += 1;
                assert!(
                    makefile.contains(&format!("\n{}:", pair[1])),
                    "{path}: {pair:?}"
                );
            }
            for word in words.iter().filter(|word| word.starts_with("scripts/")) {
                called += 1;
                assert!(Path::new(ROOT).join(word).exists(), "{path}: {word}");
            }
        }
    }
    assert!(called >= 7, "{called}");
}
