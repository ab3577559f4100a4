//! What is in the database, asked of it and not of a receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::postgres::Postgres;
use crate::receiver::PATIENCE;

/// The events that are stored.
pub(crate) struct Stored {
    /// By id, in the order of `seq`.
    order: Vec<(String, i64)>,
    /// The positions of each.
    seqs: BTreeMap<String, Vec<i64>>,
}

impl Stored {
    pub(crate) fn read(server: &Postgres) -> Self {
        let rows = server.rows("SELECT event_id, seq FROM events ORDER BY seq");
        let rows = rows.into_iter();
        let order: Vec<(String, i64)> = rows
            .map(|row| (row[0].clone(), row[1].parse().unwrap()))
            .collect();
        let mut seqs: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (id, seq) in &order {
            seqs.entry(id.clone()).or_default().push(*seq);
        }
        Self { order, seqs }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Each of `ids` has exactly one row.
    pub(crate) fn has_once<'i>(&self, ids: impl IntoIterator<Item = &'i String>) {
        let lost: Vec<_> = ids
            .into_iter()
            .filter(|id| !self.seqs.contains_key(*id))
            .collect();
        assert_eq!(lost, [""; 0], "acknowledged, and not in the database");
        self.is_without_doubles();
    }

    pub(crate) fn is_without_doubles(&self) {
        let double: Vec<_> = self
            .seqs
            .iter()
            .filter(|(_, seqs)| seqs.len() > 1)
            .collect();
        assert!(double.is_empty(), "stored more than once: {double:?}");
    }

    /// Where an event is, if it is.
    pub(crate) fn seq(&self, id: &str) -> Option<i64> {
        self.seqs.get(id).map(|seqs| seqs[0])
    }

    /// An event is where its answers say.
    pub(crate) fn has_at(&self, id: &str, told: &BTreeSet<i64>) {
        let seqs = self.seqs.get(id).into_iter().flatten();
        let seqs: BTreeSet<i64> = seqs.copied().collect();
        assert!(told.is_subset(&seqs), "{id}: {told:?}, but {seqs:?}");
    }

    /// The events of each lane, which `place` tells of an id, come in the order of their numbers.
    pub(crate) fn is_in_order(&self, place: impl Fn(&str) -> (String, u64)) {
        let ids = self.order.iter().map(|(id, _)| id.as_str());
        in_order(ids, place);
    }
}

/// The numbers of each lane rise; `place` tells lane and number of an id.
pub(crate) fn in_order<'i>(
    ids: impl Iterator<Item = &'i str>,
    place: impl Fn(&str) -> (String, u64),
) {
    let mut last = BTreeMap::new();
    for id in ids {
        let (lane, number) = place(id);
        let before = last.insert(lane, (number, id));
        assert!(
            before.is_none_or(|(before, _)| before < number),
            "{id} came after {before:?}"
        );
    }
}

/// Waits until so many events are stored.
pub(crate) fn wait_until_stored(server: &Postgres, wanted: usize) {
    let slow = Duration::from_millis(20 * wanted as u64);
    let deadline = Instant::now() + PATIENCE + slow;
    loop {
        let stored = server.value("SELECT count(*) FROM events");
        if stored.parse::<usize>().unwrap() >= wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{stored} of {wanted}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until no delivery waits any more. A replica that was killed keeps what it had in hand for
/// as long as a lease lasts.
pub(crate) fn wait_until_settled(server: &Postgres, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let waiting = server.value("SELECT count(*) FROM deliveries WHERE state = 0");
        if waiting == "0" {
            return;
        }
        assert!(Instant::now() < deadline, "{waiting} deliveries wait still");
        std::thread::sleep(Duration::from_millis(50));
    }
}
