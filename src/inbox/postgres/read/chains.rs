//! The events of one subject, along the chain from its newest event back, on every route.

use std::collections::VecDeque;

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::event_rows::{EVENT_COLUMNS, EVENT_WIDTH, event_row};
use super::no_such_place;
use super::subjects::subject_rows;
use crate::inbox::cursor::Heads;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{EventFilter, EventRow, Page};

/// Events of a chain followed at a time.
const FOLLOWED: i64 = 200;
/// Events looked at for one page.
const LOOKED_AT: usize = 2_000;

/// What is left of the events of a subject on one route.
struct Chain {
    /// Read, newest first, and not yet looked at.
    read: VecDeque<EventRow>,
    /// What is to be read next.
    at: Option<i64>,
}

impl Chain {
    /// The position of its newest event that is left.
    fn head(&self) -> Option<i64> {
        let read = self.read.front().map(|row| row.seq.0);
        read.or(self.at)
    }
}

/// Newest first over all chains, from where the page before left each of them.
pub(super) async fn by_subject(
    client: &(impl GenericClient + Sync),
    filter: &EventFilter,
) -> Result<Page<EventRow>, Failure> {
    let heads = begin(client, filter).await?;
    let unread = |at: i64| Chain {
        read: VecDeque::new(),
        at: Some(at),
    };
    let mut chains: Vec<Chain> = heads.into_iter().map(unread).collect();
    let mut items = Vec::new();
    let mut looked_at = 0;
    while items.len() < filter.limit && looked_at < LOOKED_AT {
        let Some(chain) = chains.iter_mut().max_by_key(|chain| chain.head()) else {
            break;
        };
        if let Some(row) = chain.read.pop_front() {
            looked_at += 1;
            if filter.matches(&row) {
                items.push(row);
            }
            continue;
        }
        let Some(at) = chain.at else {
            break;
        };
        let (rows, previous) = follow(client, at).await?;
        chain.read = rows.into();
        chain.at = previous;
    }
    let left = chains.iter().filter_map(Chain::head).collect();
    let next_cursor = Heads(left).to_cursor();
    Ok(Page { items, next_cursor })
}

/// Where to begin in each chain: at its newest event, or at that of the heads that were left which is
/// in it; nowhere, when none is.
async fn begin(
    client: &(impl GenericClient + Sync),
    filter: &EventFilter,
) -> Result<Vec<i64>, Failure> {
    let left = match &filter.cursor {
        Some(cursor) => Some(Heads::parse(cursor).ok_or_else(no_such_place)?),
        None => None,
    };
    let subject = filter.subject.as_ref().map(ToString::to_string);
    let rows = subject_rows(client, &subject.unwrap_or_default()).await?;
    let newest: Vec<i64> = rows.iter().map(|row| row.last_seq.0).collect();
    let Some(Heads(left)) = left else {
        return Ok(newest);
    };
    // Each is looked up by its position, whatever the statistics say.
    let found = sql::rows(
        client,
        "SELECT h.seq FROM unnest($1::bigint[]) AS n (seq) CROSS JOIN LATERAL (\
         SELECT lane FROM events WHERE seq = n.seq LIMIT 1) AS e \
         CROSS JOIN unnest($2::bigint[]) AS l (seq) CROSS JOIN LATERAL (\
         SELECT seq FROM events WHERE seq = l.seq AND lane = e.lane LIMIT 1) AS h",
        &[(&newest, Type::INT8_ARRAY), (&left, Type::INT8_ARRAY)],
    )
    .await?;
    let heads = found.iter().map(|row| row.try_get(0));
    Ok(heads.collect::<Result<Vec<i64>, _>>()?)
}

/// A stretch of a chain from `seq` back, and where it goes on.
async fn follow(
    client: &(impl GenericClient + Sync),
    seq: i64,
) -> Result<(Vec<EventRow>, Option<i64>), Failure> {
    let found = sql::rows(
        client,
        &format!(
            "WITH RECURSIVE chain (seq, previous, n) AS (\
             SELECT seq, previous, 1::bigint FROM events WHERE seq = $1 UNION ALL \
             SELECT e.seq, e.previous, chain.n + 1 FROM chain \
             JOIN events e ON e.seq = chain.previous WHERE chain.n < $2) \
             SELECT {EVENT_COLUMNS}, e.previous FROM chain JOIN events e ON e.seq = chain.seq \
             LEFT JOIN routes r ON r.id = e.route ORDER BY chain.n"
        ),
        &[(&seq, Type::INT8), (&FOLLOWED, Type::INT8)],
    )
    .await?;
    let rows = found.iter().map(event_row).collect::<Result<Vec<_>, _>>()?;
    let whole = i64::try_from(rows.len()) == Ok(FOLLOWED);
    let previous = match found.last() {
        Some(row) if whole => row.try_get(EVENT_WIDTH)?,
        _ => None,
    };
    Ok((rows, previous))
}
