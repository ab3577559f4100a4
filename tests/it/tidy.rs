//! House rules that no compiler checks: where things may stand, and that documents keep their word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the repository is.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of one file, before it should be split by noun.
const LONGEST: usize = 400;

/// Where our code is; beside what it is in, `cargo fuzz` keeps what it builds.
const OURS: [&str; 5] = [
    "src",
    "tests",
    "benches",
    "fuzz/properties",
    "fuzz/fuzz_targets",
];

/// A source file of the library.
pub(crate) struct Source {
    /// Below `src`, such as `inbox/mod.rs`.
    pub(crate) path: String,
    /// Without comments and without what is compiled for tests only; empty for a test module.
    pub(crate) code: String,
}

impl Source {
    /// The module of `lib.rs` it belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

pub(crate) fn read(path: &str) -> String {
    let full = Path::new(ROOT).join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// Every file below `folder` whose name ends with `ending`, from the root.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                let below = path.strip_prefix(ROOT).unwrap();
                found.push(below.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The documents: those at the root and those beside what they explain.
pub(crate) fn documents() -> Vec<String> {
    let mut found = files("deploy", ".md");
    found.extend(files("docs", ".md"));
    found.extend(
        [
            "README",
            "README.zh-CN",
            "ARCHITECTURE",
            "CONTRIBUTING",
            "SECURITY",
            "CHANGELOG",
        ]
        .map(|name| format!("{name}.md")),
    );
    found
}

/// The library's files, reached as the compiler does: what only tests include is left empty.
pub(crate) fn sources() -> Vec<Source> {
    let paths = files("src", ".rs");
    let test_only: BTreeSet<String> = paths
        .iter()
        .flat_map(|path| {
            let folder = match path
                .strip_suffix("/mod.rs")
                .or(path.strip_suffix("/lib.rs"))
            {
                Some(folder) => folder.to_owned(),
                None => path.strip_suffix(".rs").unwrap().to_owned(),
            };
            let text = read(path);
            let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
            lines
                .windows(2)
                .filter(|pair| pair[0] == "#[cfg(test)]")
                .filter_map(|pair| {
                    Some(pair[1].split_once("mod ")?.1.strip_suffix(';')?.to_owned())
                })
                .map(|name| format!("{folder}/{name}"))
                .collect::<Vec<_>>()
        })
        .collect();
    let is_test = |path: &str| {
        test_only.iter().any(|module| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    };
    paths
        .iter()
        .map(|path| Source {
            path: path.strip_prefix("src/").unwrap().to_owned(),
            code: if is_test(path) {
                String::new()
            } else {
                without_tests_and_comments(&read(path))
            },
        })
        .collect()
}

/// Inline test modules stand at the end of a file.
fn without_tests_and_comments(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim());
        if line.trim() == "#[cfg(test)]" && next.contains("mod ") && next.ends_with('{') {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

pub(crate) fn assert_none(offenders: &[String], rule: &str) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

/// Complains of each file that holds one of `words` and lies in none of `places`.
fn only_in(places: &[&str], words: &[&str], rule: &str) {
    let offenders: Vec<_> = sources()
        .iter()
        .filter(|source| !source.is_in(places))
        .flat_map(|source| {
            let found = words.iter().filter(|word| source.code.contains(**word));
            found
                .map(|word| format!("src/{} has {word:?}", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none(&offenders, rule);
}

#[test]
fn every_file_says_first_what_it_is_for_and_is_short_enough_to_read() {
    let mut offenders = Vec::new();
    for path in OURS.iter().flat_map(|folder| files(folder, ".rs")) {
        let text = read(&path);
        if !text.starts_with("//! ") {
            offenders.push(format!("{path} does not begin with //!"));
        }
        if text.lines().count() > LONGEST {
            offenders.push(format!("{path} has {} lines", text.lines().count()));
        }
        for word in ["utils", "common", "helpers", "types", "manager"] {
            if path.split(['/', '.']).any(|part| part == word) {
                offenders.push(format!("{path} is named after nothing in particular"));
            }
        }
        if path.ends_with("/mod.rs")
            && Path::new(ROOT)
                .join(path.replace("/mod.rs", ".rs"))
                .exists()
        {
            offenders.push(format!(
                "{path} has a file of the same name beside its folder"
            ));
        }
    }
    assert_none(
        &offenders,
        "a file opens with its purpose and has at most 400 lines",
    );
}

#[test]
fn a_module_uses_only_those_above_it() {
    let lib = read("src/lib.rs");
    let order: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(order.len() > 10, "lib.rs lists its modules one a line");
    let rank = |module: &str| order.iter().position(|name| *name == module);
    let mut offenders = Vec::new();
    for source in sources() {
        let Some(own) = rank(source.module()) else {
            continue;
        };
        for used in used_modules(&source.code) {
            if rank(&used).is_some_and(|used| used > own) {
                offenders.push(format!(
                    "src/{} uses {used}, which stands below it",
                    source.path
                ));
            }
        }
    }
    assert_none(&offenders, "a module uses only those above it in lib.rs");
}

/// The modules named behind `crate::`, also in `crate::{a, b}`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => rest,
        };
        let names = if rest.starts_with('{') {
            list.split(',').collect()
        } else {
            vec![list]
        };
        for name in names {
            let end = |at: char| !at.is_ascii_alphanumeric() && at != '_';
            used.insert(name.trim().split(end).next().unwrap().to_owned());
        }
    }
    used
}

#[test]
fn sql_stands_only_in_the_stores_backends() {
    let words = [
        "rusqlite",
        "tokio_postgres",
        "\"SELECT ",
        "\"INSERT ",
        "\"UPDATE ",
        "\"DELETE ",
        "PRAGMA ",
    ];
    only_in(
        &["inbox/sqlite/", "inbox/postgres/"],
        &words,
        "SQL stands only in src/inbox/sqlite and src/inbox/postgres",
    );
}

#[test]
fn axum_stands_only_in_the_http_modules_and_the_wiring() {
    let places = ["listener/", "intake/", "admin/", "app/"];
    only_in(
        &places,
        &["axum"],
        "axum stands only in HTTP modules and in app",
    );
}

#[test]
fn the_environment_and_files_are_read_only_by_the_configuration() {
    let places = [
        "config/",
        // Files that arguments name, and the demo's folder.
        "cli/",
        // The store itself.
        "inbox/sqlite/",
        // What the system says about this process, for process_* metrics.
        "admin/process.rs",
        // The one output, as a file.
        "stdout.rs",
        // The file that is written to.
        "sink/file/",
    ];
    let words = ["std::env::", "std::fs", "tokio::fs", "File::open"];
    only_in(
        &places,
        &words,
        "only the configuration reads files and the environment",
    );
}

#[test]
fn nothing_is_left_for_later_and_no_lint_is_silenced_without_a_reason() {
    let marks = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["#[all", "ow("],
        ["#![all", "ow("],
    ];
    let mut offenders = Vec::new();
    for path in OURS.iter().flat_map(|folder| files(folder, ".rs")) {
        let text = read(&path);
        for mark in marks.map(|halves| halves.concat()) {
            if text.contains(&mark) {
                offenders.push(format!("{path} has {mark}"));
            }
        }
    }
    assert_none(
        &offenders,
        "what is not done is not there; a lint is expected with its reason",
    );
}
