//! Numbers about the inbox, asked every few seconds: sums that are kept, and bounded looks.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::timestamp;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::postgres::tally;
use crate::inbox::query::{Counts, SinkCounts};
use crate::inbox::{Seq, SinkId};

/// Lanes and shared leases looked at, of each kind, for the oldest delivery that waits.
const LANES: i64 = 1000;
/// Dead letters of a sink that are counted; where there are more, so many are reported.
const DEAD: i64 = 1_000_000;

/// The oldest head among the lanes of `sink`, whose number this is in SQL, and what is under its
/// oldest shared leases: among all, where they are few. Where they are many, among those whose leases
/// end first, that fall due first, as what was never tried does in the order in which it came, and
/// that fall due last, as what was tried most often does.
fn oldest(sink: &str) -> String {
    let some = |leased: &str, order: &str| {
        format!(
            "(SELECT head FROM lanes WHERE sink = {sink} AND {leased} \
             ORDER BY available {order}, head {order} LIMIT {LANES})"
        )
    };
    let shared = format!(
        "(SELECT first.seq FROM leases l CROSS JOIN LATERAL (SELECT d.seq FROM deliveries d \
         WHERE d.seq BETWEEN l.id AND l.upto AND d.sink = l.sink AND d.lease = l.id \
         ORDER BY d.seq LIMIT 1) AS first WHERE l.sink = {sink} ORDER BY l.id LIMIT {LANES})"
    );
    format!(
        "SELECT min(head) FROM ({} UNION ALL {} UNION ALL {} UNION ALL {shared}) AS heads",
        some("leased", "ASC"),
        some("NOT leased", "ASC"),
        some("NOT leased", "DESC"),
    )
}

/// The position of the oldest delivery that waits for a sink, or runs; an old one, where there are
/// very many.
pub(in crate::inbox::postgres) async fn oldest_head(
    client: &(impl GenericClient + Sync),
    sink: SinkId,
) -> Result<Option<i64>, Failure> {
    let head = sql::row(client, &oldest("$1"), &[(&sink.0, Type::INT8)]).await?;
    Ok(head.map_or(Ok(None), |row| row.try_get(0))?)
}

pub(in crate::inbox::postgres) async fn counts(
    client: &(impl GenericClient + Sync),
) -> Result<Counts, Failure> {
    let sums = tally::sums(client).await?;
    let sum = |sink: i64| sums.get(&sink).copied().unwrap_or_default();
    let mut counts = Counts {
        events: sum(tally::EVENTS),
        ..Counts::default()
    };
    let singles = "SELECT (SELECT max(seq) FROM events), (SELECT count(*) FROM unreadable)";
    if let Some(row) = sql::row(client, singles, &[]).await? {
        counts.last_seq = row.try_get::<_, Option<i64>>(0)?.map(Seq);
        counts.unreadable = number(&row, 1)?;
    }
    let statement = format!(
        "SELECT s.id, s.name, s.held_until, \
         (SELECT received FROM events WHERE seq = ({})), \
         (SELECT count(*) FROM (SELECT 1 FROM deliveries \
         WHERE sink = s.id AND dead LIMIT {DEAD}) AS dead) FROM sinks s",
        oldest("s.id")
    );
    for row in sql::rows(client, &statement, &[]).await? {
        counts.sinks.push(SinkCounts {
            sink: row.try_get(1)?,
            pending: sum(row.try_get(0)?),
            held_until: row.try_get::<_, Option<i64>>(2)?.map(timestamp),
            oldest_pending_at: row.try_get::<_, Option<i64>>(3)?.map(timestamp),
            dead: number(&row, 4)?,
        });
    }
    counts.sinks.sort_by(|a, b| a.sink.cmp(&b.sink));
    Ok(counts)
}

fn number(row: &Row, column: usize) -> Result<u64, Failure> {
    let number: i64 = row.try_get(column)?;
    Ok(u64::try_from(number).unwrap_or_default())
}
