//! What the newest events in time of some subjects are.

use bytes::Bytes;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use crate::inbox::latest::{LONGEST, LOOKED_AT};
use crate::inbox::numbers::OUTCOME_STALE;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::{Latest, Seq};

/// Each event and each body is looked up by its position, whatever the statistics say: joined in one
/// piece, the table could seem worth reading as a whole.
pub(in crate::inbox::postgres) async fn latest(
    client: &(impl GenericClient + Sync),
    newest: &[Seq],
) -> Result<Vec<Latest>, Failure> {
    let newest: Vec<i64> = newest.iter().map(|seq| seq.0).collect();
    let found = sql::rows(
        client,
        &format!(
            "WITH RECURSIVE chain (newest, seq, n) AS (\
             SELECT w.seq, w.seq, 1::bigint FROM unnest($1::bigint[]) AS w (seq) UNION ALL \
             SELECT c.newest, e.previous, c.n + 1 FROM chain c CROSS JOIN LATERAL (\
             SELECT previous FROM events WHERE seq = c.seq AND outcome = {OUTCOME_STALE} LIMIT 1\
             ) AS e WHERE c.n < $2) \
             SELECT c.newest, e.seq, e.event_type, e.body FROM chain c CROSS JOIN LATERAL (\
             SELECT seq, event_type, CASE WHEN length(body) <= $3 THEN body END AS body \
             FROM events WHERE seq = c.seq AND outcome <> {OUTCOME_STALE} LIMIT 1) AS e"
        ),
        &[
            (&newest, Type::INT8_ARRAY),
            (&LOOKED_AT, Type::INT8),
            (&LONGEST, Type::INT8),
        ],
    )
    .await?;
    Ok(found.iter().map(in_time).collect::<Result<Vec<_>, _>>()?)
}

fn in_time(row: &Row) -> Result<Latest, tokio_postgres::Error> {
    let body: Option<Vec<u8>> = row.try_get(3)?;
    Ok(Latest {
        newest: Seq(row.try_get(0)?),
        seq: Seq(row.try_get(1)?),
        event_type: row.try_get(2)?,
        body: body.map(Bytes::from),
    })
}
