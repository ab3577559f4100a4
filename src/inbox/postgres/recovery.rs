//! How far the sender's history was read, and what of it was dealt with.

use std::collections::HashSet;

use jiff::Timestamp;

use super::error::Failure;
use super::session::{COMMIT, Call, Script, Session};
use super::{SHORT, time};
use crate::inbox::{Mark, RecordId};

pub(super) async fn mark(session: &mut Session) -> Result<Option<Mark>, Failure> {
    let rows = session
        .one(Call::new(
            "SELECT (SELECT value FROM meta WHERE key = 'recovery_begun'), \
             (SELECT value FROM meta WHERE key = 'recovery_reached')",
        ))
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (begun, reached): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(begun.zip(reached).map(|(begun, reached)| Mark {
        begun: time::timestamp(begun),
        reached: time::timestamp(reached),
    }))
}

pub(super) async fn handled(
    session: &mut Session,
    records: &[RecordId],
) -> Result<Vec<bool>, Failure> {
    let call = Call::new("SELECT id FROM recovered WHERE id = ANY($1)").with(ids(records));
    let rows = session.one(call).await?;
    let mut known = HashSet::with_capacity(rows.len());
    for row in &rows {
        known.insert(row.try_get::<_, &[u8]>(0)?);
    }
    let is_known = |record: &RecordId| known.contains(record.0.as_slice());
    Ok(records.iter().map(is_known).collect())
}

pub(super) async fn remember(
    session: &mut Session,
    records: &[RecordId],
    reached: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Failure> {
    // Sorted, so that two replicas at it do not wait for each other.
    let mut sorted = records.to_vec();
    sorted.sort_unstable();
    let mut script = Script::default();
    script.add(Call::plain(SHORT));
    script.add(
        Call::new(
            "INSERT INTO recovered (id, handled) SELECT u.id, $2 FROM unnest($1) AS u (id) \
             ON CONFLICT DO NOTHING",
        )
        .with(ids(&sorted))
        .with(now.as_microsecond()),
    );
    if let Some(reached) = reached {
        // The first time reading begins there.
        script.add(
            Call::new(
                "INSERT INTO meta (key, value) VALUES ('recovery_begun', $1) \
                 ON CONFLICT (key) DO NOTHING",
            )
            .with(reached.as_microsecond()),
        );
        script.add(
            Call::new(
                "INSERT INTO meta (key, value) VALUES ('recovery_reached', $1) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .with(reached.as_microsecond()),
        );
    }
    script.add(Call::plain(COMMIT));
    session.run(&script).await.map(drop)
}

fn ids(records: &[RecordId]) -> Vec<&[u8]> {
    records.iter().map(|record| record.0.as_slice()).collect()
}
