//! The URLs pushes came to, in memory: numbers for the events, and whether there is room for one more.
//!
//! Every replica has its own memory of them; the database decides. A URL that was not used for an
//! hour is touched before it is used again, so that none is forgotten under an event that refers to
//! it. The bound is a soft one, as each replica counts what it knows.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::error::Failure;
use super::session::{Call, Session};
use crate::event::Route;
use crate::inbox::MOST_ROUTES;

const HOUR: i64 = 3_600_000_000;

#[derive(Debug, Default)]
pub(super) struct Routes {
    table: RwLock<HashMap<Route, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: i64,
    /// The time of use that is stored, in microseconds: an hour behind at most.
    used: i64,
}

impl Routes {
    /// Whether an event of `route` can be stored.
    pub(super) fn takes(&self, route: &Route) -> bool {
        let table = self.read();
        table.len() < MOST_ROUTES || table.contains_key(route)
    }

    /// Reads all of them.
    pub(super) async fn load(&self, session: &mut Session) -> Result<(), Failure> {
        let rows = session
            .one(Call::new("SELECT id, used, tag, query FROM routes"))
            .await?;
        let mut table = HashMap::with_capacity(rows.len());
        for row in rows {
            let route = route(row.try_get(2)?, row.try_get(3)?);
            let (id, used) = (row.try_get(0)?, row.try_get(1)?);
            table.insert(route, Known { id, used });
        }
        *self.write() = table;
        Ok(())
    }

    /// The numbers of `routes`, given out where they are new. Before the transaction that uses them.
    pub(super) async fn ids<'r>(
        &self,
        session: &mut Session,
        routes: impl Iterator<Item = &'r Route>,
        now: i64,
    ) -> Result<HashMap<&'r Route, i64>, Failure> {
        let mut ids = HashMap::new();
        let mut stale = Vec::new();
        {
            let table = self.read();
            for route in routes {
                match table.get(route) {
                    Some(known) if now.saturating_sub(known.used) <= HOUR => {
                        ids.insert(route, known.id);
                    }
                    _ => {
                        if ids.insert(route, 0).is_none() {
                            stale.push(route);
                        }
                    }
                }
            }
        }
        if stale.is_empty() {
            return Ok(ids);
        }
        // Sorted, so that replicas which learn of the same ones do not wait for each other in a ring.
        stale.sort();
        let found = give_out(session, &stale, now).await?;
        let mut table = self.write();
        for route in stale {
            let id = *found
                .get(route)
                .ok_or_else(|| Failure::Again("a route vanished while it was made".to_owned()))?;
            table.insert(route.clone(), Known { id, used: now });
            ids.insert(route, id);
        }
        Ok(ids)
    }

    /// Forgets what was deleted from the database.
    pub(super) fn forget(&self, ids: &[i64]) {
        if !ids.is_empty() {
            self.write().retain(|_, known| !ids.contains(&known.id));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Route, Known>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Route, Known>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes or touches `routes`, and says their numbers.
async fn give_out(
    session: &mut Session,
    routes: &[&Route],
    now: i64,
) -> Result<HashMap<Route, i64>, Failure> {
    let tags: Vec<Option<&str>> = routes.iter().map(|route| route.tag.as_deref()).collect();
    let queries: Vec<Option<&str>> = routes.iter().map(|route| route.query.as_deref()).collect();
    let call = Call::new(
        "INSERT INTO routes AS r (tag, query, used) \
         SELECT u.tag, u.query, $3 FROM unnest($1, $2) AS u (tag, query) \
         ON CONFLICT ((coalesce(tag, '')), (coalesce(query, '')), (tag IS NULL), (query IS NULL)) \
         DO UPDATE SET used = greatest(r.used, excluded.used) RETURNING id, tag, query",
    )
    .with(tags)
    .with(queries)
    .with(now);
    let rows = session.one(call).await?;
    rows.iter()
        .map(|row| Ok((route(row.try_get(1)?, row.try_get(2)?), row.try_get(0)?)))
        .collect()
}

/// The route with these columns.
pub(super) fn route(tag: Option<String>, query: Option<String>) -> Route {
    Route {
        tag: tag.map(Into::into),
        query: query.map(Into::into),
    }
}
