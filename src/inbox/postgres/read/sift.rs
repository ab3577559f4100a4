//! Looking through the events, newest first: a stretch of the primary key at a time.
//!
//! The server leaves out the bodies in which the text certainly is not; what escapes mean it cannot
//! tell, so the rest is read here.

use bytes::Bytes;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::event_rows::{EVENT_COLUMNS, EVENT_WIDTH, event_row};
use super::events::conditions;
use super::selection::Selection;
use super::{cursor, limit, next_below, timestamp};
use crate::aside::aside;
use crate::inbox::Seq;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::query::EventRow;
use crate::inbox::search::{Needle, Sift, Sifted, below};

/// Bytes of bodies that one look goes through, give or take one body.
const BYTES: i64 = 4 << 20;

/// What a look found, before it is read closely.
pub(in crate::inbox::postgres) struct Found {
    rows: Vec<(EventRow, Bytes)>,
    sifted: Sifted,
}

impl Found {
    /// What of it is meant.
    pub(in crate::inbox::postgres) async fn confirmed(mut self, sift: Sift) -> Sifted {
        let bytes: u64 = self.rows.iter().map(|(_, body)| body.len() as u64).sum();
        let rows = self.rows;
        let items = aside(bytes, move || {
            let rows = rows.into_iter();
            let meant = rows.filter(|(row, body)| sift.selects(row) && sift.is_in(row, body));
            meant.map(|(row, _)| row).collect::<Vec<_>>()
        });
        self.sifted.items = items.await;
        self.sifted
    }
}

pub(in crate::inbox::postgres) async fn bodies(
    client: &(impl GenericClient + Sync),
    seqs: &[Seq],
) -> Result<Vec<(Seq, Bytes)>, Failure> {
    let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
    let found = sql::rows(
        client,
        "SELECT seq, body FROM events WHERE seq = ANY($1)",
        &[(&seqs, Type::INT8_ARRAY)],
    )
    .await?;
    let mut bodies = Vec::with_capacity(found.len());
    for row in &found {
        let body: Vec<u8> = row.try_get(1)?;
        bodies.push((Seq(row.try_get(0)?), Bytes::from(body)));
    }
    Ok(bodies)
}

pub(in crate::inbox::postgres) async fn sift(
    client: &(impl GenericClient + Sync),
    sift: &Sift,
) -> Result<Found, Failure> {
    let from = cursor(sift.filter.cursor.as_deref())?.unwrap_or(i64::MAX);
    let mut sifted = Sifted::default();
    let mut rows = Vec::new();
    // Found out first: what is removed meanwhile may shorten the way to it, and never lengthens it.
    let Some(stretch) = stretch(client, from, sift.rows).await? else {
        return Ok(Found { rows, sifted });
    };
    let (given, statement) = statement(sift, from, stretch.end);
    for row in sql::rows(client, &statement, &given.values()).await? {
        let body: Option<Vec<u8>> = row.try_get(EVENT_WIDTH)?;
        rows.push((event_row(&row)?, Bytes::from(body.unwrap_or_default())));
    }
    sifted.looked_at = stretch.rows;
    match rows.last() {
        Some((last, _)) if rows.len() >= sift.filter.limit => {
            sifted.searched_to = Some(last.received_at);
            sifted.next = below(last.seq);
        }
        _ => {
            sifted.searched_to = Some(timestamp(stretch.received));
            let since = sift.filter.since;
            let is_older = since.is_some_and(|since| stretch.received < since.as_microsecond());
            sifted.next = match is_older {
                true => next_below(client, stretch.end, since).await?.map(Seq),
                false => below(Seq(stretch.end)),
            };
        }
    }
    Ok(Found { rows, sifted })
}

/// What one look goes through.
struct Stretch {
    rows: usize,
    /// The last one's position, and when it was received.
    end: i64,
    received: i64,
}

