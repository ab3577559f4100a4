//! The three ways labels can stand in a line.
//!
//! Pairs go in whole and in order until the first that does not fit; that one and all behind it
//! are left out.

use std::borrow::Cow;

use super::escape::append_escaped;

/// How an event's labels are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LabelStyle {
    /// `"labels":{"env":"prod","team":"a"}`
    #[default]
    Object,
    /// `"labels":"env=prod,team=a"`, for stores that index each key they see. A backslash stands
    /// before a backslash or comma of a name or value, and before an equals sign of a name.
    String,
    /// `"label_env":"prod"` for each of these keys the event has, and no other label.
    Lift(Vec<String>),
}

/// An event's labels, as the view holds them.
pub(super) type Labels<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// Appends `labels` as further members of the line's object, in at most `room` bytes.
///
/// Returns whether all of them went in.
pub(super) fn append_labels(
    out: &mut Vec<u8>,
    labels: &Labels<'_>,
    style: &LabelStyle,
    room: usize,
) -> bool {
    let (open, close) = match style {
        LabelStyle::Object => (",\"labels\":{", "}"),
        LabelStyle::String => (",\"labels\":\"", "\""),
        LabelStyle::Lift(_) => (",", ""),
    };
    let start = out.len();
    let end = start.saturating_add(room).saturating_sub(close.len());
    out.extend_from_slice(open.as_bytes());

    let all = labels.iter().map(|(name, value)| (&**name, &**value));
    let (count, whole) = match style {
        LabelStyle::Object => append_pairs(out, all, end, append_member),
        LabelStyle::String => append_pairs(out, all, end, append_assignment),
        LabelStyle::Lift(keys) => append_pairs(out, lifted(labels, keys), end, append_lifted),
    };
    if count == 0 {
        out.truncate(start);
    } else {
        out.extend_from_slice(close.as_bytes());
    }
    whole
}

fn lifted<'l>(
    labels: &'l Labels<'_>,
    keys: &'l [String],
) -> impl Iterator<Item = (&'l str, &'l str)> {
    let first_of_its_name = move |&(at, key): &(usize, &String)| !keys[..at].contains(key);
    keys.iter()
        .enumerate()
        .filter(first_of_its_name)
        .filter_map(|(_, key)| {
            let (name, value) = labels.iter().find(|(name, _)| name == key)?;
            Some((&**name, &**value))
        })
}

/// Appends one pair, as long as `out` stays within the given end; returns whether it all went in.
type AppendPair = fn(&mut Vec<u8>, (&str, &str), usize) -> bool;

/// Returns how many pairs went in, and whether these were all.
fn append_pairs<'l>(
    out: &mut Vec<u8>,
    pairs: impl Iterator<Item = (&'l str, &'l str)>,
    end: usize,
    append: AppendPair,
) -> (usize, bool) {
    let mut count = 0;
    for pair in pairs {
        let before = out.len();
        if count > 0 {
            out.push(b',');
        }
        if !append(out, pair, end) || out.len() > end {
            out.truncate(before);
            return (count, false);
        }
        count += 1;
    }
    (count, true)
}

fn append_member(out: &mut Vec<u8>, pair: (&str, &str), end: usize) -> bool {
    append_named(out, "", pair, end)
}

fn append_lifted(out: &mut Vec<u8>, pair: (&str, &str), end: usize) -> bool {
    append_named(out, "label_", pair, end)
}

fn append_named(out: &mut Vec<u8>, prefix: &str, pair: (&str, &str), end: usize) -> bool {
    let (name, value) = pair;
    out.push(b'"');
    out.extend_from_slice(prefix.as_bytes());
    let whole = append_until(out, name, end);
    out.extend_from_slice(b"\":\"");
    let whole = whole && append_until(out, value, end);
    out.push(b'"');
    whole
}

fn append_assignment(out: &mut Vec<u8>, pair: (&str, &str), end: usize) -> bool {
    let (name, value) = pair;
    let whole = append_backslashed(out, name, &['\\', ',', '='], end);
    out.push(b'=');
    whole && append_backslashed(out, value, &['\\', ','], end)
}

/// Appends `text` with a backslash, which JSON doubles, before each of `special`.
fn append_backslashed(out: &mut Vec<u8>, text: &str, special: &[char], end: usize) -> bool {
    let mut pieces = text.split(special);
    let mut at = 0;
    let mut whole = true;
    while whole && let Some(piece) = pieces.next() {
        whole = append_until(out, piece, end);
        at += piece.len();
        if let Some(mark) = text.get(at..at + 1) {
            out.extend_from_slice(b"\\\\");
            whole = whole && append_until(out, mark, end);
            at += 1;
        }
    }
    whole
}

fn append_until(out: &mut Vec<u8>, text: &str, end: usize) -> bool {
    let room = end.saturating_sub(out.len());
    append_escaped(out, text, room)
}
