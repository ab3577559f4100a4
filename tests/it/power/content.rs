//! The content of a file on the modelled disk: what was synced, and the changes since.
//!
//! A change of length is carried out as a whole, as file systems with a journal do; of data each
//! sector is, or is not.

use std::collections::BTreeSet;

/// What a disk and its file system write at once.
const SECTOR: usize = 512;
/// What the system's memory holds together.
const PAGE: usize = 4096;

/// What the disk does with that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nothing of it is kept.
    Dropped,
    /// All is: this is what whoever reads the files sees.
    Kept,
    /// The first calls are, in their order, the last of them in part.
    Prefix,
    /// Some calls are, in any order.
    Some,
    /// Some sectors are.
    Torn,
}

pub(super) const MANNERS: [Manner; 5] = [
    Manner::Dropped,
    Manner::Kept,
    Manner::Prefix,
    Manner::Some,
    Manner::Torn,
];

/// Decides by a seed; the same question has the same answer.
#[derive(Clone, Copy)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// A number below `end`, for this question.
    pub(super) fn below(self, question: usize, end: usize) -> usize {
        let mut mixed = self.0 ^ (question as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for factor in [0xBF58_476D_1CE4_E5B9_u64, 0x94D0_49BB_1331_11EB] {
            mixed = (mixed ^ (mixed >> 29)).wrapping_mul(factor);
        }
        usize::try_from((mixed ^ (mixed >> 32)) % end.max(1) as u64).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Change {
    /// Within one page.
    Data {
        call: usize,
        offset: usize,
        data: Vec<u8>,
        made: bool,
        /// A sync that was to write it has failed.
        given_up: bool,
    },
    Length {
        call: usize,
        length: usize,
        made: bool,
    },
}

impl Change {
    fn call(&self) -> usize {
        match self {
            Self::Data { call, .. } | Self::Length { call, .. } => *call,
        }
    }

    fn is_made(&self) -> bool {
        match self {
            Self::Data { made, .. } | Self::Length { made, .. } => *made,
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Data { offset, data, .. } => put(content, *offset, data),
            Self::Length { length, .. } => content.resize(*length, 0),
        }
    }
}

/// A file; or a folder, which has no content of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    is_folder: bool,
    synced: Vec<u8>,
    changes: Vec<Change>,
}

impl Content {
    pub(super) fn file() -> Self {
        Self::default()
    }

    pub(super) fn folder() -> Self {
        Self {
            is_folder: true,
            ..Self::default()
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    pub(super) fn write(&mut self, call: usize, offset: usize, data: &[u8]) {
        let (mut from, end) = (offset, offset + data.len());
        while from < end {
            let page = from / PAGE;
            let to = end.min((page + 1) * PAGE);
            // A page that is written to is to be synced again, with all that is on it.
            for change in &mut self.changes {
                match change {
                    Change::Data {
                        offset, given_up, ..
                    } if *offset / PAGE == page => {
                        *given_up = false;
                    }
                    Change::Data { .. } | Change::Length { .. } => {}
                }
            }
            self.changes.push(Change::Data {
                call,
                offset: from,
                data: data[from - offset..to - offset].to_vec(),
                made: false,
                given_up: false,
            });
            from = to;
        }
    }

    pub(super) fn resize(&mut self, call: usize, length: usize) {
        self.changes.push(Change::Length {
            call,
            length,
            made: false,
        });
    }

    /// The call has come back.
    pub(super) fn made(&mut self, its: usize) {
        for change in &mut self.changes {
            match change {
                Change::Data { call, made, .. } | Change::Length { call, made, .. } => {
                    *made |= *call == its;
                }
            }
        }
    }

    /// The call was never carried out.
    pub(super) fn not_made(&mut self, call: usize) {
        self.changes.retain(|change| change.call() != call);
    }

    /// The calls that a sync covers which begins now.
    pub(super) fn calls(&self) -> BTreeSet<usize> {
        let made = self.changes.iter().filter(|change| change.is_made());
        made.map(Change::call).collect()
    }

    /// A sync of these calls has worked.
    pub(super) fn keep(&mut self, calls: &BTreeSet<usize>) {
        let mut left = Vec::new();
        for change in std::mem::take(&mut self.changes) {
            let given_up = matches!(change, Change::Data { given_up: true, .. });
            if given_up || !calls.contains(&change.call()) {
                left.push(change);
                continue;
            }
            change.apply(&mut self.synced);
            if let Change::Length { length, .. } = change {
                // What was cut off does not come back.
                left.retain(|older| match older {
                    Change::Data { offset, .. } => *offset < length,
                    Change::Length { .. } => true,
                });
            }
        }
        self.changes = left;
    }

    /// A sync of these calls has failed.
    pub(super) fn give_up(&mut self, calls: &BTreeSet<usize>) {
        for change in &mut self.changes {
            if let Change::Data { call, given_up, .. } = change {
                *given_up |= calls.contains(call);
            }
        }
    }

    /// What the disk holds after the power went now.
    pub(super) fn after_cut(&self, manner: Manner, chance: Chance) -> Vec<u8> {
        let mut content = self.synced.clone();
        if manner == Manner::Dropped {
            return content;
        }
        let kept = self.kept_in_order(manner, chance);
        let mut most = content.len();
        // In eighths, so that now nearly nothing is kept and now nearly everything.
        let often = 1 + chance.below(1, 7);
        for (number, change) in kept.iter().enumerate() {
            let last = number + 1 == kept.len();
            let own = Chance(chance.0 ^ change.call() as u64);
            match change {
                Change::Length { length, .. } => most = *length,
                Change::Data { offset, data, .. } => most = most.max(offset + data.len()),
            }
            match (manner, change) {
                (Manner::Some, Change::Data { call, .. }) if chance.below(*call, 8) >= often => {}
                (Manner::Torn, Change::Data { offset, data, .. }) => {
                    put_some(&mut content, *offset, data, own, often);
                }
                (Manner::Prefix, Change::Data { offset, data, .. }) if last => {
                    put_some(&mut content, *offset, data, own, often);
                }
                _ => change.apply(&mut content),
            }
        }
        if manner != Manner::Kept && content.len() < most && chance.below(2, 2) == 0 {
            // The length was kept and what belongs there was not.
            let filler = u8::try_from(chance.below(3, 2) * 0xA5).unwrap();
            content.resize(most, filler);
        }
        content
    }

    /// The changes that may be kept: those before a shortening that was not carried out, or all.
    fn kept_in_order(&self, manner: Manner, chance: Chance) -> &[Change] {
        let end = match manner {
            Manner::Dropped => 0,
            Manner::Kept => self.changes.len(),
            Manner::Prefix => chance.below(4, self.changes.len() + 1),
            Manner::Some | Manner::Torn => {
                let lengths = self.changes.iter().enumerate();
                let mut ends: Vec<_> = lengths
                    .filter(|(_, change)| matches!(change, Change::Length { .. }))
                    .map(|(at, _)| at)
                    .collect();
                ends.push(self.changes.len());
                ends[chance.below(5, ends.len())]
            }
        };
        &self.changes[..end]
    }
}

fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

/// Puts some of the sectors that `data` touches, each as a whole.
fn put_some(content: &mut Vec<u8>, offset: usize, data: &[u8], chance: Chance, often: usize) {
    let mut from = offset;
    while from < offset + data.len() {
        let end = (offset + data.len()).min((from / SECTOR + 1) * SECTOR);
        if chance.below(from, 8) < often {
            put(content, from, &data[from - offset..end - offset]);
        }
        from = end;
    }
}
