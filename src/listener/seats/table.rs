//! The seats themselves: who sits where, and who waits since when.

use std::collections::{BTreeMap, HashMap};

use tokio::task::AbortHandle;

use super::{Class, Full, SeatId, stranger_share};

/// Position in the order in which seats began to wait.
type Turn = u64;

#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    pub(super) occupants: HashMap<SeatId, Occupant>,
    strangers: Queue,
    unnamed: Queue,
    others: Queue,
    /// Seats that were taken away from connections that are not closed yet.
    leaving: usize,
}

#[derive(Debug)]
pub(super) struct Occupant {
    class: Class,
    waiting: Option<Turn>,
    pub(super) task: Option<AbortHandle>,
}

#[derive(Debug, Default)]
struct Queue {
    held: usize,
    waiting: BTreeMap<Turn, SeatId>,
}

impl Table {
    pub(super) fn make_room(
        &mut self,
        class: Class,
        max_connections: usize,
        victims: &mut Vec<Occupant>,
    ) -> Result<(), Full> {
        if class == Class::Stranger {
            self.make_room_for_a_stranger(max_connections, victims)?;
        }
        while self.occupants.len() >= max_connections.max(1) {
            victims.push(self.evict_any().ok_or(Full)?);
        }
        Ok(())
    }

    pub(super) fn seat(&mut self, class: Class) -> SeatId {
        let id = self.turn();
        let occupant = Occupant {
            class,
            waiting: None,
            task: None,
        };
        self.put(id, occupant);
        id
    }

    /// Moves a waiting seat to `class`, to the end of its line.
    pub(super) fn name(
        &mut self,
        id: SeatId,
        class: Class,
        max_connections: usize,
        victims: &mut Vec<Occupant>,
    ) -> Result<(), Full> {
        let moves = |occupant: &Occupant| occupant.class != class && occupant.waiting.is_some();
        if !self.occupants.get(&id).is_some_and(moves) {
            return Ok(());
        }
        // The seat itself is no stranger yet, and therefore not among those who may have to go.
        if class == Class::Stranger {
            self.make_room_for_a_stranger(max_connections, victims)?;
        }
        if let Some(mut occupant) = self.remove(id) {
            occupant.class = class;
            occupant.waiting = None;
            self.put(id, occupant);
        }
        Ok(())
    }

    pub(super) fn waiting(&mut self, id: SeatId) {
        let turn = self.turn();
        let Some(occupant) = self.occupants.get_mut(&id) else {
            return;
        };
        if occupant.waiting.is_none() {
            occupant.waiting = Some(turn);
            let class = occupant.class;
            self.queue(class).waiting.insert(turn, id);
        }
    }

    pub(super) fn busy(&mut self, id: SeatId) -> bool {
        let Some(occupant) = self.occupants.get_mut(&id) else {
            return false;
        };
        let class = occupant.class;
        if let Some(turn) = occupant.waiting.take() {
            self.queue(class).waiting.remove(&turn);
        }
        true
    }

    pub(super) fn evict_any(&mut self) -> Option<Occupant> {
        [Class::Stranger, Class::Unnamed, Class::MayPush]
            .into_iter()
            .find_map(|class| self.evict(class))
    }

    /// The connection of the seat is closed. `false`: the seat had been taken away from it.
    pub(super) fn leave(&mut self, id: SeatId) -> bool {
        let held = self.remove(id).is_some();
        if !held {
            self.leaving -= 1;
        }
        held
    }

    pub(super) fn leaving(&self) -> usize {
        self.leaving
    }

    /// `false`: the seat was taken away already.
    pub(super) fn attach(&mut self, id: SeatId, task: &AbortHandle) -> bool {
        let occupant = self.occupants.get_mut(&id);
        occupant
            .map(|occupant| occupant.task = Some(task.clone()))
            .is_some()
    }

    pub(super) fn tasks(&self) -> Vec<AbortHandle> {
        self.occupants
            .values()
            .filter_map(|occupant| occupant.task.clone())
            .collect()
    }

    fn make_room_for_a_stranger(
        &mut self,
        max_connections: usize,
        victims: &mut Vec<Occupant>,
    ) -> Result<(), Full> {
        while self.strangers.held >= stranger_share(max_connections) {
            victims.push(self.evict(Class::Stranger).ok_or(Full)?);
        }
        Ok(())
    }

    fn put(&mut self, id: SeatId, occupant: Occupant) {
        self.queue(occupant.class).held += 1;
        self.occupants.insert(id, occupant);
        self.waiting(id);
    }

    fn evict(&mut self, class: Class) -> Option<Occupant> {
        let id = *self.queue(class).waiting.first_key_value()?.1;
        let evicted = self.remove(id)?;
        self.leaving += 1;
        Some(evicted)
    }

    fn remove(&mut self, id: SeatId) -> Option<Occupant> {
        let occupant = self.occupants.remove(&id)?;
        let queue = self.queue(occupant.class);
        queue.held -= 1;
        if let Some(turn) = &occupant.waiting {
            queue.waiting.remove(turn);
        }
        Some(occupant)
    }

    fn queue(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Stranger => &mut self.strangers,
            Class::Unnamed => &mut self.unnamed,
            Class::MayPush => &mut self.others,
        }
    }

    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
