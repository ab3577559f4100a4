//! Lists of incidents and alerts.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::{cursor, limit, next_below, timestamp};
use crate::inbox::Seq;
use crate::inbox::cursor::page;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::{Page, SubjectFilter, SubjectRow};
use crate::inbox::subject::subject_id;

const SUBJECT_COLUMNS: &str = "s.subject, r.tag, r.query, s.last_time, s.last_seq, s.last_received";

/// Subjects whose ids collide stand next to each other; so far is looked for one.
const NEIGHBOURS: i64 = 8;

/// Events looked at for one page: few, because whoever fills a page asks again and again, and looks
/// at the time in between.
const LOOKED_AT: i64 = 5_000;

pub(in crate::inbox::postgres) async fn subjects(
    client: &(impl GenericClient + Sync),
    filter: &SubjectFilter,
) -> Result<Page<SubjectRow>, Failure> {
    if let Some(subject) = &filter.subject {
        return Ok(page(subject_rows(client, &subject.to_string()).await?, 0));
    }
    // Newest first without an index: the newest events name the subjects changed last.
    let from = cursor(filter.cursor.as_deref())?.unwrap_or(i64::MAX);
    let found = sql::rows(
        client,
        &format!(
            "SELECT {SUBJECT_COLUMNS} FROM (SELECT seq, lane FROM events WHERE seq <= $1 \
             ORDER BY seq DESC LIMIT $2) AS e CROSS JOIN LATERAL (SELECT * FROM subjects \
             WHERE id = e.lane AND last_seq = e.seq LIMIT 1) AS s \
             LEFT JOIN routes r ON r.id = s.route ORDER BY e.seq DESC LIMIT $3"
        ),
        &[
            (&from, Type::INT8),
            (&LOOKED_AT, Type::INT8),
            (&limit(filter.limit), Type::INT8),
        ],
    )
    .await?;
    let items = found
        .iter()
        .map(subject_row)
        .collect::<Result<Vec<_>, _>>()?;
    let next = match items.last() {
        Some(row) if items.len() == filter.limit => Some(row.last_seq.0 - 1),
        _ => {
            let end = sql::row(
                client,
                "SELECT seq FROM events WHERE seq <= $1 ORDER BY seq DESC LIMIT 1 OFFSET $2",
                &[(&from, Type::INT8), (&(LOOKED_AT - 1), Type::INT8)],
            )
            .await?;
            match end {
                Some(row) => next_below(client, row.try_get(0)?, None).await?,
                None => None,
            }
        }
    };
    Ok(page(items, next.unwrap_or_default()))
}

/// A subject's rows on every route; routes are few.
pub(super) async fn subject_rows(
    client: &(impl GenericClient + Sync),
    subject: &str,
) -> Result<Vec<SubjectRow>, Failure> {
    let found = sql::rows(client, "SELECT id FROM routes", &[]).await?;
    let routes = found
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<i64>, _>>()?;
    let ids = routes.iter().map(|route| subject_id(*route, subject));
    let first: Vec<i64> = ids.collect();
    let last: Vec<i64> = first
        .iter()
        .map(|id| id.saturating_add(NEIGHBOURS))
        .collect();
    let found = sql::rows(
        client,
        &format!(
            "SELECT {SUBJECT_COLUMNS} FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
             AS w (route, first, last) CROSS JOIN LATERAL (SELECT * FROM subjects \
             WHERE id BETWEEN w.first AND w.last AND route = w.route AND subject = $4 \
             ORDER BY id LIMIT 1) AS s JOIN routes r ON r.id = s.route \
             WHERE s.last_seq IS NOT NULL ORDER BY s.route"
        ),
        &[
            (&routes, Type::INT8_ARRAY),
            (&first, Type::INT8_ARRAY),
            (&last, Type::INT8_ARRAY),
            (&sql::text(subject), Type::TEXT),
        ],
    )
    .await?;
    Ok(found
        .iter()
        .map(subject_row)
        .collect::<Result<Vec<_>, _>>()?)
}

fn subject_row(row: &Row) -> Result<SubjectRow, tokio_postgres::Error> {
    Ok(SubjectRow {
        subject: row.try_get(0)?,
        tag: row.try_get(1)?,
        query: row.try_get(2)?,
        last_time: row.try_get(3)?,
        last_seq: Seq(row.try_get(4)?),
        last_received_at: timestamp(row.try_get(5)?),
    })
}
