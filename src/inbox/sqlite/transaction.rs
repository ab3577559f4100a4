//! One transaction: settle, claim, then judge what is offered. All of it is committed, or none.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use super::cache::Cache;
use super::statements::Statements;
use super::writer::Writer;
use crate::event::Outcome;
use crate::inbox::numbers::{OUTCOME_ACCEPTED, OUTCOME_STALE, origin_number};
use crate::inbox::subject::{next_id, subject_id};
use crate::inbox::{Batch, Claim, Committed, Lease, Offer, Offered, Seq, SinkId};

/// A transaction under way, with what it has done so far.
pub(super) struct Work<'a> {
    pub(super) sql: Statements<'a>,
    pub(super) cache: &'a mut Cache,
    /// Microseconds since the Unix epoch.
    pub(super) now: i64,
    pub(super) leases: Vec<Lease>,
    pub(super) lost: Vec<(Seq, SinkId)>,
    pub(super) superseded: Vec<(Seq, SinkId)>,
    tokens: &'a mut i64,
    /// Slots that waiting deliveries left over, for deliveries made by this very transaction.
    pub(super) free: Vec<Claim>,
}

/// What is known of an event's subject before it is judged.
struct Known {
    lane: i64,
    text: Option<String>,
    last_time: Option<i64>,
    last_seq: Option<i64>,
}

/// Applies `batch` and commits it.
pub(super) fn commit(
    writer: &mut Writer,
    batch: &Batch,
    now: Timestamp,
) -> rusqlite::Result<Committed> {
    let before = (writer.cache.last_seq, writer.cache.events);
    let transaction = writer
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut work = Work {
        sql: Statements::new(&transaction),
        cache: &mut writer.cache,
        now: now.as_microsecond(),
        leases: Vec::new(),
        lost: Vec::new(),
        superseded: Vec::new(),
        tokens: &mut writer.tokens,
        free: Vec::with_capacity(batch.claims.len()),
    };
    for settled in &batch.settled {
        work.settle(settled)?;
    }
    for sink in &batch.recovered {
        work.recover(*sink)?;
    }
    for claim in &batch.claims {
        let left = work.claim(claim)?;
        work.free.push(left);
    }
    let mut offered = Vec::with_capacity(batch.offers.len());
    for offer in &batch.offers {
        offered.push(work.judge(offer)?);
    }
    let next_due = batch
        .claims
        .iter()
        .map(|claim| Ok((claim.sink, work.next_due(claim)?.map(timestamp))))
        .collect::<rusqlite::Result<_>>()?;
    let done = work.done();
    writer.cache.store(&transaction, before)?;
    transaction.commit()?;
    Ok(Committed {
        offered,
        next_due,
        ..done
    })
}

