//! All configured JSON pointers as one tree, so that a body is walked once for all of them.
//!
//! Of duplicate names the last counts, whole: what a pointer found inside an earlier one is
//! forgotten.

use super::json::{Kind, Malformed, Walk};
use super::options::EnvelopeOptionsError;

/// Pointers that lead deeper than any push the sender documents; bounds the walk's recursion.
const MAX_SEGMENTS: usize = 32;

/// Where a pointer's finding is kept; pointers written alike share one.
pub(super) type Slot = usize;

/// What the pointers found in one body, by [`Slot`]: raw JSON values.
pub(super) type Found<'a> = Vec<Option<&'a str>>;

/// A set of pointers.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    root: Node,
    slots: usize,
}

#[derive(Debug, Default)]
struct Node {
    name: Box<str>,
    /// The name as an array index, when it is one.
    index: Option<usize>,
    slot: Option<Slot>,
    children: Vec<Node>,
}

/// Splits a pointer into its unescaped segments, or says what is wrong with it.
pub(super) fn parse(pointer: &str) -> Result<Vec<String>, &'static str> {
    let path = pointer.strip_prefix('/').ok_or("has no leading slash")?;
    let segments: Vec<String> = path.split('/').map(unescape).collect::<Result<_, _>>()?;
    if segments.len() > MAX_SEGMENTS {
        return Err("leads deeper than 32 levels");
    }
    Ok(segments)
}

/// RFC 6901, section 4: `~1` is a slash and `~0` a tilde; a tilde before anything else is wrong.
fn unescape(segment: &str) -> Result<String, &'static str> {
    let mut pieces = segment.split('~');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escaped, rest) = match piece.as_bytes().first() {
            Some(b'0') => ('~', piece.strip_prefix('0')),
            Some(b'1') => ('/', piece.strip_prefix('1')),
            _ => return Err("has a ~ that is not followed by 0 or 1"),
        };
        text.push(escaped);
        text.push_str(rest.unwrap_or_default());
    }
    Ok(text)
}

impl Pointers {
    /// Adds a pointer, and returns where its finding will be.
    pub(super) fn add(&mut self, segments: &[String]) -> Slot {
        let mut node = &mut self.root;
        for segment in segments {
            node = node.child_or_new(segment);
        }
        let next = self.slots;
        let slot = *node.slot.get_or_insert(next);
        self.slots = self.slots.max(slot + 1);
        slot
    }

    /// Walks an object, which is checked against the JSON grammar to its end on the way.
    pub(super) fn find<'a>(&self, object: &'a str) -> Result<Found<'a>, Malformed> {
        let mut found = vec![None; self.slots];
        let mut walk = Walk::new(object);
        self.root.enter_object(&mut walk, &mut found)?;
        walk.end()?;
        Ok(found)
    }
}

impl Node {
    fn child_or_new(&mut self, name: &str) -> &mut Node {
        let at = match self.children.iter().position(|child| &*child.name == name) {
            Some(at) => at,
            None => {
                self.children.push(Node {
                    name: name.into(),
                    index: array_index(name),
                    ..Node::default()
                });
                self.children.len() - 1
            }
        };
        &mut self.children[at]
    }

    fn enter_object<'a>(
        &self,
        walk: &mut Walk<'a>,
        found: &mut Found<'a>,
    ) -> Result<(), Malformed> {
        walk.members(
            |walk, name| match self.children.iter().find(|child| *child.name == *name) {
                Some(child) => child.take(walk, found),
                None => walk.skip(),
            },
        )
    }

    fn enter_array<'a>(&self, walk: &mut Walk<'a>, found: &mut Found<'a>) -> Result<(), Malformed> {
        walk.elements(|walk, index| {
            let is_here = |child: &&Self| child.index == Some(index);
            match self.children.iter().find(is_here) {
                Some(child) => child.take(walk, found),
                None => walk.skip(),
            }
        })
    }

    /// Takes the next value as what stands at this node, instead of all that was found here before.
    fn take<'a>(&self, walk: &mut Walk<'a>, found: &mut Found<'a>) -> Result<(), Malformed> {
        self.forget(found);
        let value = walk.value_by(|walk| match walk.kind()? {
            Kind::Object if !self.children.is_empty() => self.enter_object(walk, found),
            Kind::Array if self.children.iter().any(|child| child.index.is_some()) => {
                self.enter_array(walk, found)
            }
            _ => walk.skip(),
        })?;
        if let Some(slot) = self.slot {
            found[slot] = Some(value);
        }
        Ok(())
    }

    fn forget(&self, found: &mut Found<'_>) {
        if let Some(slot) = self.slot {
            found[slot] = None;
        }
        for child in &self.children {
            child.forget(found);
        }
    }
}