/// How far a look from `from` on goes; `None` where nothing is.
async fn stretch(
    client: &(impl GenericClient + Sync),
    from: i64,
    rows: usize,
) -> Result<Option<Stretch>, Failure> {
    // How long a body is stands beside it: none is read for that.
    let found = sql::row(
        client,
        "SELECT count(*), min(seq), (array_agg(received ORDER BY seq))[1] FROM (\
         SELECT seq, received, sum(bytes) OVER (ORDER BY seq DESC) - bytes AS earlier FROM (\
         SELECT seq, received, length(body) AS bytes FROM events WHERE seq <= $1 \
         ORDER BY seq DESC LIMIT $2) AS w) AS x WHERE earlier < $3",
        &[
            (&from, Type::INT8),
            (&limit(rows), Type::INT8),
            (&BYTES, Type::INT8),
        ],
    )
    .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let end: Option<i64> = row.try_get(1)?;
    let received: Option<i64> = row.try_get(2)?;
    let rows: i64 = row.try_get(0)?;
    Ok(end.zip(received).map(|(end, received)| Stretch {
        rows: usize::try_from(rows).unwrap_or_default(),
        end,
        received,
    }))
}

/// The rows from `from` back to `end` that may be meant, with their bodies if those matter.
fn statement(sift: &Sift, from: i64, end: i64) -> (Selection, String) {
    let mut given = conditions(&sift.filter);
    if let Some(subject) = &sift.filter.subject {
        let subject = given.bind_text(&subject.to_string());
        given.and(&format!("subject = {subject}"));
    }
    if let Some(event_id) = &sift.filter.event_id {
        let event_id = given.bind_text(event_id);
        given.and(&format!("event_id = {event_id}"));
    }
    if let Some(source) = sift.source {
        let source = given.bind_text(&source.to_string());
        given.and(&format!(
            "CAST(source_ip AS inet) <<= CAST({source} AS inet)"
        ));
    }
    let body = match &sift.text {
        Some(text) => {
            may_hold(text, &mut given);
            "e.body"
        }
        None => "CAST(NULL AS bytea)",
    };
    let from = given.bind_number(from);
    let end = given.bind_number(end);
    let wanted = given.bind_number(limit(sift.filter.limit));
    let text = format!(
        "SELECT {EVENT_COLUMNS}, {body} FROM (SELECT * FROM events \
         WHERE seq <= {from} AND seq >= {end} AND {} ORDER BY seq DESC LIMIT {wanted}) AS e \
         LEFT JOIN routes r ON r.id = e.route ORDER BY e.seq DESC",
        given.text()
    );
    (given, text)
}

/// Leaves out what certainly does not hold the text. In this collation only letters of ASCII have a
/// small form, and a body spelt like this is ASCII alone.
fn may_hold(text: &Needle, given: &mut Selection) {
    let whole = given.bind_text(&text.folded());
    let mut places: Vec<String> = ["event_id", "event_type", "subject"]
        .map(|column| format!("strpos(lower({column} COLLATE \"C\"), {whole}) > 0"))
        .into();
    let mut traces = Vec::new();
    for forms in text.traces() {
        let forms: Vec<String> = forms
            .iter()
            .map(|form| {
                let form = given.bind_text(&spelt(form));
                format!("strpos(lower(encode(body, 'escape') COLLATE \"C\"), {form}) > 0")
            })
            .collect();
        traces.push(format!("({})", forms.join(" OR ")));
    }
    places.push(match traces.is_empty() {
        true => "true".to_owned(),
        false => format!("({})", traces.join(" AND ")),
    });
    given.and(&format!("({})", places.join(" OR ")));
}

/// As PostgreSQL writes bytes in its format `escape`.
fn spelt(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'\\' => spelt.push_str("\\\\"),
            0 | 0x80..=0xFF => spelt.push_str(&format!("\\{byte:03o}")),
            _ => spelt.push(char::from(byte)),
        }
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spelt_as_the_server_does() {
        assert_eq!(spelt("a\\u4e2d\u{e9}\0"), r"a\\u4e2d\303\251\000");
    }
}
