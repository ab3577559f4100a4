//! The URLs pushes came to, in memory: the writer gives them numbers, intake asks whether there is
//! room for one more.
//!
//! Anybody who may push can make up URLs, so there is a bound. It is a soft one: pushes that are
//! under way together may pass it by their number. A URL is forgotten when nothing stored refers
//! to it any more, but only when there are many; a handful costs nothing.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::{Connection, params};

use crate::event::Route;
use crate::inbox::MOST_ROUTES;

const HOUR: i64 = 3_600_000_000;

#[derive(Debug, Default)]
pub(super) struct Routes {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    ids: HashMap<Route, i64>,
    /// With the time of use that is stored, in microseconds: an hour behind at most.
    routes: HashMap<i64, (Route, i64)>,
}

impl Routes {
    /// Whether an event of `route` can be stored.
    pub(super) fn takes(&self, route: &Route) -> bool {
        let table = self.read();
        table.ids.len() < MOST_ROUTES || table.ids.contains_key(route)
    }

    /// Reads all of them, instead of what was known.
    pub(super) fn load(&self, sql: &Connection) -> rusqlite::Result<()> {
        let mut table = Table::default();
        let mut routes = sql.prepare("SELECT id, tag, query, used FROM routes")?;
        let mut rows = routes.query([])?;
        while let Some(row) = rows.next()? {
            let route = Route {
                tag: row.get(1)?,
                query: row.get(2)?,
            };
            table.remember(row.get(0)?, route, row.get(3)?);
        }
        *self.write() = table;
        Ok(())
    }

    /// The number of `route`, given out when it is new.
    pub(super) fn id(&self, sql: &Connection, route: &Route, now: i64) -> rusqlite::Result<i64> {
        let known = {
            let table = self.read();
            table.ids.get(route).map(|id| (*id, table.used(*id)))
        };
        match known {
            Some((id, used)) => {
                if now.saturating_sub(used) > HOUR {
                    sql.prepare_cached("UPDATE routes SET used = ?2 WHERE id = ?1")?
                        .execute(params![id, now])?;
                    self.write().remember(id, route.clone(), now);
                }
                Ok(id)
            }
            None => {
                sql.execute(
                    "INSERT INTO routes (tag, query, used) VALUES (?1, ?2, ?3)",
                    params![route.tag, route.query, now],
                )?;
                let id = sql.last_insert_rowid();
                self.write().remember(id, route.clone(), now);
                Ok(id)
            }
        }
    }

    pub(super) fn route(&self, id: i64) -> Route {
        let table = self.read();
        table
            .routes
            .get(&id)
            .map(|(route, _)| route.clone())
            .unwrap_or_default()
    }

    /// Deletes those last used before `cutoff` that neither a subject nor an event refers to, and
    /// returns their numbers, to be forgotten once that is committed.
    pub(super) fn delete_unused(
        &self,
        sql: &Connection,
        cutoff: i64,
    ) -> rusqlite::Result<Vec<i64>> {
        if self.read().ids.len() <= MOST_ROUTES / 2 {
            return Ok(Vec::new());
        }
        // Events are stored in the order in which they came: where the oldest one is younger than
        // the last use, there is none.
        sql.prepare_cached(
            "DELETE FROM routes WHERE used < ?1 \
             AND NOT EXISTS (SELECT 1 FROM (SELECT received FROM events ORDER BY seq LIMIT 1) \
             WHERE received <= routes.used + ?2) \
             AND id NOT IN (SELECT route FROM subjects) RETURNING id",
        )?
        .query_map(params![cutoff, 2 * HOUR], |row| row.get(0))?
        .collect()
    }

    pub(super) fn forget(&self, ids: &[i64]) {
        if ids.is_empty() {
            return;
        }
        let mut table = self.write();
        for id in ids {
            if let Some((route, _)) = table.routes.remove(id) {
                table.ids.remove(&route);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn used(&self, id: i64) -> i64 {
        self.routes.get(&id).map_or(0, |(_, used)| *used)
    }

    fn remember(&mut self, id: i64, route: Route, used: i64) {
        self.ids.insert(route.clone(), id);
        self.routes.insert(id, (route, used));
    }
}
