//! W3C Trace Context: what a `traceparent` says, and a span's place in its trace.

use std::fmt;

/// What a trace is called all over the world; not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// What a span is called in its trace; not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// What is handed on to whoever goes on with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span that what follows is caused by.
    pub span: SpanId,
    /// Whether the trace is recorded, as its first span decided.
    pub sampled: bool,
}

/// A span's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// What is handed on from here.
    pub own: TraceParent,
    /// The span that caused this one; the first one of a trace has none.
    pub parent: Option<SpanId>,
}

impl TraceId {
    /// Made of random numbers.
    pub(super) fn new(high: u64, low: u64) -> Self {
        let mut bytes = [0; 16];
        let (first, last) = bytes.split_at_mut(8);
        first.copy_from_slice(&high.max(1).to_be_bytes());
        last.copy_from_slice(&low.to_be_bytes());
        Self(bytes)
    }

    /// What decides, everywhere in the same way, whether a share of all traces has this one: 63 bits.
    pub(super) fn draw(self) -> u64 {
        let low = self.0.iter().skip(8);
        low.fold(0, |number: u64, byte| (number << 8) | u64::from(*byte)) >> 1
    }
}

impl SpanId {
    /// Made of a random number.
    pub(super) fn new(number: u64) -> Self {
        Self(number.max(1).to_be_bytes())
    }
}

impl TraceParent {
    /// Reads version 00 whole, and of a later version what version 00 knows.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let [version]: [u8; 1] = unhex(bytes.get(..2)?)?;
        let has_dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        let ends = match bytes.get(55) {
            None => true,
            Some(next) => version != 0 && *next == b'-',
        };
        if !has_dashes || !ends || version == 0xFF {
            return None;
        }
        let trace: [u8; 16] = unhex(bytes.get(3..35)?)?;
        let span: [u8; 8] = unhex(bytes.get(36..52)?)?;
        let [flags]: [u8; 1] = unhex(bytes.get(53..55)?)?;
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        Some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// Straight into the text: a push whose trace is only handed on gets one as well.
fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Lower-case digits only, as the specification has them.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (digit(text[2 * at])? << 4) | digit(text[2 * at + 1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_reads_back_what_it_writes() {
        let parent = TraceParent::parse(TEXT).unwrap();
        assert_eq!(parent.to_string(), TEXT);
        assert!(parent.sampled);
        assert_eq!(parent.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span.to_string(), "b7ad6b7169203331");
        let other = TraceParent {
            sampled: false,
            ..parent
        };
        assert_eq!(TraceParent::parse(&other.to_string()), Some(other));
    }

    #[test]
    fn of_a_later_version_is_read_what_this_one_knows() {
        let parent = TraceParent::parse(TEXT);
        let later = TEXT.replacen("00", "01", 1);
        assert_eq!(TraceParent::parse(&later), parent);
        assert_eq!(TraceParent::parse(&format!("{later}-more")), parent);
        assert_eq!(TraceParent::parse(&format!("{later}more")), None);
        // Of the flags, only one bit means something.
        let flags = TEXT.replace("-01", "-fe");
        assert!(!TraceParent::parse(&flags).unwrap().sampled);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            &"-".repeat(55),
            &"é".repeat(28),
            TEXT.split_at(54).0,
            &format!("{TEXT}0"),
            &format!("{TEXT}-00"),
            &TEXT.replacen("00", "ff", 1),
            &TEXT.to_uppercase(),
            &TEXT.replace('-', "_"),
            &TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
