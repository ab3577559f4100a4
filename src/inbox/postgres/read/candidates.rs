//! What a person may change, oldest first: a replay goes to the end of its lane, so that only this
//! order keeps a subject's events in theirs.

use tokio_postgres::{GenericClient, Row};

use super::deliveries::LANES;
use super::selection::{Selection, Way, deliveries_of, is_narrow, last_looked_at, newest, place};
use super::{limit, timestamp};
use crate::inbox::cursor::{Place, cut};
use crate::inbox::numbers::{OUTCOME_STALE, state};
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{Candidate, DeliveryFilter, Page};
use crate::inbox::{Seq, SinkId};

const COLUMNS: &str = "e.seq, s.id, s.name, d.state, coalesce(l.leased, false), e.event_id, \
     e.event_type, e.command, e.outcome, CASE WHEN l.leased THEN l.available END";

pub(in crate::inbox::postgres) async fn candidates(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
    create: bool,
) -> Result<Page<Candidate>, Failure> {
    let last = newest(client, filter).await?;
    let from = match &filter.cursor {
        Some(cursor) => place(cursor)?,
        None => Place::before(0),
    };
    let end = last_looked_at(client, filter, (from.seq, Way::OldestFirst)).await?;
    let end = end.map_or(last, |end| end.min(last));
    let (statement, given) = statement(client, filter, (create, from, end)).await?;
    let found = sql::rows(client, &statement, &given.values()).await?;
    let mut items = found.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
    let end_of = |row: &Candidate| Place::of(row.seq, row.sink.0);
    let next = cut(&mut items, filter.limit, end_of);
    let next = next.or_else(|| (end < last).then(|| Place::before(end + 1)));
    Ok(Page {
        items,
        next_cursor: next.map(Place::to_cursor),
    })
}

/// Events lead where some have no delivery; deliveries lead otherwise, along their own index.
async fn statement(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
    (create, from, end): (bool, Place, i64),
) -> Result<(String, Selection), Failure> {
    let (seq, sink) = if create {
        ("e.seq", "s.id")
    } else {
        ("d.seq", "d.sink")
    };
    let mut given = Selection::of(client, filter, seq).await?;
    let (first, behind) = (given.bind_number(from.seq), given.bind_number(from.sink));
    let end = given.bind_number(end);
    let tables = if create {
        let name = match &filter.sink {
            Some(name) => given.bind_text(name),
            None => "NULL".to_owned(),
        };
        format!(
            "events e JOIN sinks s ON s.name = {name} LEFT JOIN LATERAL (\
             SELECT seq, sink, state, lease FROM deliveries WHERE seq = e.seq AND sink = s.id LIMIT 1) \
             AS d ON true {LANES}"
        )
    } else {
        let sink = given.and_sink(filter);
        let found = deliveries_of(sink.as_deref(), filter, (&first, &end), Way::OldestFirst);
        format!("{found} JOIN events e ON e.seq = d.seq JOIN sinks s ON s.id = d.sink {LANES}")
    };
    given.and(&format!(
        "{seq} >= {first} AND ({seq} > {first} OR {sink} > {behind}) AND {seq} <= {end}"
    ));
    if !is_narrow(filter) {
        // Said of the events, too, so that no plan reads all of them.
        given.and(&format!("e.seq BETWEEN {first} AND {end}"));
    }
    let statement = format!(
        "SELECT {COLUMNS} FROM {tables} WHERE {} ORDER BY {seq}, {sink} LIMIT {}",
        given.text(),
        limit(filter.limit.saturating_add(1))
    );
    Ok((statement, given))
}

fn candidate(row: &Row) -> Result<Candidate, tokio_postgres::Error> {
    let leased = row.try_get(4)?;
    let outcome: i16 = row.try_get(8)?;
    Ok(Candidate {
        seq: Seq(row.try_get(0)?),
        sink: SinkId(row.try_get(1)?),
        name: row.try_get(2)?,
        state: row
            .try_get::<_, Option<i16>>(3)?
            .map(|number| state(number, leased)),
        leased_until: row.try_get::<_, Option<i64>>(9)?.map(timestamp),
        event_id: row.try_get(5)?,
        event_type: row.try_get(6)?,
        command: row.try_get(7)?,
        stale: outcome == OUTCOME_STALE,
    })
}
