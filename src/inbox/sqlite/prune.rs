//! Removing what is past its time, and making room in the order in which loss hurts least.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::links;
use super::writer::Writer;
use crate::inbox::numbers::{STATE_PENDING, state};
use crate::inbox::prune::{Attached, Release};
use crate::inbox::{Prune, PruneWhat, Pruned, Seq, SinkId};

/// Events looked at in one step: a step holds the writer for a few milliseconds.
const STEP: i64 = 400;
/// Keys and subjects are walked in this many slices.
const SLICES: u64 = 4096;

/// Runs one step as a transaction of its own.
pub(super) fn step(writer: &mut Writer, prune: &Prune) -> rusqlite::Result<Pruned> {
    let before = (writer.cache.last_seq, writer.cache.events);
    let transaction = writer.connection.transaction()?;
    let mut pruned = match prune.what {
        PruneWhat::Forgotten { slice } => forget(&transaction, prune, slice)?,
        _ => Pruned::default(),
    };
    let unused = match prune.what {
        PruneWhat::Forgotten { slice } if slice.is_multiple_of(SLICES) => {
            let cutoff = prune.forget_before().as_microsecond();
            writer.cache.routes.delete_unused(&transaction, cutoff)?
        }
        _ => Vec::new(),
    };
    if !matches!(prune.what, PruneWhat::Forgotten { .. }) {
        let candidates = candidates(&transaction, prune)?;
        let mut last: Option<Seq> = None;
        pruned.next = (i64::try_from(candidates.len()) == Ok(STEP))
            .then(|| candidates.last().map(|event| event.seq))
            .flatten();
        for candidate in candidates {
            if candidate.received > prune.now.as_microsecond() {
                // The clock was ahead when it came, and says nothing about what is behind it.
                continue;
            }
            if !is_past(&candidate, prune) {
                // Positions follow arrival: nothing behind it is older.
                pruned.next = None;
                break;
            }
            let Some(gone) = releasable(&transaction, &candidate, prune)? else {
                continue;
            };
            for sink in &gone.dropped {
                links::unlink(
                    &transaction,
                    candidate.seq,
                    *sink,
                    prune.now.as_microsecond(),
                )?;
                writer.cache.pending(*sink, -1);
            }
            remove(&transaction, candidate.seq)?;
            last = last.max(Some(candidate.seq));
            writer.cache.events -= 1;
            pruned.dropped.extend(gone.dropped);
            pruned.dead += gone.dead;
            pruned.events += 1;
            pruned.bytes += candidate.bytes;
            if prune.enough(pruned.bytes) {
                pruned.next = None;
                break;
            }
        }
        note_last(&transaction, last)?;
    }
    writer.cache.store(&transaction, before)?;
    transaction.commit()?;
    writer.cache.routes.forget(&unused);
    Ok(pruned)
}

struct Candidate {
    seq: Seq,
    received: i64,
    bytes: u64,
}

/// What one step looks at, oldest first. What cannot go is passed over by index, not by reading it:
/// room is made while more is taken.
fn candidates(sql: &Connection, prune: &Prune) -> rusqlite::Result<Vec<Candidate>> {
    match &prune.what {
        PruneWhat::Dead => with_dead_letters(sql, prune.after),
        PruneWhat::Waiting { sinks } if prune.after == Seq(0) => {
            let mut oldest = None;
            for sink in sinks {
                let head: Option<i64> = sql
                    .prepare_cached("SELECT min(head) FROM lanes WHERE sink = ?1")?
                    .query_row([sink.0], |row| row.get(0))?;
                oldest = [oldest, head].into_iter().flatten().min();
            }
            match oldest {
                Some(seq) => all_behind(sql, Seq(seq - 1)),
                None => Ok(Vec::new()),
            }
        }
        _ => all_behind(sql, prune.after),
    }
}

fn all_behind(sql: &Connection, after: Seq) -> rusqlite::Result<Vec<Candidate>> {
    sql.prepare_cached(
        "SELECT seq, received, length(body) FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?
    .query_map(params![after.0, STEP], candidate)?
    .collect()
}

fn with_dead_letters(sql: &Connection, after: Seq) -> rusqlite::Result<Vec<Candidate>> {
    let sinks: Vec<i64> = sql
        .prepare_cached("SELECT id FROM sinks")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut dead = BTreeSet::new();
    for sink in sinks {
        let seqs = sql
            .prepare_cached(
                "SELECT seq FROM deliveries WHERE sink = ?1 AND state = 3 AND seq > ?2 \
                 ORDER BY seq LIMIT ?3",
            )?
            .query_map(params![sink, after.0, STEP], |row| row.get::<_, i64>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        dead.extend(seqs);
    }
    let mut event =
        sql.prepare_cached("SELECT seq, received, length(body) FROM events WHERE seq = ?1")?;
    dead.into_iter()
        .take(usize::try_from(STEP).expect("a step is short"))
        .map(|seq| event.query_row([seq], candidate))
        .collect()
}

fn candidate(row: &rusqlite::Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        seq: Seq(row.get(0)?),
        received: row.get(1)?,
        bytes: row.get(2)?,
    })
}

