//! Judging what is offered, one after the other, as if each had a transaction of its own.
//!
//! The rows of the batch's subjects are locked and its keys are claimed by then; the marks they hold
//! are moved on here as the batch goes through them, and written afterwards, all at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;

use super::deliver::Deliveries;
use super::error::Failure;
use super::session::Call;
use crate::event::{Key, Outcome, Route, Seq};
use crate::inbox::subject::{next_id, subject_id};
use crate::inbox::{Offer, Offered};

/// Numbers of subjects that had to make way for another one with the same digest.
pub(super) type Moved = HashMap<(i64, String), i64>;

/// A subject's row, and what becomes of it.
#[derive(Debug)]
pub(super) struct Known {
    route: i64,
    text: String,
    last_time: Option<i64>,
    last_seq: Option<i64>,
    /// Whether it has a row, which is locked.
    there: bool,
    /// Whether this batch has an event of it.
    moved: bool,
}

/// An offer before it is judged.
struct Asked {
    route: i64,
    subject: Option<i64>,
}

/// An event that is to be stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// Its place among the offers.
    pub(super) offer: usize,
    pub(super) seq: i64,
    pub(super) lane: i64,
    pub(super) previous: Option<i64>,
    pub(super) route: i64,
    pub(super) stale: bool,
}

/// An offer whose key another event has.
#[derive(Debug)]
pub(super) struct Repeat {
    /// Its place among the offers.
    pub(super) offer: usize,
}

/// The offers of one batch on their way.
pub(super) struct Court<'b> {
    offers: &'b [Offer],
    asked: Vec<Asked>,
    pub(super) subjects: BTreeMap<i64, Known>,
    /// Each key with the offer that brought it first.
    keys: BTreeMap<Key, usize>,
    /// A position for each offer.
    seqs: Vec<i64>,
    /// Those for which keys were claimed.
    new: HashSet<i64>,
    pub(super) stored: Vec<Stored>,
    pub(super) repeats: Vec<Repeat>,
    pub(super) offered: Vec<Offered>,
}

impl<'b> Court<'b> {
    pub(super) fn new(offers: &'b [Offer], routes: &HashMap<&Route, i64>, moved: &Moved) -> Self {
        let mut court = Self {
            offers,
            asked: Vec::with_capacity(offers.len()),
            subjects: BTreeMap::new(),
            keys: BTreeMap::new(),
            seqs: Vec::new(),
            new: HashSet::new(),
            stored: Vec::with_capacity(offers.len()),
            repeats: Vec::new(),
            offered: Vec::with_capacity(offers.len()),
        };
        for (place, offer) in offers.iter().enumerate() {
            let event = &*offer.event;
            let route = routes.get(&event.route).copied().unwrap_or_default();
            let subject = event.subject.as_ref().map(ToString::to_string);
            let subject = subject.map(|text| court.enter(route, text, moved));
            court.asked.push(Asked { route, subject });
            if let Some(key) = offer.key {
                court.keys.entry(key).or_insert(place);
            }
        }
        court
    }

    /// The number of a subject, noted among those of the batch.
    fn enter(&mut self, route: i64, text: String, moved: &Moved) -> i64 {
        let mut id = subject_id(route, &text);
        if !moved.is_empty()
            && let Some(other) = moved.get(&(route, text.clone()))
        {
            id = *other;
        }
        while let Some(there) = self.subjects.get(&id) {
            if there.route == route && there.text == text {
                return id;
            }
            id = next_id(id);
        }
        let known = Known {
            route,
            text,
            last_time: None,
            last_seq: None,
            there: false,
            moved: false,
        };
        self.subjects.insert(id, known);
        id
    }

    /// The subject of the offer at `place`.
    pub(super) fn subject_of(&self, place: usize) -> Option<i64> {
        self.asked.get(place).and_then(|asked| asked.subject)
    }

    /// The last event of a subject, once all are judged.
    pub(super) fn newest(&self, subject: i64) -> Option<i64> {
        self.subjects.get(&subject).and_then(|known| known.last_seq)
    }

    /// Gives `begin` the subjects, the number of offers, and the keys in their order, each with the
    /// place of the offer that brought it, from one.
    pub(super) fn ask_to<'c>(&'c self, begin: Call<'c>) -> Call<'c> {
        let count = i32::try_from(self.offers.len()).unwrap_or(i32::MAX);
        let places = self.keys.values();
        let places = places.map(|place| i32::try_from(place + 1).unwrap_or(i32::MAX));
        begin
            .each(self.subjects.keys().copied())
            .with(count)
            .each(self.keys.keys().map(|key| key.0.as_slice()))
            .each(places)
    }

