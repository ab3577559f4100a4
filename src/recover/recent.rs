//! What is remembered of the latest few records; the one longest not met makes room for a new one.

use std::collections::{BTreeMap, HashMap};

use crate::inbox::RecordId;

/// So many records are kept in mind.
const MOST: usize = 10_000;

#[derive(Debug)]
pub(super) struct Recent<T> {
    /// Each with its place in `order`.
    entries: HashMap<RecordId, (u64, T)>,
    order: BTreeMap<u64, RecordId>,
    next: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Recent<T> {
    pub(super) fn get(&self, id: &RecordId) -> Option<&T> {
        self.entries.get(id).map(|(_, value)| value)
    }

    /// Remembers `value`, or what there was before when the record is met again; says which is
    /// remembered now, and whether it is new.
    pub(super) fn meet(&mut self, id: RecordId, value: T) -> (&mut T, bool) {
        let before = self.remove(&id);
        let is_new = before.is_none();
        while self.entries.len() >= MOST {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
        let place = self.next;
        self.next += 1;
        self.order.insert(place, id);
        let (_, value) = self
            .entries
            .entry(id)
            .or_insert((place, before.unwrap_or(value)));
        (value, is_new)
    }

    pub(super) fn remove(&mut self, id: &RecordId) -> Option<T> {
        let (place, value) = self.entries.remove(id)?;
        self.order.remove(&place);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize) -> RecordId {
        RecordId::new(7, &number.to_string())
    }

    #[test]
    fn the_one_longest_not_met_is_forgotten_and_no_other() {
        let mut recent = Recent::default();
        for number in 0..MOST {
            assert!(recent.meet(record(number), number).1);
        }
        // Met again, it is as young as any.
        assert_eq!(recent.meet(record(0), 77), (&mut 0, false));
        assert!(recent.meet(record(MOST), MOST).1);
        let there: Vec<usize> = (0..=MOST)
            .filter(|number| recent.get(&record(*number)) == Some(number))
            .collect();
        assert_eq!(there.len(), MOST);
        assert!(!there.contains(&1), "the oldest");
        assert_eq!(recent.remove(&record(0)), Some(0));
        assert!(recent.meet(record(1), 1).1);
        assert!(recent.get(&record(2)).is_some(), "there was room");
        assert_eq!((recent.entries.len(), recent.order.len()), (MOST, MOST));
    }
}