fn is_past(candidate: &Candidate, prune: &Prune) -> bool {
    candidate.received < prune.cutoff().as_microsecond()
}

/// What goes with the event, if it may go at all.
fn releasable(
    sql: &Connection,
    candidate: &Candidate,
    prune: &Prune,
) -> rusqlite::Result<Option<Release>> {
    let mut statement =
        sql.prepare_cached("SELECT sink, state, settled FROM deliveries WHERE seq = ?1")?;
    let deliveries = statement.query_map([candidate.seq.0], |row| {
        let (sink, number) = (SinkId(row.get(0)?), row.get(1)?);
        let may_go = number == STATE_PENDING && prune.gives_up(sink);
        let leased = may_go && is_leased(sql, candidate.seq, sink, prune)?;
        Ok(Attached {
            sink,
            state: state(number, leased),
            settled: row.get(2)?,
        })
    })?;
    let deliveries = deliveries.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(prune.release(candidate.received, deliveries))
}

/// Whether an attempt may be under way: such a delivery does not wait.
fn is_leased(sql: &Connection, seq: Seq, sink: SinkId, prune: &Prune) -> rusqlite::Result<bool> {
    let place = links::place(sql, seq, sink)?;
    Ok(place.is_some_and(|place| place.is_leased(prune.now.as_microsecond())))
}

fn remove(sql: &Connection, seq: Seq) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM attempts WHERE seq = ?1",
        "DELETE FROM deliveries WHERE seq = ?1",
        "DELETE FROM events WHERE seq = ?1",
    ] {
        sql.prepare_cached(statement)?.execute([seq.0])?;
    }
    Ok(())
}

/// Those who follow the events are told that they may have missed some up to `last`.
fn note_last(sql: &Connection, last: Option<Seq>) -> rusqlite::Result<()> {
    let Some(last) = last else {
        return Ok(());
    };
    sql.prepare_cached(
        "INSERT INTO meta (key, value) VALUES ('pruned', ?1) \
         ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute([last.0])
    .map(|_one| ())
}

/// Keys, subjects, records of the sender's history and unreadable pushes past their age, one slice
/// of the whole a step.
fn forget(sql: &Connection, prune: &Prune, slice: u64) -> rusqlite::Result<Pruned> {
    let cutoff = prune.forget_before().as_microsecond();
    let slice = slice % SLICES;
    let width = (u64::MAX / SLICES) + 1;
    let first = slice * width;
    let last = first + (width - 1);
    let mut low = [0_u8; 16];
    let mut high = [0xFF_u8; 16];
    low[..8].copy_from_slice(&first.to_be_bytes());
    high[..8].copy_from_slice(&last.to_be_bytes());
    let keys = sql
        .prepare_cached("DELETE FROM keys WHERE key BETWEEN ?1 AND ?2 AND received < ?3")?
        .execute(params![low, high, cutoff])?;
    // Subject ids are 63 bits wide: half of the range of the keys' first eight bytes.
    let id = |at: u64| i64::try_from(at / 2).unwrap_or(i64::MAX);
    let subjects = sql
        .prepare_cached(
            "DELETE FROM subjects WHERE id BETWEEN ?1 AND ?2 AND last_received < ?3 \
             AND NOT EXISTS (SELECT 1 FROM events WHERE seq = last_seq)",
        )?
        .execute(params![id(first), id(last), cutoff])?;
    sql.prepare_cached(
        "DELETE FROM remembered WHERE subject BETWEEN ?1 AND ?2 \
         AND NOT EXISTS (SELECT 1 FROM subjects WHERE id = subject)",
    )?
    .execute([id(first), id(last)])?;
    let records = sql
        .prepare_cached("DELETE FROM recovered WHERE id BETWEEN ?1 AND ?2 AND handled < ?3")?
        .execute(params![low, high, prune.records_before().as_microsecond()])?;
    let unreadable = sql
        .prepare_cached("DELETE FROM unreadable WHERE received < ?1")?
        .execute([prune.cutoff().as_microsecond()])?;
    Ok(Pruned {
        other: u64::try_from(keys + subjects + records + unreadable).unwrap_or_default(),
        ..Pruned::default()
    })
}