impl Work<'_> {
    /// What was done; the statements go back to the connection.
    fn done(self) -> Committed {
        Committed {
            leases: self.leases,
            lost: self.lost,
            superseded: self.superseded,
            ..Committed::default()
        }
    }

    pub(super) fn next_token(&mut self) -> i64 {
        *self.tokens += 1;
        *self.tokens
    }

    pub(super) fn lease_end(&self, ttl: Duration) -> Timestamp {
        let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        timestamp(self.now.saturating_add(ttl))
    }

    /// Judges one offer as if it had a transaction of its own.
    fn judge(&mut self, offer: &Offer) -> rusqlite::Result<Offered> {
        let seq = Seq(self.cache.last_seq + 1);
        if let Some(first) = self.first_of(offer, seq)? {
            return Ok(Offered {
                outcome: Outcome::Duplicate,
                seq: first,
                differs: self.differs(first, offer)?,
            });
        }
        let route = self
            .cache
            .routes
            .id(self.sql.connection(), &offer.event.route, self.now)?;
        let known = match &offer.event.subject {
            Some(subject) => self.known(route, subject.to_string())?,
            None => Known {
                lane: -seq.0,
                text: None,
                last_time: None,
                last_seq: None,
            },
        };
        let overtaken = match (offer.event.event_time, known.last_time) {
            (Some(time), Some(mark)) => time < mark,
            _ => false,
        };
        let stale = overtaken && !offer.event.command;
        self.cache.last_seq = seq.0;
        self.cache.events += 1;
        self.insert_event(offer, seq, (route, &known), stale)?;
        self.update_subject(offer, seq, (route, &known), stale)?;
        for wanted in offer.wanted.iter() {
            if wanted.wants(stale) {
                self.deliver(offer, seq, wanted, (known.lane, stale))?;
            }
        }
        Ok(Offered {
            outcome: if stale {
                Outcome::Stale
            } else {
                Outcome::Accepted
            },
            seq,
            differs: false,
        })
    }

    /// Claims the offer's key for `seq`, or says which event has it.
    fn first_of(&mut self, offer: &Offer, seq: Seq) -> rusqlite::Result<Option<Seq>> {
        let Some(key) = offer.key else {
            return Ok(None);
        };
        let new = self
            .sql
            .prepare(
                "INSERT INTO keys (key, seq, received) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![key.0, seq.0, self.now])?;
        if new == 1 {
            return Ok(None);
        }
        self.sql
            .prepare("SELECT seq FROM keys WHERE key = ?1")?
            .query_row([key.0], |row| Ok(Some(Seq(row.get(0)?))))
    }

    fn differs(&self, first: Seq, offer: &Offer) -> rusqlite::Result<bool> {
        self.sql
            .prepare("SELECT body <> ?2 FROM events WHERE seq = ?1")?
            .query_row(params![first.0, offer.event.body.as_ref()], |row| {
                row.get(0)
            })
            .optional()
            // The first copy's body may be past its retention; there is nothing to compare then.
            .map(|differs| differs.unwrap_or(false))
    }

    /// Finds the subject's row, or the place for a new one. Ids that collide move on by one.
    fn known(&mut self, route: i64, text: String) -> rusqlite::Result<Known> {
        let mut id = subject_id(route, &text);
        loop {
            let found = self
                .sql
                .prepare(
                    "SELECT last_time, last_seq, route = ?2 AND subject = ?3 FROM subjects WHERE id = ?1",
                )?
                .query_row(params![id, route, text], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, bool>(2)?))
                })
                .optional()?;
            match found {
                None => {
                    return Ok(Known {
                        lane: id,
                        text: Some(text),
                        last_time: None,
                        last_seq: None,
                    });
                }
                Some((last_time, last_seq, true)) => {
                    return Ok(Known {
                        lane: id,
                        text: Some(text),
                        last_time,
                        last_seq: Some(last_seq),
                    });
                }
                Some((_, _, false)) => id = next_id(id),
            }
        }
    }

    fn insert_event(
        &mut self,
        offer: &Offer,
        seq: Seq,
        (route, known): (i64, &Known),
        stale: bool,
    ) -> rusqlite::Result<()> {
        let event = &*offer.event;
        self.sql
            .prepare(
                "INSERT INTO events (seq, lane, previous, route, event_id, event_type, event_time, \
                 subject, outcome, command, origin, source_ip, peer_ip, received, trace_parent, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .execute(params![
                seq.0,
                known.lane,
                known.last_seq,
                route,
                event.event_id.as_ref().map(crate::event::Id::as_str),
                event.event_type.as_str(),
                event.event_time,
                known.text,
                if stale { OUTCOME_STALE } else { OUTCOME_ACCEPTED },
                event.command,
                origin_number(event.origin),
                event.source_ip.map(|ip| ip.to_string()),
                event.peer_ip.map(|ip| ip.to_string()),
                event.received_at.as_microsecond(),
                event.trace_parent,
                event.body.as_ref(),
            ])
            .map(|_one| ())
    }

    fn update_subject(
        &mut self,
        offer: &Offer,
        seq: Seq,
        (route, known): (i64, &Known),
        stale: bool,
    ) -> rusqlite::Result<()> {
        let Some(subject) = &known.text else {
            return Ok(());
        };
        let moved = offer
            .event
            .event_time
            .filter(|_| offer.moves_mark && !stale);
        let mark = Option::max(moved, known.last_time);
        if known.last_seq.is_some() {
            self.sql
                .prepare(
                    "UPDATE subjects SET last_time = ?2, last_seq = ?3, last_received = ?4 WHERE id = ?1",
                )?
                .execute(params![known.lane, mark, seq.0, self.now])?;
        } else {
            self.sql
                .prepare(
                    "INSERT INTO subjects (id, route, subject, last_time, last_seq, last_received) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    known.lane,
                    route,
                    subject.to_string(),
                    mark,
                    seq.0,
                    self.now
                ])?;
        }
        Ok(())
    }
}

/// Microseconds as a time, clamped to what a timestamp can hold.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
