//! What a committed transaction did, told to those who wait for it.

use super::Group;
use crate::event::Outcome;
use crate::inbox::committer::{Answer, Message, Refusal, Taken};
use crate::inbox::{Committed, Lease, Settlement};

impl Group {
    pub(super) fn hand_out(&mut self, committed: Committed, answers: Vec<Answer>) {
        let new = committed.offered.iter();
        let new = new.filter(|offered| offered.outcome != Outcome::Duplicate);
        if let Some(newest) = new.map(|offered| offered.seq).max() {
            self.shared.has_stored(newest);
        }
        for (answer, offered) in answers.into_iter().zip(committed.offered) {
            self.options.metrics.events(offered.outcome, 1);
            // A client that hung up has still delivered its event.
            let _heard = answer.send(Ok(Taken::Judged(offered)));
        }
        let slots = self.shared.slots();
        for (sink, due) in committed.next_due {
            for slots in slots.iter().filter(|slots| slots.sink() == sink) {
                slots.set_due(due);
            }
        }
        let mut leases = committed.leases;
        for slots in slots.iter() {
            let needless = committed.superseded.iter();
            let needless = needless.filter(|(_, sink)| *sink == slots.sink()).count();
            slots.superseded(needless as u64);
            let (mine, others): (Vec<_>, Vec<_>) = leases
                .into_iter()
                .partition(|lease| lease.sink == slots.sink());
            leases = others;
            if !mine.is_empty() {
                slots.hand_over(mine);
            }
        }
        drop(slots);
        // Their dispatcher went while they were on their way: nobody begins them.
        let release = |lease: Lease| lease.settle(Settlement::Released);
        let orphans: Vec<_> = leases.into_iter().map(release).collect();
        if !orphans.is_empty() {
            self.take(Message::Settled(orphans));
        }
    }
}

pub(super) fn refuse(answers: Vec<Answer>, refusal: &Refusal) {
    for answer in answers {
        let _heard = answer.send(Err(refusal.clone()));
    }
}
