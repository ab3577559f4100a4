//! Lists of events, and single ones.

use bytes::Bytes;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::chains::by_subject;
use super::event_rows::{EVENT_COLUMNS, EVENT_WIDTH, event_row};
use super::selection::Selection;
use super::{LOOKED_AT, cursor, limit, next_below, seqs_of_id};
use crate::event::Route;
use crate::inbox::Seq;
use crate::inbox::cursor::page;
use crate::inbox::numbers::outcome_number;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{EventFilter, EventRow, Page};

pub(in crate::inbox::postgres) async fn event(
    client: &(impl GenericClient + Sync),
    seq: Seq,
) -> Result<Option<(EventRow, Bytes)>, Failure> {
    let found = sql::row(
        client,
        &format!(
            "SELECT {EVENT_COLUMNS}, e.body FROM events e LEFT JOIN routes r ON r.id = e.route \
             WHERE e.seq = $1"
        ),
        &[(&seq.0, Type::INT8)],
    )
    .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let body: Vec<u8> = row.try_get(EVENT_WIDTH)?;
    Ok(Some((event_row(&row)?, Bytes::from(body))))
}

pub(in crate::inbox::postgres) async fn events(
    client: &(impl GenericClient + Sync),
    filter: &EventFilter,
) -> Result<Page<EventRow>, Failure> {
    if let Some(event_id) = &filter.event_id {
        return by_event_id(client, event_id, filter).await;
    }
    if filter.subject.is_some() {
        return by_subject(client, filter).await;
    }
    let from = cursor(filter.cursor.as_deref())?.unwrap_or(i64::MAX);
    let mut given = conditions(filter);
    let (from_here, wanted) = (
        given.bind_number(from),
        given.bind_number(limit(filter.limit)),
    );
    // Both bounds end the walk along the index: neither reads what the other leaves out.
    let found = sql::rows(
        client,
        &format!(
            "SELECT {EVENT_COLUMNS} FROM (SELECT * FROM (SELECT * FROM events \
             WHERE seq <= {from_here} ORDER BY seq DESC LIMIT {LOOKED_AT}) AS w \
             WHERE {} ORDER BY seq DESC LIMIT {wanted}) AS e \
             LEFT JOIN routes r ON r.id = e.route ORDER BY e.seq DESC",
            given.text()
        ),
        &given.values(),
    )
    .await?;
    let items = found.iter().map(event_row).collect::<Result<Vec<_>, _>>()?;
    let next = match items.last() {
        Some(row) if items.len() == filter.limit => Some(row.seq.0 - 1),
        _ => match last_looked_at(client, from).await? {
            Some(end) => next_below(client, end, filter.since).await?,
            None => None,
        },
    };
    Ok(page(items, next.unwrap_or_default()))
}

async fn last_looked_at(
    client: &(impl GenericClient + Sync),
    from: i64,
) -> Result<Option<i64>, Failure> {
    let end = sql::row(
        client,
        "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq <= $1 ORDER BY seq DESC LIMIT $2) \
         AS w",
        &[(&from, Type::INT8), (&LOOKED_AT, Type::INT8)],
    )
    .await?;
    Ok(end.map_or(Ok(None), |row| row.try_get(0))?)
}

pub(super) fn conditions(filter: &EventFilter) -> Selection {
    let mut these = Selection::default();
    if let Some(event_type) = &filter.event_type {
        let event_type = these.bind_text(event_type);
        these.and(&format!("event_type = {event_type}"));
    }
    if let Some(outcome) = filter.outcome {
        these.and(&format!("outcome = {}", outcome_number(outcome)));
    }
    if let Some(since) = filter.since {
        let since = these.bind_number(since.as_microsecond());
        these.and(&format!("received >= {since}"));
    }
    if let Some(until) = filter.until {
        let until = these.bind_number(until.as_microsecond());
        these.and(&format!("received < {until}"));
    }
    if let Some(Route { tag, query }) = &filter.route {
        let mut same = |column: &str, value: Option<&str>| match value {
            Some(value) => format!("{column} = {}", these.bind_text(value)),
            None => format!("{column} IS NULL"),
        };
        let (tag, query) = (same("tag", tag.as_deref()), same("query", query.as_deref()));
        these.and(&format!(
            "route IN (SELECT id FROM routes WHERE {tag} AND {query})"
        ));
    }
    these
}

async fn by_event_id(
    client: &(impl GenericClient + Sync),
    event_id: &str,
    filter: &EventFilter,
) -> Result<Page<EventRow>, Failure> {
    let seqs = seqs_of_id(client, event_id).await?;
    let found = sql::rows(
        client,
        &format!(
            "SELECT {EVENT_COLUMNS} FROM events e LEFT JOIN routes r ON r.id = e.route \
             WHERE e.seq = ANY($1) ORDER BY e.seq DESC LIMIT $2"
        ),
        &[
            (&seqs, Type::INT8_ARRAY),
            (&limit(filter.limit), Type::INT8),
        ],
    )
    .await?;
    let mut items = found.iter().map(event_row).collect::<Result<Vec<_>, _>>()?;
    items.retain(|row| row.event_id.as_deref() == Some(event_id) && filter.matches(row));
    Ok(page(items, 0))
}
