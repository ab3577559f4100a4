//! What a transaction that ended while nobody waited for it means.

use std::collections::HashSet;

use super::flight::{Landed, Transaction};
use super::spell::Spell;
use crate::inbox::group::Group;
use crate::inbox::{Batch, Committed, InboxError, Settled};

impl Group {
    pub(super) fn see_to(&mut self, spell: &mut Spell, landed: Landed) -> anyhow::Result<()> {
        let flight = spell.flight.take();
        match landed {
            Landed::Probed(Ok(took)) => spell.answered(took),
            Landed::Probed(Err(error)) => {
                spell.hopeless = spell.finishing;
                return self.missed(spell, error);
            }
            Landed::Committed(landed) => {
                if landed.committed.is_err()
                    && let Some(flight) = flight
                {
                    self.settled.extend(flight.settled);
                    self.recovered.extend(flight.recovered);
                }
                return self.see_to_drained(spell, *landed);
            }
        }
        Ok(())
    }

    fn see_to_drained(&mut self, spell: &mut Spell, landed: Transaction) -> anyhow::Result<()> {
        let events = landed.batch.offers.len();
        let took = landed.took;
        let cleared = match landed.committed {
            Ok(committed) => {
                self.measure(landed.begun, &landed.batch, &committed);
                self.spread(&landed.batch, committed);
                spell.cleared(events);
                landed.cleared.map(|()| spell.drained(events as u64, took))
            }
            Err(InboxError::Refused(reason)) if spell.suspects == 0 && events > 0 => {
                tracing::warn!(
                    events,
                    "the store refused a transaction ({reason}); its events are tried in parts"
                );
                spell.suspects = events;
                spell.size = events.div_ceil(2);
                Ok(())
            }
            Err(InboxError::Refused(_)) if events > 1 => {
                spell.size = events / 2;
                Ok(())
            }
            Err(InboxError::Refused(_)) if events > 0 => {
                spell.cleared(1);
                landed.cleared
            }
            Err(InboxError::Refused(_)) => {
                // No event of the file is to blame: outside, each part gets a transaction of its own.
                spell.took = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.show_spilled(spell);
        match cleared {
            Ok(()) => Ok(()),
            Err(error) => self.missed(spell, error),
        }
    }

    /// A transaction was confirmed after all, or was not: its events are in the file, so all that
    /// counts is what rode with them.
    pub(super) fn see_to_late(
        &mut self,
        spell: &mut Spell,
        late: Transaction,
    ) -> anyhow::Result<()> {
        match late.committed {
            Ok(committed) => {
                let done: HashSet<_> = late.batch.settled.iter().map(Settled::of).collect();
                self.settled.retain(|settled| !done.contains(&settled.of()));
                self.spread(&late.batch, committed);
                self.show_spilled(spell);
                Ok(())
            }
            Err(error @ InboxError::Broken(_)) => self.fail(error),
            Err(_) => Ok(()),
        }
    }

    /// Counts and tells what became of events nobody waits for, and hands out what was claimed.
    fn spread(&mut self, batch: &Batch, committed: Committed) {
        for (offer, offered) in batch.offers.iter().zip(&committed.offered) {
            self.options.metrics.events(offered.outcome, 1);
            offered.tell("a push that waited in the spill is", &offer.event);
        }
        self.hand_out(committed, Vec::new());
        self.note_unclaimed(batch);
    }

    fn missed(&mut self, spell: &mut Spell, error: InboxError) -> anyhow::Result<()> {
        match error {
            InboxError::Broken(_) | InboxError::Closed => self.fail(error),
            InboxError::Away(why) => {
                spell.miss(&why);
                Ok(())
            }
            InboxError::Full(_) | InboxError::Refused(_) => {
                spell.miss(&error.to_string());
                Ok(())
            }
        }
    }
}