    /// Takes in what is known of a subject. One whose number another subject has is moved on by one,
    /// and all begins anew.
    pub(super) fn learn(&mut self, row: &Row, moved: &mut Moved) -> Result<(), Failure> {
        let id: i64 = row.try_get(1)?;
        let Some(known) = self.subjects.get_mut(&id) else {
            return Ok(());
        };
        let (route, text): (i64, &str) = (row.try_get(2)?, row.try_get(5)?);
        if route != known.route || text != known.text {
            moved.insert((known.route, known.text.clone()), next_id(id));
            return Err(Failure::Again("two subjects share a number".to_owned()));
        }
        known.last_time = row.try_get(3)?;
        known.last_seq = row.try_get(4)?;
        known.there = true;
        Ok(())
    }

    /// Takes in the positions, and for which of them the keys were claimed.
    pub(super) fn claimed(&mut self, row: &Row) -> Result<(), Failure> {
        self.seqs = row.try_get(6)?;
        let claimed: Option<Vec<i64>> = row.try_get(7)?;
        self.new = claimed.unwrap_or_default().into_iter().collect();
        Ok(())
    }

    /// Judges all offers.
    pub(super) fn judge(&mut self, deliveries: &mut Deliveries<'b>) {
        let seqs = std::mem::take(&mut self.seqs);
        for (place, (offer, seq)) in self.offers.iter().zip(&seqs).enumerate() {
            let first = offer.key.and_then(|key| self.keys.get(&key)).copied();
            let owner = first.unwrap_or(place);
            let claimed = offer.key.is_none() || self.new.contains(&seqs[owner]);
            let outcome = match (claimed, owner == place) {
                (true, true) => self.admit(place, *seq, deliveries),
                (true, false) => Offered {
                    outcome: Outcome::Duplicate,
                    seq: Seq(seqs[owner]),
                    differs: self.offers[owner].event.body != offer.event.body,
                },
                (false, _) => {
                    // Whose it is, the database says later.
                    self.repeats.push(Repeat { offer: place });
                    Offered {
                        outcome: Outcome::Duplicate,
                        seq: Seq(0),
                        differs: false,
                    }
                }
            };
            self.offered.push(outcome);
        }
    }

    fn admit(&mut self, place: usize, seq: i64, deliveries: &mut Deliveries<'b>) -> Offered {
        let offer = &self.offers[place];
        let event = &*offer.event;
        let asked = &self.asked[place];
        let mut known = asked.subject.and_then(|id| self.subjects.get_mut(&id));
        let mark = known.as_ref().and_then(|known| known.last_time);
        let overtaken = matches!((event.event_time, mark), (Some(time), Some(mark)) if time < mark);
        let stale = overtaken && !event.command;
        let lane = asked.subject.unwrap_or(-seq);
        self.stored.push(Stored {
            offer: place,
            seq,
            lane,
            previous: known.as_ref().and_then(|known| known.last_seq),
            route: asked.route,
            stale,
        });
        if let Some(known) = &mut known {
            let moves = event.event_time.filter(|_| offer.moves_mark && !stale);
            known.last_time = Option::max(moves, known.last_time);
            known.last_seq = Some(seq);
            known.moved = true;
        }
        for wanted in offer.wanted.iter() {
            if wanted.wants(stale) {
                deliveries.make(offer, seq, wanted, (lane, stale));
            }
        }
        Offered {
            outcome: if stale {
                Outcome::Stale
            } else {
                Outcome::Accepted
            },
            seq: Seq(seq),
            differs: false,
        }
    }

    /// Gives `write` the marks: of subjects that are there in three arrays, of new ones in five.
    pub(super) fn marks_to<'c>(&'c self, write: Call<'c>) -> Call<'c> {
        let moved = || self.subjects.iter().filter(|(_, known)| known.moved);
        let there = || moved().filter(|(_, known)| known.there);
        let new = || moved().filter(|(_, known)| !known.there);
        write
            .each(there().map(|(id, _)| *id))
            .each(there().map(|(_, known)| known.last_time))
            .each(there().map(|(_, known)| known.last_seq))
            .each(new().map(|(id, _)| *id))
            .each(new().map(|(_, known)| known.route))
            .each(new().map(|(_, known)| &*known.text))
            .each(new().map(|(_, known)| known.last_time))
            .each(new().map(|(_, known)| known.last_seq))
    }
}
