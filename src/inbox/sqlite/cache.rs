//! What the one writer remembers of the store between transactions: names and counters, never
//! whether an event is new. Read again from the store whenever a transaction was rolled back.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::event::Route;
use crate::inbox::SinkId;

/// Routes, sinks and counters as the last committed transaction left them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    ids: HashMap<Route, i64>,
    routes: HashMap<i64, Route>,
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
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut cache = Self::default();
        let mut routes = connection.prepare("SELECT id, tag, query FROM routes")?;
        let mut rows = routes.query([])?;
        while let Some(row) = rows.next()? {
            let route = Route {
                tag: row.get(1)?,
                query: row.get(2)?,
            };
            cache.remember(row.get(0)?, &route);
        }
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

    /// The number of `route`, given out when it is new.
    pub(super) fn route_id(
        &mut self,
        connection: &Connection,
        route: &Route,
    ) -> rusqlite::Result<i64> {
        if let Some(id) = self.ids.get(route) {
            return Ok(*id);
        }
        connection.execute(
            "INSERT INTO routes (tag, query) VALUES (?1, ?2)",
            params![route.tag, route.query],
        )?;
        let id = connection.last_insert_rowid();
        self.remember(id, route);
        Ok(id)
    }

    pub(super) fn route(&self, id: i64) -> Route {
        self.routes.get(&id).cloned().unwrap_or_default()
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

    fn remember(&mut self, id: i64, route: &Route) {
        self.ids.insert(route.clone(), id);
        self.routes.insert(id, route.clone());
    }
}
