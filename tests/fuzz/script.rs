//! The script that builds and runs the fuzzers, with stand-ins for what it builds them with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::stand_in::stand_in;
use super::{TARGETS, below};

/// A folder with a compiler, a cargo that builds nothing, and fuzzers that do what they are told.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().expect("a folder can be made"));
        // As if it had been made before: the one in the repository is left as it is.
        let made = workshop.path().join("fuzz");
        fs::create_dir(&made).expect("folders can be made");
        fs::copy(below("Cargo.lock"), made.join("Cargo.lock")).expect("the file is there");
        let place = workshop.path().display().to_string();
        workshop.stand_in("bin/c++", "exit 0");
        workshop.stand_in("bin/rustc", "echo 'host: here'");
        workshop.stand_in(
            "bin/cargo",
            &format!(
                "[ \"$1\" != metadata ] || echo '{{\"target_directory\":\"{place}\"}}'\n\
                 [ \"$1\" != build ] || echo \"$* $RUSTFLAGS\" >> {place}/builds"
            ),
        );
        workshop
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn stand_in(&self, name: &str, script: &str) {
        stand_in(self.path(), name, script);
    }

    fn fuzzer(&self, name: &str, script: &str) {
        self.stand_in(&format!("fuzz/build/here/release/{name}"), script);
    }

    /// Runs the script; what it says, and its exit code.
    fn run(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let Output { status, stderr, .. } = Command::new("scripts/fuzz.sh")
            .args(arguments)
            .current_dir(below(""))
            .env(
                "PATH",
                format!("{}/bin:/usr/bin:/bin", self.path().display()),
            )
            .env_remove("CXX")
            .output()
            .expect("the script is there");
        (String::from_utf8_lossy(&stderr).into_owned(), status.code())
    }
}

#[test]
fn each_fuzzer_runs_for_its_time_and_says_how_far_it_came() {
    let workshop = Workshop::new();
    let script = "echo \"$@\" >&2\n\
        echo '#9 DONE   cov: 1234 ft: 5678 corp: 9/9b lim: 9' >&2\n\
        echo 'stat::number_of_executed_units: 4321' >&2";
    for (name, _) in TARGETS {
        workshop.fuzzer(name, script);
    }
    let (said, code) = workshop.run(&["7"]);
    assert_eq!(code, Some(0), "{said}");
    for (name, _) in TARGETS {
        let line = format!("{name}: 4321 runs, 1234 edges, 5678 features; nothing found");
        assert!(said.contains(&line), "{said}");
    }
    let log = fs::read_to_string(workshop.path().join("fuzz/proxy.log")).unwrap();
    for argument in [
        "-max_total_time=7 -timeout=5 -rss_limit_mb=2048",
        "-dict=fuzz/dictionaries/proxy.dict",
        "/corpus/proxy fuzz/seeds/proxy",
    ] {
        assert!(log.contains(argument), "{argument} in {log}");
    }
    let builds = fs::read_to_string(workshop.path().join("builds")).unwrap();
    for part in ["--target here", "-Cpasses=sancov-module", "fuzz/Cargo.toml"] {
        assert!(builds.contains(part), "{part} in {builds}");
    }
}

#[test]
fn what_a_fuzzer_finds_is_a_failure_that_says_how_to_go_on() {
    let workshop = Workshop::new();
    let found = workshop.path().join("fuzz/found/proxy/crash-1");
    let found = found.display();
    workshop.fuzzer("needle", "exit 0");
    workshop.fuzzer(
        "proxy",
        &format!(
            "echo \"thread 'main' panicked at fuzz/properties/proxy.rs:1:\" >&2\n\
             echo 'changed its mind' >&2\n\
             echo \"artifact_prefix='x'; Test unit written to {found}\" >&2\n\
             exit 77"
        ),
    );
    let (said, code) = workshop.run(&["1", "proxy", "needle"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        format!("proxy: FOUND {found} (exit code 77)"),
        "changed its mind".to_owned(),
        format!("scripts/fuzz.sh --again proxy {found}"),
        "-minimize_crash=1".to_owned(),
        "needle: no runs, no edges, no features; nothing found".to_owned(),
    ] {
        assert!(said.contains(&part), "{part} in {said}");
    }
}

#[test]
fn a_fuzzer_that_cannot_be_had_is_said_aloud_and_passes_only_where_that_is_asked_for() {
    let workshop = Workshop::new();
    let here = workshop.path().display().to_string();
    workshop.stand_in(
        "bin/cargo",
        &format!("[ \"$1\" = metadata ] || exit 101\necho '{{\"target_directory\":\"{here}\"}}'"),
    );
    for (arguments, expected) in [
        (&["1"][..], Some(3)),
        (&["--where-possible", "1"][..], Some(0)),
    ] {
        let (said, code) = workshop.run(arguments);
        assert_eq!(code, expected, "{said}");
        assert!(said.contains("NO FUZZING: "), "{said}");
    }
    for wrong in ["", "soon", "1 nobody", "--again proxy", "--where-possible"] {
        let arguments: Vec<&str> = wrong.split_whitespace().collect();
        let (said, code) = workshop.run(&arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("SECONDS [TARGET...]"), "{said}");
    }
}

#[test]
fn fuzzers_that_do_not_compile_are_a_failure_everywhere() {
    let workshop = Workshop::new();
    let here = workshop.path().display().to_string();
    workshop.stand_in(
        "bin/cargo",
        &format!(
            "[ \"$1\" != metadata ] || echo '{{\"target_directory\":\"{here}\"}}'\n\
             case \"$*\" in build*libfuzzer-sys*) ;; build*) exit 101 ;; esac"
        ),
    );
    let (said, code) = workshop.run(&["--where-possible", "1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("NO FUZZING"), "{said}");
}
