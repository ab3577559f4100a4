//! The README as `make fresh-check` follows it: what is to be done with each of its blocks is known, and
//! what is left out is what has to be.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use crate::markdown::sections;
use crate::tidy::{ROOT, read};

fn listed(file: &str) -> Output {
    Command::new("scripts/fresh-follow.sh")
        .args(["--list", file])
        .current_dir(ROOT)
        .output()
        .unwrap()
}

#[test]
fn how_each_block_of_the_readme_is_followed_is_known() {
    let output = listed("README.md");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let listed = String::from_utf8(output.stdout).unwrap();
    let rows = listed.lines().map(|row| row.split_whitespace().collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    let places: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    let sections = sections(&read("README.md"));
    let blocks: usize = sections.iter().map(|section| section.blocks.len()).sum();
    assert_eq!(places.len(), blocks, "{listed}");
    for wanted in [["played", "make", "run"], ["typed", "make", "test"]] {
        let mut found = rows.iter().filter_map(|row| row.get(1..4));
        assert!(found.any(|words| words == wanted), "{wanted:?}: {listed}");
    }
}

#[test]
fn what_nobody_knows_how_to_follow_is_an_error_and_so_is_an_exception_without_need() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("README.md");
    let readme = read("README.md");
    for (text, wanted) in [
        (
            format!("{readme}```sh\nmake run\nunheard-of --it\n```\n"),
            "not known, sh: unheard-of --it",
        ),
        (
            format!("{readme}```console\n$ unheard-of\nwhat it says\n```\n"),
            "not known, console: unheard-of",
        ),
        (
            format!("{readme}```python\npass\n```\n"),
            "not known, python: pass",
        ),
        (
            format!("{readme}```\nwords\n```\n"),
            "not known, without a language: words",
        ),
        (
            readme.replace(
                "\nflashduty-receiver spill ",
                "\nflashduty-receiver events ",
            ),
            "begins so any more: flashduty-receiver spill",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = listed(file.to_str().unwrap());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{wanted}: {said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
