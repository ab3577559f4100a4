//! Room for events: the cap, less what the database takes.
//!
//! There is no file system to look at, and removing events makes no table smaller: it makes room
//! inside for those to come. So what this process removed counts as free until about as much came
//! in again; otherwise more and more would be removed for room that is there already.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::GenericClient;
use tokio_postgres::error::SqlState;

use super::error::Failure;
use super::sql;
use crate::inbox::Space;

/// How long a measured size is believed: measuring looks at each of the database's files.
const BELIEVED: Duration = Duration::from_secs(10);

/// Remembers the database's size between two looks at it.
#[derive(Debug, Default)]
pub(super) struct Meter {
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    measured: Option<(Instant, Measure)>,
    /// Bytes removed and, as far as is known, not used again.
    freed: u64,
}

/// The database at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    size: u64,
    /// The newest position given out.
    position: i64,
    /// Bytes of a newest event's body.
    body: u64,
}

impl Meter {
    /// Notes that bodies of so many bytes were removed.
    pub(super) fn freed(&self, bytes: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.freed = known.freed.saturating_add(bytes);
    }

    /// The room under a cap of `max_size` bytes; zero means that there is no cap.
    pub(super) async fn space(
        &self,
        client: &(impl GenericClient + Sync),
        max_size: u64,
    ) -> Result<Space, Failure> {
        let known = match self.recent() {
            Some(known) => known,
            None => {
                let measure = measure(client).await?;
                self.note(measure)
            }
        };
        Ok(room(known, max_size))
    }

    fn recent(&self) -> Option<Known> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, _) = known.measured?;
        (at.elapsed() < BELIEVED).then_some(known)
    }

    fn note(&self, measure: Measure) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, before)) = known.measured {
            known.freed = still_free(known.freed, before, measure);
        }
        known.measured = Some((Instant::now(), measure));
        *known
    }
}

/// What is left of `freed` bytes inside the tables, now that `now` was measured.
fn still_free(freed: u64, before: Measure, now: Measure) -> u64 {
    let events = u64::try_from(now.position - before.position).unwrap_or_default();
    let came = events.saturating_mul(now.body);
    let given_back = before.size.saturating_sub(now.size);
    freed.saturating_sub(came).saturating_sub(given_back)
}

fn room(known: Known, max_size: u64) -> Space {
    let store = known.measured.map_or(0, |(_, measure)| measure.size);
    let (total, free) = match max_size {
        0 => (u64::MAX, None),
        cap => {
            let taken = store.saturating_sub(known.freed);
            (cap, Some(cap.saturating_sub(taken)))
        }
    };
    Space {
        total,
        store,
        free,
        ..Space::default()
    }
}

async fn measure(client: &(impl GenericClient + Sync)) -> Result<Measure, Failure> {
    let asked = "SELECT pg_database_size(current_database())";
    let size: i64 = match client.query_typed(asked, &[]).await {
        Ok(rows) => rows.first().map_or(Ok(0), |row| row.try_get(0))?,
        // Other engines do not know how large they are.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => 0,
        Err(error) => return Err(error.into()),
    };
    let newest = sql::row(
        client,
        "SELECT max(seq), coalesce(avg(bytes), 0)::bigint FROM \
         (SELECT seq, length(body) AS bytes FROM events ORDER BY seq DESC LIMIT 100) AS newest",
        &[],
    )
    .await?;
    let (position, body): (Option<i64>, i64) = match newest {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (None, 0),
    };
    Ok(Measure {
        size: u64::try_from(size).unwrap_or_default(),
        position: position.unwrap_or_default(),
        body: u64::try_from(body).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(size: u64, freed: u64) -> Known {
        let measure = Measure {
            size,
            ..Measure::default()
        };
        Known {
            measured: Some((Instant::now(), measure)),
            freed,
        }
    }

    #[test]
    fn without_a_cap_the_room_is_not_known_and_taken_to_be_there() {
        let space = room(known(1000, 0), 0);
        assert_eq!((space.store, space.free), (1000, None));
        assert!(space.has(u64::MAX));
    }

    #[test]
    fn what_was_removed_counts_as_room_under_the_cap() {
        assert_eq!(room(known(1000, 0), 1500).free, Some(500));
        assert_eq!(room(known(1000, 200), 1500).free, Some(700));
        assert_eq!(room(known(2000, 0), 1500).free, Some(0));
    }

    #[test]
    fn what_was_removed_is_room_until_as_much_came_in_again() {
        let before = Measure {
            size: 1000,
            position: 10,
            body: 7,
        };
        let after = |position, size| Measure {
            size,
            position,
            body: 5,
        };
        assert_eq!(still_free(100, before, after(10, 1000)), 100);
        assert_eq!(still_free(100, before, after(14, 1200)), 80);
        assert_eq!(still_free(100, before, after(10, 970)), 70, "given back");
        assert_eq!(still_free(100, before, after(99, 1000)), 0);
        assert_eq!(still_free(100, before, after(3, 1000)), 100);
    }
}
