//! A lane as a list: where a delivery stands in it, and how one leaves.
//!
//! A lane's deliveries are linked both ways, so that one may leave from anywhere at the same cost,
//! and what stays keeps its order.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::inbox::{Seq, SinkId};

/// Where an unsettled delivery stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    lane: i64,
    head: bool,
    /// The lane's head is leased until then, or was.
    leased_until: Option<i64>,
}

impl Place {
    /// Whether an attempt of this very delivery may be under way at `now`.
    pub(super) fn is_leased(self, now: i64) -> bool {
        self.head && self.leased_until.is_some_and(|until| until > now)
    }
}

/// The place of an unsettled delivery; `None` when it is in no lane.
///
/// A lane of its own, which has the negative position for a number, comes before its subject's.
pub(super) fn place(sql: &Connection, seq: Seq, sink: SinkId) -> rusqlite::Result<Option<Place>> {
    sql.prepare_cached(
        "SELECT lane, head = ?1, CASE leased WHEN 1 THEN available END FROM lanes \
         WHERE sink = ?2 AND lane IN (-?1, (SELECT lane FROM events WHERE seq = ?1)) \
         ORDER BY lane LIMIT 1",
    )?
    .query_row(params![seq.0, sink.0], |row| {
        Ok(Place {
            lane: row.get(0)?,
            head: row.get(1)?,
            leased_until: row.get(2)?,
        })
    })
    .optional()
}

/// Takes an unsettled delivery out of its lane; one behind it is due at once if it now comes first.
pub(super) fn unlink(sql: &Connection, seq: Seq, sink: SinkId, now: i64) -> rusqlite::Result<()> {
    let Some(place) = place(sql, seq, sink)? else {
        return Ok(());
    };
    let (before, behind): (Option<i64>, Option<i64>) = sql
        .prepare_cached("SELECT previous, next FROM deliveries WHERE seq = ?1 AND sink = ?2")?
        .query_row(params![seq.0, sink.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let before = before.filter(|_| !place.head);
    if let Some(before) = before {
        sql.prepare_cached("UPDATE deliveries SET next = ?3 WHERE seq = ?1 AND sink = ?2")?
            .execute(params![before, sink.0, behind])?;
    }
    if let Some(behind) = behind {
        sql.prepare_cached("UPDATE deliveries SET previous = ?3 WHERE seq = ?1 AND sink = ?2")?
            .execute(params![behind, sink.0, before])?;
    }
    let lane = (sink.0, place.lane);
    match (place.head, behind) {
        (true, Some(behind)) => sql
            .prepare_cached(
                "UPDATE lanes SET head = ?3, leased = 0, available = ?4, token = NULL \
                 WHERE sink = ?1 AND lane = ?2",
            )?
            .execute(params![lane.0, lane.1, behind, now])?,
        (true, None) => sql
            .prepare_cached("DELETE FROM lanes WHERE sink = ?1 AND lane = ?2")?
            .execute(params![lane.0, lane.1])?,
        (false, Some(_)) => 0,
        (false, None) => sql
            .prepare_cached("UPDATE lanes SET tail = ?3 WHERE sink = ?1 AND lane = ?2")?
            .execute(params![lane.0, lane.1, before])?,
    };
    Ok(())
}
