//! What the one writer remembers of the store between transactions: names and counters, never
//! whether an event is new. Read again from the store whenever a transaction was rolled back.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::routes::Routes;
use crate::inbox::SinkId;

/// Routes, sinks and counters as the last committed transaction left them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) routes: Arc<Routes>,
    sinks: HashMap<SinkId, SinkState>,
    /// The newest position given out.
    pub(super) last_seq: i64,
    /// Events stored.
    pub(super) events: i64,
}

#[derive(Debug)]
struct SinkState {
    pending: i64,
    changed: bool,
}

impl Cache {
    pub(super) fn load(connection: &Connection, routes: Arc<Routes>) -> rusqlite::Result<Self> {
        routes.load(connection)?;
        let mut cache = Self {
            routes,
            ..Self::default()
        };
        let mut sinks = connection.prepare("SELECT id, pending FROM sinks")?;
        let mut rows = sinks.query([])?;
        while let Some(row) = rows.next()? {
            let state = SinkState {
                pending: row.get(1)?,
                changed: false,
            };
            cache.sinks.insert(SinkId(row.get(0)?), state);
        }
        let meta = |key: &str| {
            connection
                .query_row("SELECT value FROM meta WHERE key = ?", [key], |row| {
                    row.get(0)
                })
                .optional()
        };
        cache.last_seq = meta("seq")?.unwrap_or(0);
        cache.events = meta("events")?.unwrap_or(0);
        Ok(cache)
    }

    /// Writes the counters that this transaction changed.
    pub(super) fn store(
        &mut self,
        connection: &Connection,
        before: (i64, i64),
    ) -> rusqlite::Result<()> {
        let (last_seq, events) = before;
        let mut put = connection.prepare_cached(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        )?;
        if self.last_seq != last_seq {
            put.execute(params!["seq", self.last_seq])?;
        }
        if self.events != events {
            put.execute(params!["events", self.events])?;
        }
        for (sink, state) in &mut self.sinks {
            if state.changed {
                connection
                    .prepare_cached("UPDATE sinks SET pending = ?2 WHERE id = ?1")?
                    .execute(params![sink.0, state.pending])?;
                state.changed = false;
            }
        }
        Ok(())
    }

    pub(super) fn sink_added(&mut self, sink: SinkId) {
        self.sinks.entry(sink).or_insert(SinkState {
            pending: 0,
            changed: false,
        });
    }

    /// Counts deliveries of `sink` that became unsettled (positive) or settled (negative).
    pub(super) fn pending(&mut self, sink: SinkId, change: i64) {
        if let Some(state) = self.sinks.get_mut(&sink) {
            state.pending += change;
            state.changed = true;
        }
    }
}
