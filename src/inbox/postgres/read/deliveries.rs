//! Lists of deliveries, with the attempts that were kept.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::selection::{Selection, Way, deliveries_of, is_narrow, last_looked_at, newest, place};
use super::{limit, next_below, timestamp};
use crate::inbox::Seq;
use crate::inbox::cursor::{Place, cut};
use crate::inbox::numbers::{begun, state};
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{AttemptRow, DeliveryFilter, DeliveryRow, DeliveryState, Page};

const DELIVERY_COLUMNS: &str = "d.seq, s.name, d.state, d.attempts, l.available, d.last_error, \
     d.replay, d.settled, e.event_id, e.event_type, e.subject, coalesce(l.leased, false), d.sink";

/// The lane `l` whose head is the delivery `d` of the event `e`: its subject's, or its own; or the
/// lease that it shares, which is told like a lane. Looked up for each row, so that no plan reads all
/// lanes.
pub(super) const LANES: &str = "LEFT JOIN LATERAL (SELECT leased, available FROM lanes \
     WHERE sink = d.sink AND head = d.seq AND lane IN (e.lane, -d.seq) \
     UNION ALL SELECT true, ends FROM leases WHERE sink = d.sink AND id = d.lease \
     LIMIT 1) AS l ON true";

pub(in crate::inbox::postgres) async fn deliveries(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
) -> Result<Page<DeliveryRow>, Failure> {
    let last = newest(client, filter).await?;
    let from = match &filter.cursor {
        Some(cursor) => place(cursor)?,
        None => Place::before(last),
    };
    let end = last_looked_at(client, filter, (from.seq, Way::NewestFirst)).await?;
    let end = end.unwrap_or(1);
    let (tables, given) = statement(client, filter, (from, last, end)).await?;
    let found = sql::rows(
        client,
        &format!(
            "SELECT {DELIVERY_COLUMNS} FROM {tables} JOIN events e ON e.seq = d.seq \
             JOIN sinks s ON s.id = d.sink {LANES} WHERE {} ORDER BY d.seq DESC, d.sink LIMIT {}",
            given.text(),
            limit(filter.limit.saturating_add(1))
        ),
        &given.values(),
    )
    .await?;
    let mut found = found
        .iter()
        .map(delivery_row)
        .collect::<Result<Vec<_>, _>>()?;
    let end_of = |(row, sink): &(DeliveryRow, i64)| Place::of(row.seq, *sink);
    let next = match cut(&mut found, filter.limit, end_of) {
        Some(next) => Some(next),
        None => next_below(client, end, filter.since)
            .await?
            .map(Place::before),
    };
    let mut items = Vec::with_capacity(found.len());
    for (mut row, sink) in found {
        if filter.seq.is_some() {
            row.history = attempts(client, row.seq, sink).await?;
        }
        items.push(row);
    }
    Ok(Page {
        items,
        next_cursor: next.map(Place::to_cursor),
    })
}

/// Where deliveries are looked for, and which are meant.
async fn statement(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
    (from, last, end): (Place, i64, i64),
) -> Result<(String, Selection), Failure> {
    let mut given = Selection::of(client, filter, "d.seq").await?;
    let of = given.and_sink(filter);
    let upto = given.bind_number(from.seq.min(last));
    let (seq, sink) = (given.bind_number(from.seq), given.bind_number(from.sink));
    let end = given.bind_number(end);
    given.and(&format!(
        "d.seq <= {upto} AND (d.seq < {seq} OR d.sink > {sink}) AND d.seq >= {end}"
    ));
    if !is_narrow(filter) {
        // Said of the events, too, so that no plan reads all of them.
        given.and(&format!("e.seq BETWEEN {end} AND {upto}"));
    }
    let tables = deliveries_of(of.as_deref(), filter, (&end, &upto), Way::NewestFirst);
    Ok((tables, given))
}

fn delivery_row(row: &Row) -> Result<(DeliveryRow, i64), tokio_postgres::Error> {
    let state = state(row.try_get(2)?, row.try_get(11)?);
    let counted: i32 = row.try_get(3)?;
    let counted = u32::try_from(counted).unwrap_or_default();
    let available: Option<i64> = row.try_get(4)?;
    let last_error: Option<String> = row.try_get(5)?;
    Ok((
        DeliveryRow {
            seq: Seq(row.try_get(0)?),
            sink: row.try_get(1)?,
            state,
            attempts: begun(counted, state, last_error.as_deref()),
            due_at: available
                .filter(|_| state == DeliveryState::Pending)
                .map(timestamp),
            last_error,
            replay: row.try_get(6)?,
            settled_at: row.try_get::<_, Option<i64>>(7)?.map(timestamp),
            event_id: row.try_get(8)?,
            event_type: row.try_get(9)?,
            subject: row.try_get(10)?,
            history: Vec::new(),
        },
        row.try_get(12)?,
    ))
}

async fn attempts(
    client: &(impl GenericClient + Sync),
    seq: Seq,
    sink: i64,
) -> Result<Vec<AttemptRow>, Failure> {
    let found = sql::rows(
        client,
        "SELECT n, began, ended, outcome, error, status, answer FROM attempts \
         WHERE seq = $1 AND sink = $2 ORDER BY n",
        &[(&seq.0, Type::INT8), (&sink, Type::INT8)],
    )
    .await?;
    let rows = found.iter().map(|row| {
        let n: i32 = row.try_get(0)?;
        Ok(AttemptRow {
            n: u32::try_from(n).unwrap_or_default(),
            began: row.try_get::<_, Option<i64>>(1)?.map(timestamp),
            ended: timestamp(row.try_get(2)?),
            outcome: row.try_get(3)?,
            error: row.try_get(4)?,
            status: row.try_get(5)?,
            answer: row.try_get(6)?,
        })
    });
    rows.collect()
}
