//! A document taken apart: its sections, and in each the blocks of code apart from the prose.

use std::collections::BTreeMap;
use std::mem;

/// A heading and what stands below it, up to the next heading of whatever level.
#[derive(Default)]
pub(crate) struct Section {
    /// How many `#` the heading has; 0 for what stands before the first one.
    pub(crate) level: usize,
    pub(crate) heading: String,
    /// All lines but the heading and the blocks.
    pub(crate) prose: String,
    pub(crate) blocks: Vec<Block>,
    /// All of it as it is written, the heading included.
    pub(crate) whole: String,
}

/// Code between two fences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The word behind the fence; empty for none.
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn sections(text: &str) -> Vec<Section> {
    let mut done = Vec::new();
    let mut current = Section::default();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        let fence = line.strip_prefix("```");
        // A comment of a script looks like one.
        let heading = if open.is_none() { heading(line) } else { None };
        if let Some((level, words)) = heading {
            let next = Section {
                level,
                heading: words.to_owned(),
                ..Section::default()
            };
            done.push(mem::replace(&mut current, next));
        }
        current.whole.push_str(line);
        current.whole.push('\n');
        match (open.take(), fence) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(block), Some(_)) => current.blocks.push(block),
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {
                if heading.is_none() {
                    current.prose.push_str(line);
                    current.prose.push('\n');
                }
            }
        }
    }
    assert!(open.is_none(), "a block has no end:\n{}", current.whole);
    done.push(current);
    done
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let words = rest.strip_prefix(' ')?;
    (level > 0).then_some((level, words))
}

/// What stands in backticks, on one line each.
pub(crate) fn words(prose: &str) -> Vec<String> {
    let quoted = prose.split('`').skip(1).step_by(2);
    quoted
        .map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Where links and pictures lead to.
pub(crate) fn links(prose: &str) -> Vec<&str> {
    let targets = prose.split("](").skip(1);
    targets
        .map(|rest| rest.split(')').next().unwrap())
        .collect()
}

/// The anchor of each section's heading, by GitHub's rule: small letters, no punctuation, hyphens for
/// spaces, and a number behind what was there before.
pub(crate) fn anchors(sections: &[Section]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let anchor = |section: &Section| {
        let small = section.heading.to_lowercase();
        let kept = small
            .chars()
            .filter(|at| at.is_alphanumeric() || matches!(at, ' ' | '-' | '_'));
        let plain: String = kept.map(|at| if at == ' ' { '-' } else { at }).collect();
        let before = seen.entry(plain.clone()).or_default();
        *before += 1;
        match *before {
            1 => plain,
            times => format!("{plain}-{}", times - 1),
        }
    };
    sections.iter().map(anchor).collect()
}

#[test]
fn a_document_is_taken_apart_at_its_headings_and_fences() {
    let text =
        "before\n# One\nSee [b](#b-c) and `a\nword`.\n```sh\n# no heading\n```\n## B, c!\n## B c\n";
    let apart = sections(text);
    let levels: Vec<_> = apart.iter().map(|section| section.level).collect();
    assert_eq!(levels, [0, 1, 2, 2]);
    assert_eq!(apart[1].prose, "See [b](#b-c) and `a\nword`.\n");
    assert_eq!(apart[1].blocks[0].language, "sh");
    assert_eq!(apart[1].blocks[0].text, "# no heading\n");
    assert_eq!(words(&apart[1].prose), ["a word"]);
    assert_eq!(links(&apart[1].prose), ["#b-c"]);
    assert_eq!(anchors(&apart), ["", "one", "b-c", "b-c-1"]);
    let whole: String = apart.iter().map(|section| section.whole.as_str()).collect();
    assert_eq!(whole, text);
}
