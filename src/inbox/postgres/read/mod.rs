//! What people ask of the store: lists and single rows, never more than a bounded look at a time.
//!
//! Positions follow arrival by and large, not exactly: what a replica kept aside during an outage
//! comes late, with the time at which it arrived. So a list that is bounded in time does not end at
//! the first event too old, but where a whole stretch holds none that is young enough.

mod candidates;
mod chains;
mod counts;
mod deliveries;
mod events;
mod event_rows;
mod follow;
mod horizon;
mod latest;
mod rates;
mod selection;
mod sift;
mod subjects;
mod unreadables;

use jiff::Timestamp;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::error::Failure;
use super::sql;
use super::time::timestamp;
use crate::envelope;
use crate::inbox::InboxError;

pub(in crate::inbox::postgres) use self::candidates::candidates;
pub(in crate::inbox::postgres) use self::counts::{counts, oldest_head};
pub(in crate::inbox::postgres) use self::deliveries::deliveries;
pub(in crate::inbox::postgres) use self::events::{event, events};
pub(in crate::inbox::postgres) use self::follow::follow;
pub(in crate::inbox::postgres) use self::horizon::{Positions, horizon};
pub(in crate::inbox::postgres) use self::latest::latest;
pub(in crate::inbox::postgres) use self::rates::exhausted;
pub(in crate::inbox::postgres) use self::sift::{bodies, sift};
pub(in crate::inbox::postgres) use self::subjects::subjects;
pub(in crate::inbox::postgres) use self::unreadables::{unreadable, unreadables};
pub(in crate::inbox::postgres) use crate::inbox::numbers::{
    OUTCOME_ACCEPTED, OUTCOME_STALE, STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED, STATE_PENDING,
    STATE_SUPERSEDED, origin, origin_number,
};

/// Rows looked at for one page when no index leads to them; the cursor goes on from there.
const LOOKED_AT: i64 = 20_000;

/// The newest event before the one at `end`, where a list that looked at everything down to that
/// goes on; `None` when nothing more of it is there to be found.
async fn next_below(
    client: &(impl GenericClient + Sync),
    end: i64,
    since: Option<Timestamp>,
) -> Result<Option<i64>, Failure> {
    let below = match since {
        None => {
            sql::row(
                client,
                "SELECT max(seq) FROM events WHERE seq < $1",
                &[(&end, Type::INT8)],
            )
            .await?
        }
        Some(since) => {
            sql::row(
                client,
                "SELECT max(seq) FROM (SELECT seq, received FROM events WHERE seq < $1 \
                 ORDER BY seq DESC LIMIT $2) AS w WHERE received >= $3",
                &[
                    (&end, Type::INT8),
                    (&LOOKED_AT, Type::INT8),
                    (&since.as_microsecond(), Type::INT8),
                ],
            )
            .await?
        }
    };
    Ok(below.map_or(Ok(None), |row| row.try_get(0))?)
}

/// The positions of the events that were stored under an id, on any route: the first half of a key
/// is made of the id alone.
async fn seqs_of_id(
    client: &(impl GenericClient + Sync),
    event_id: &str,
) -> Result<Vec<i64>, Failure> {
    let prefix = envelope::id_prefix(event_id);
    let low = [&prefix[..], &[0; 8]].concat();
    let high = [&prefix[..], &[0xFF; 8]].concat();
    let found = sql::rows(
        client,
        "SELECT seq FROM keys WHERE key BETWEEN $1 AND $2 LIMIT $3",
        &[
            (&low, Type::BYTEA),
            (&high, Type::BYTEA),
            (&LOOKED_AT, Type::INT8),
        ],
    )
    .await?;
    let seqs = found.iter().map(|row| row.try_get(0));
    Ok(seqs.collect::<Result<Vec<_>, _>>()?)
}

/// Fails for what no page ever gave out, rather than begin anew.
fn cursor(text: Option<&str>) -> Result<Option<i64>, Failure> {
    text.map(str::parse)
        .transpose()
        .map_err(|_not_ours| no_such_place())
}

fn no_such_place() -> Failure {
    Failure::Final(InboxError::Refused("no page ends there".to_owned()))
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
