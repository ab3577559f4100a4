//! The README in Chinese keeps step with the one in English: the same sections, blocks, links and keys,
//! written for the English as it is now.

use sha2::{Digest as _, Sha256};

use crate::markdown::{Section, anchors, links, sections, words};
use crate::tidy::{assert_none, read};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// Each section of the one with its counterpart in the other.
fn pairs() -> Vec<(Section, Section)> {
    let (english, chinese) = (sections(&read(ENGLISH)), sections(&read(CHINESE)));
    for (one, other) in english.iter().zip(&chinese) {
        assert_eq!(
            one.level, other.level,
            "{ENGLISH} has {:?} where {CHINESE} has {:?}",
            one.heading, other.heading
        );
    }
    assert_eq!(english.len(), chinese.len(), "{CHINESE} has all sections");
    english.into_iter().zip(chinese).collect()
}

/// Without what both sides say twice or in another order.
fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all.dedup();
    all
}

/// The rows of tables, each by its words in backticks.
fn rows(section: &Section) -> Vec<Vec<String>> {
    let rows = section.prose.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| sorted(words(row))).collect()
}

/// Where links lead: one within the page to the number of its heading, one to the other language to both.
fn targets(section: &Section, anchors: &[String]) -> Vec<String> {
    let targets = links(&section.prose).into_iter();
    let named = targets.map(|target| match target.strip_prefix('#') {
        Some(anchor) => {
            let number = anchors.iter().position(|one| one == anchor);
            format!("heading {number:?}")
        }
        None if target == ENGLISH || target == CHINESE => "the other language".to_owned(),
        None => target.to_owned(),
    });
    sorted(named.collect())
}

#[test]
fn every_section_has_its_counterpart_with_the_same_blocks_links_and_words() {
    let (english, chinese): (Vec<_>, Vec<_>) = pairs().into_iter().unzip();
    let (there, here) = (anchors(&english), anchors(&chinese));
    let mut offenders = Vec::new();
    for (one, other) in english.iter().zip(&chinese) {
        let mut compare = |what: &str, wanted: String, found: String| {
            if wanted != found {
                let heading = &other.heading;
                offenders.push(format!("{heading}: {what}: {found}, and not {wanted}"));
            }
        };
        let blocks = |section: &Section| format!("{:?}", section.blocks);
        compare("blocks", blocks(one), blocks(other));
        let tables = |section: &Section| format!("{:?}", rows(section));
        compare("rows", tables(one), tables(other));
        let said = |section: &Section| format!("{:?}", sorted(words(&section.prose)));
        compare("words", said(one), said(other));
        let wanted = targets(one, &there);
        let found = targets(other, &here);
        compare("links", format!("{wanted:?}"), format!("{found:?}"));
    }
    assert_none(&offenders, "README.zh-CN.md says what README.md says");
}

/// A line for each chapter of the English: the beginning of its digest, and its heading.
fn written_for() -> Vec<String> {
    let mut chapters: Vec<(String, String)> = Vec::new();
    for section in sections(&read(ENGLISH)) {
        match chapters.last_mut() {
            Some((_, text)) if section.level != 2 => text.push_str(&section.whole),
            _ => chapters.push((section.heading, section.whole)),
        }
    }
    let line = |(heading, text): &(String, String)| {
        let digest = Sha256::digest(text.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
        let heading = match heading.as_str() {
            "" => "(the beginning)",
            words => words,
        };
        format!("{a:02x}{b:02x}{c:02x}{d:02x} {heading}")
    };
    chapters.iter().map(line).collect()
}

#[test]
fn each_section_was_translated_as_it_is_now() {
    let chinese = read(CHINESE);
    let (_, last) = chinese.rsplit_once("<!--").unwrap();
    let mut offenders = Vec::new();
    for line in written_for() {
        if !last.lines().any(|one| one == line) {
            let (_, heading) = line.split_once(' ').unwrap();
            offenders.push(format!(
                "{heading:?} of {ENGLISH} has changed: bring {CHINESE} up to date, then write at its end: {line}"
            ));
        }
    }
    assert_none(&offenders, "the README in Chinese keeps step");
}
