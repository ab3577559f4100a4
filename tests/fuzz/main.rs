//! What the fuzzers hold any input against, held against seeds, what is near them, and everything that
//! was found before: with every test run, and without a fuzzer.

#![expect(
    unreachable_pub,
    reason = "the properties are a library for the fuzzers"
)]

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

mod script;
#[path = "../it/stand_in.rs"]
mod stand_in;

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use properties::TARGETS;

/// Places of each seed at which it is cut off, and changed.
const PLACES: usize = 24;

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names of what is in a folder; none when it is not there.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(below(folder)).into_iter().flatten();
    entries
        .map(|entry| entry.expect("a folder can be read").file_name())
        .map(|name| name.into_string().expect("our names are UTF-8"))
        .collect()
}

/// Every file of a folder, with its path from the root.
fn inputs(folder: &str) -> Vec<(String, Vec<u8>)> {
    let paths = names(folder).into_iter();
    paths
        .map(|name| format!("{folder}/{name}"))
        .map(|path| {
            let bytes = fs::read(below(&path)).expect("a file can be read");
            (path, bytes)
        })
        .collect()
}

/// Panics with what broke the promise, beside what the check itself says.
#[track_caller]
fn hold(check: fn(&[u8]), input: &[u8], path: &str) {
    let held = panic::catch_unwind(|| check(input));
    assert!(held.is_ok(), "{path}: {}", input.escape_ascii());
}

/// The input cut off, and with one bit changed, at some places.
fn near(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = (0..PLACES).map(move |n| (n, input.len() * n / PLACES));
    places.flat_map(move |(n, at)| {
        let mut changed = input.to_vec();
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1 << (n % 8);
        }
        [input[..at].to_vec(), changed]
    })
}

#[test]
fn everything_that_was_found_stays_mended() {
    for (name, check) in TARGETS {
        for (path, input) in inputs(&format!("fuzz/found/{name}")) {
            hold(check, &input, &path);
        }
    }
}

#[test]
fn every_seed_and_what_is_near_it_is_read_as_promised() {
    for (name, check) in TARGETS {
        let seeds = inputs(&format!("fuzz/seeds/{name}"));
        assert!(seeds.len() >= 3, "{name} has seeds");
        check(b"");
        for (path, input) in seeds {
            hold(check, &input, &path);
            for changed in near(&input) {
                hold(check, &changed, &path);
            }
        }
    }
}

#[test]
fn every_reader_has_a_fuzzer_a_dictionary_and_seeds() {
    let readers = TARGETS.map(|(name, _)| name.to_owned());
    let readers = BTreeSet::from(readers);
    let with = |ending: &str| -> BTreeSet<String> {
        readers
            .iter()
            .map(|name| format!("{name}{ending}"))
            .collect()
    };
    assert_eq!(names("fuzz/fuzz_targets"), with(".rs"));
    assert_eq!(names("fuzz/dictionaries"), with(".dict"));
    assert_eq!(names("fuzz/seeds"), readers);
    let manifest = manifest("fuzz/Cargo.toml");
    let programs = manifest["bin"].as_array().unwrap().iter();
    let programs = programs.map(|program| program["name"].as_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), readers);
    // What was found belongs to one of them.
    let found = names("fuzz/found");
    let strays: Vec<_> = found.difference(&readers).collect();
    assert_eq!(strays, ["README.md"]);
}

#[test]
fn the_words_of_every_dictionary_can_be_read_by_the_fuzzer() {
    for (name, _) in TARGETS {
        let path = format!("fuzz/dictionaries/{name}.dict");
        let text = fs::read_to_string(below(&path)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().count() > 3, "{path} has words");
        for line in lines {
            let word = line
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let is_plain = word.is_some_and(|word| {
                !word.is_empty() && word.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            });
            assert!(is_plain, "{path}: {line}");
        }
    }
}

fn manifest(path: &str) -> toml::Table {
    let text = fs::read_to_string(below(path)).expect("a manifest can be read");
    text.parse().expect("a manifest is TOML")
}

#[test]
fn fuzzers_use_the_services_crates_in_its_versions_and_one_more_that_is_pinned() {
    fn version(dependency: &toml::Value) -> Option<&str> {
        dependency
            .as_str()
            .or_else(|| dependency.get("version")?.as_str())
    }
    let service = manifest("Cargo.toml");
    for (name, wanted) in manifest("fuzz/Cargo.toml")["dependencies"]
        .as_table()
        .unwrap()
    {
        match name.as_str() {
            "flashduty-receiver" => assert_eq!(wanted["path"].as_str(), Some("..")),
            "libfuzzer-sys" => assert!(version(wanted).unwrap().starts_with('=')),
            _ => {
                let known = ["dependencies", "dev-dependencies"];
                let mut known = known.iter().filter_map(|table| service[*table].get(name));
                assert_eq!(known.next().and_then(version), version(wanted), "{name}");
            }
        }
    }
}
