//! A stretch of the events, oldest first.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::event_rows::{EVENT_COLUMNS, event_row};
use super::events::conditions;
use super::{LOOKED_AT, limit};
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::EventFilter;
use crate::inbox::{Followed, Seq, Stretch};

pub(in crate::inbox::postgres) async fn follow(
    client: &(impl GenericClient + Sync),
    stretch: Stretch,
    filter: &EventFilter,
) -> Result<Followed, Failure> {
    let (after, upto) = (stretch.after.0, stretch.upto.0.max(stretch.after.0));
    let mut given = conditions(filter);
    if let Some(subject) = &filter.subject {
        let subject = given.bind_text(&subject.to_string());
        given.and(&format!("subject = {subject}"));
    }
    if let Some(event_id) = &filter.event_id {
        let event_id = given.bind_text(event_id);
        given.and(&format!("event_id = {event_id}"));
    }
    // Found out first: what is removed meanwhile may shorten the way to it, and never lengthens it.
    let end = match given.is_empty() {
        true => upto,
        false => last_looked_at(client, after, upto).await?,
    };
    let behind = given.bind_number(after);
    let up_to = given.bind_number(end);
    let wanted = given.bind_number(limit(filter.limit));
    let found = sql::rows(
        client,
        &format!(
            "SELECT {EVENT_COLUMNS} FROM (SELECT * FROM events \
             WHERE seq > {behind} AND seq <= {up_to} AND {} ORDER BY seq LIMIT {wanted}) AS e \
             LEFT JOIN routes r ON r.id = e.route ORDER BY e.seq",
            given.text()
        ),
        &given.values(),
    )
    .await?;
    let items = found.iter().map(event_row).collect::<Result<Vec<_>, _>>()?;
    let upto = match items.last() {
        Some(row) if items.len() == filter.limit => row.seq,
        _ => Seq(end),
    };
    Ok(Followed {
        items,
        upto,
        // Behind the rows: what goes meanwhile is said rather than left out.
        pruned: last_pruned(client).await?,
    })
}

/// Where a look among events of which few are wanted ends.
async fn last_looked_at(
    client: &(impl GenericClient + Sync),
    after: i64,
    upto: i64,
) -> Result<i64, Failure> {
    let end = sql::row(
        client,
        "SELECT seq FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT 1 OFFSET $3",
        &[
            (&after, Type::INT8),
            (&upto, Type::INT8),
            (&(LOOKED_AT - 1), Type::INT8),
        ],
    )
    .await?;
    Ok(end.map_or(Ok(upto), |row| row.try_get(0))?)
}

async fn last_pruned(client: &(impl GenericClient + Sync)) -> Result<Seq, Failure> {
    let pruned = sql::row(client, "SELECT value FROM meta WHERE key = 'pruned'", &[]).await?;
    Ok(Seq(pruned.map_or(Ok(0), |row| row.try_get(0))?))
}
