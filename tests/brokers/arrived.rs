//! What a broker holds in the end, and whether it is what was sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::course::{body, name};

/// One message as it was read back.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Arrived {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// Every event of the course is there, as it was pushed, in order within its subject; what is there
/// twice says so. Gives the number of repeats.
pub(crate) fn check(arrived: &[Arrived], events: usize, subjects: usize) -> usize {
    let mut seen: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut repeats = 0;
    for message in arrived {
        let id = message.field("Flashduty-Event-Id").unwrap();
        let number: usize = id.strip_prefix("e-").unwrap().parse().unwrap();
        assert_eq!(message.body, body(number), "{id} came as it was pushed");
        assert_eq!(message.field("Flashduty-Event-Type"), Some("i_new"));
        assert_eq!(message.field("Flashduty-Tag"), Some("eu.1"));
        let subject = message.field("Flashduty-Subject").unwrap();
        assert_eq!(subject, format!("incident:{}", name(number % subjects)));
        let numbers = seen.entry(subject.to_owned()).or_default();
        if numbers.contains(&number) {
            repeats += 1;
            assert_eq!(
                message.field("Flashduty-Redelivered"),
                Some("true"),
                "{id} came again without a word: {message:?}"
            );
            continue;
        }
        let last = numbers.last().copied();
        assert!(
            last.is_none_or(|last| last < number),
            "{id} came after {last:?}"
        );
        numbers.insert(number);
    }
    let there: usize = seen.values().map(BTreeSet::len).sum();
    assert_eq!(there, events, "nothing is lost");
    repeats
}
