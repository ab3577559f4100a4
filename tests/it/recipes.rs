//! The filters that the cookbook lists: none takes everything, and none takes nothing.

use std::collections::BTreeMap;
use std::fs;

use crate::receiver::command;
use crate::tidy::{ROOT, assert_none, files, read};

/// The first cells of the table of filters, as they stand in a configuration.
fn listed() -> Vec<String> {
    let page = read("docs/cookbook.md");
    let (_, section) = page.split_once("## Filters, one line each\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().replace("\\|", "|"))
        .collect()
}

#[test]
fn each_filter_that_is_listed_takes_some_of_the_samples_and_not_all() {
    let filters = listed();
    assert!(filters.len() > 10, "{filters:?}");
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sinks = filters.iter().enumerate().map(|(number, filter)| {
        format!("[sink.s{number}]\ntype = 'file'\npath = 'f{number}'\nfilter = '{filter}'\n")
    });
    fs::write(here.join("config.toml"), sinks.collect::<String>()).unwrap();
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let samples = files("tests/samples", ".json");
    // Each sample comes by the bare path and by one that says more.
    let ways: [&[&str]; 2] = [&[], &["--tag", "db", "--query", "team=a"]];
    for sample in &samples {
        for way in ways {
            let file = format!("{ROOT}/{sample}");
            let mut arguments = vec!["explain", "--file", file.as_str()];
            arguments.extend_from_slice(way);
            let output = command(here, &arguments).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            for number in 0..filters.len() {
                let takes = format!("sink s{number} takes it");
                *taken.entry(number).or_default() += usize::from(said.contains(&takes));
            }
        }
    }
    let all = samples.len() * ways.len();
    let vain = filters.iter().enumerate().filter(|(number, _)| {
        let times = taken[number];
        times == 0 || times == all
    });
    let vain: Vec<String> = vain.map(|(_, filter)| filter.clone()).collect();
    assert_none(&vain, "a filter takes some of the samples and not all");
}