/// RFC 6901, section 4: digits without leading zeros.
fn array_index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = name == "0" || !name.starts_with('0');
    if digits && canonical {
        name.parse().ok()
    } else {
        None
    }
}

/// An ordered list of pointers with its literal.
#[derive(Debug)]
pub(super) struct List {
    /// Where each pointer's finding is, and whether it leads inside an incident or alert.
    pub(super) pointers: Vec<(Slot, bool)>,
    pub(super) literal: Option<Box<str>>,
}

impl List {
    /// Compiles the entries of the configuration key `key` into `pointers`.
    pub(super) fn new(
        pointers: &mut Pointers,
        key: &'static str,
        entries: &[String],
    ) -> Result<Self, EnvelopeOptionsError> {
        let mut list = Self {
            pointers: Vec::new(),
            literal: None,
        };
        for entry in entries {
            let refuse = |problem| EnvelopeOptionsError {
                key,
                entry: entry.clone(),
                problem,
                allowed: "a JSON pointer (RFC 6901) such as \"/incident/incident_id\", or one \
                          literal value without a leading slash",
            };
            if entry.starts_with('/') {
                let segments = parse(entry).map_err(refuse)?;
                list.pointers
                    .push((pointers.add(&segments), is_inside_subject(&segments)));
            } else if entry.trim().is_empty() {
                return Err(refuse("is blank"));
            } else if entry.contains("{{") {
                return Err(refuse("looks like a placeholder, which no literal can be"));
            } else if list.literal.replace(entry.as_str().into()).is_some() {
                return Err(refuse("is a second literal, which would never be used"));
            }
        }
        Ok(list)
    }
}

/// Whether what a pointer leads to belongs to an incident or alert rather than to the event.
fn is_inside_subject(segments: &[String]) -> bool {
    segments
        .split_last()
        .is_some_and(|(_, way)| way.iter().any(|name| name == "incident" || name == "alert"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(pointers: &[&str], body: &'a str) -> Vec<Option<&'a str>> {
        let mut tree = Pointers::default();
        let slots: Vec<Slot> = pointers
            .iter()
            .map(|pointer| tree.add(&parse(pointer).unwrap()))
            .collect();
        let found = tree.find(body).unwrap();
        slots.into_iter().map(|slot| found[slot]).collect()
    }

    #[test]
    fn pointers_reach_through_objects_arrays_and_escapes() {
        let body = r#"{"a":[{"b":1},[2]],"c/d":{"e~f":3,"":{"":4}},"0":5,"\u0067":6}"#;
        let cases = [
            ("/a/0/b", Some("1")),
            ("/a/1/0", Some("2")),
            ("/a/00/b", None),
            ("/a/2", None),
            ("/a/-", None),
            ("/a/b", None),
            ("/c~1d/e~0f", Some("3")),
            ("/c~1d//", Some("4")),
            ("/0", Some("5")),
            ("/g", Some("6")),
            ("/", None),
        ];
        for (pointer, expected) in cases {
            assert_eq!(find(&[pointer], body), [expected], "{pointer}");
        }
    }

    #[test]
    fn a_pointer_may_lead_through_what_another_one_takes() {
        let body = r#"{"a":{"b":1}}"#;
        assert_eq!(
            find(&["/a/b", "/a", "/a/b"], body),
            [Some("1"), Some(r#"{"b":1}"#), Some("1")]
        );
    }

    #[test]
    fn a_later_duplicate_replaces_all_that_the_earlier_one_held() {
        assert_eq!(find(&["/a/b"], r#"{"a":{"b":1,"b":2}}"#), [Some("2")]);
        assert_eq!(find(&["/a/b"], r#"{"a":{"b":1},"a":{"c":2}}"#), [None]);
        assert_eq!(find(&["/a/b"], r#"{"a":{"b":1},"a":null}"#), [None]);
    }

    #[test]
    fn a_malformed_pointer_is_refused() {
        for pointer in ["a", "/a~", "/a~2", "/~", &"/a".repeat(33)] {
            assert!(parse(pointer).is_err(), "{pointer}");
        }
    }
}
