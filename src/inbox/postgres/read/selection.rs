//! Which deliveries a person means, as SQL: the same for lists and for changes.

use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

use super::subjects::subject_rows;
use super::{LOOKED_AT, no_such_place, seqs_of_id};
use crate::inbox::cursor::Place;
use crate::inbox::numbers::state_number;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql::{self, Value};
use crate::inbox::query::{DeliveryFilter, DeliveryState};

/// Dead letters looked at for one page: fewer, because the event of each has to be looked up apart.
const DEAD_LOOKED_AT: i64 = 5_000;

/// Conditions joined by AND, with the values they name by number.
#[derive(Debug, Default)]
pub(super) struct Selection {
    text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Selection {
    /// What `filter` says of the delivery `d`, its event `e` and its lane `l`. `seq` is the column
    /// that leads to the rows.
    pub(super) async fn of(
        client: &(impl GenericClient + Sync),
        filter: &DeliveryFilter,
        seq: &str,
    ) -> Result<Self, Failure> {
        let mut these = Self::default();
        if let Some(id) = &filter.event_id {
            let at = seqs_of_id(client, id).await?;
            let at = these.bind(at, Type::INT8_ARRAY);
            these.and(&format!("{seq} = ANY({at})"));
            let id = these.bind_text(id);
            these.and(&format!("e.event_id = {id}"));
        }
        if let Some(at) = filter.seq {
            let at = these.bind_number(at.0);
            these.and(&format!("{seq} = {at}"));
        }
        if let Some(state) = filter.state {
            these.and(&match state {
                // As the partial index has it: said by the state, it would be looked for among all.
                DeliveryState::Dead => "d.dead".to_owned(),
                _ => format!("d.state = {}", state_number(state)),
            });
            match state {
                DeliveryState::Pending => these.and("l.leased IS NOT TRUE"),
                DeliveryState::Leased => these.and("l.leased"),
                _ => {}
            }
        }
        if let Some(subject) = &filter.subject {
            let subject = these.bind_text(&subject.to_string());
            these.and(&format!("e.subject = {subject}"));
        }
        if let Some(event_type) = &filter.event_type {
            let event_type = these.bind_text(event_type);
            these.and(&format!("e.event_type = {event_type}"));
        }
        if let Some(since) = filter.since {
            let since = these.bind_number(since.as_microsecond());
            these.and(&format!("e.received >= {since}"));
        }
        if let Some(until) = filter.until {
            let until = these.bind_number(until.as_microsecond());
            these.and(&format!("e.received < {until}"));
        }
        Ok(these)
    }

    /// Of one sink, if `filter` says so; in SQL, its number.
    pub(super) fn and_sink(&mut self, filter: &DeliveryFilter) -> Option<String> {
        let name = self.bind_text(filter.sink.as_ref()?);
        let sink = format!("(SELECT id FROM sinks WHERE name = {name})");
        self.and(&format!("d.sink = {sink}"));
        Some(sink)
    }

    pub(super) fn and(&mut self, condition: &str) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
    }

    /// Takes a value, and says how the statement names it.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.values.push((Box::new(value), kind));
        format!("${}", self.values.len())
    }

    pub(super) fn bind_number(&mut self, value: i64) -> String {
        self.bind(value, Type::INT8)
    }

    pub(super) fn bind_text(&mut self, value: &str) -> String {
        self.bind(sql::text(value).into_owned(), Type::TEXT)
    }

    /// Whether everything is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The conditions; true where there are none.
    pub(super) fn text(&self) -> &str {
        if self.text.is_empty() {
            "true"
        } else {
            &self.text
        }
    }

    pub(super) fn values(&self) -> Vec<Value<'_>> {
        let values = self.values.iter();
        values
            .map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()))
            .collect()
    }
}

/// Whether so few rows are meant that all are looked at: an index leads to them.
pub(super) fn is_narrow(filter: &DeliveryFilter) -> bool {
    filter.seq.is_some() || filter.event_id.is_some()
}

/// Where a page begins that `text` asks for; fails for what no page ever gave out.
pub(super) fn place(text: &str) -> Result<Place, Failure> {
    Place::parse(text).ok_or_else(no_such_place)
}

/// Which way a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    NewestFirst,
    OldestFirst,
}

/// Where the deliveries `d` are looked for. Those that one sink has given up, from the first of two
/// positions to the last, are found by their own index alone: where another sink has many, a walk
/// through all deliveries seems as short a way to a page of this one's.
pub(super) fn deliveries_of(
    sink: Option<&str>,
    filter: &DeliveryFilter,
    (first, last): (&str, &str),
    way: Way,
) -> String {
    let Some(sink) = sink.filter(|_| filter.state == Some(DeliveryState::Dead)) else {
        return "deliveries d".to_owned();
    };
    let order = match way {
        Way::NewestFirst => "DESC",
        Way::OldestFirst => "ASC",
    };
    format!(
        "(SELECT seq, sink FROM deliveries WHERE sink = {sink} AND dead \
         AND seq BETWEEN {first} AND {last} ORDER BY seq {order} OFFSET 0) AS found \
         JOIN deliveries d ON d.seq = found.seq AND d.sink = found.sink"
    )
}

/// The last position that a page which begins at `from` looks at, at most; `None` when it may look
/// at all there are.
pub(super) async fn last_looked_at(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
    (from, way): (i64, Way),
) -> Result<Option<i64>, Failure> {
    if is_narrow(filter) {
        return Ok(None);
    }
    let (side, order) = match way {
        Way::NewestFirst => ("<=", "DESC"),
        Way::OldestFirst => (">=", "ASC"),
    };
    let mut given = Selection::default();
    let from = given.bind_number(from);
    // An index leads straight to dead letters, however old they are.
    let dead = filter.state == Some(DeliveryState::Dead);
    let (among, looked_at) = match filter.sink.as_ref().filter(|_| dead) {
        Some(sink) => {
            let sink = given.bind_text(sink);
            let among = format!(
                "deliveries WHERE sink = (SELECT id FROM sinks WHERE name = {sink}) \
                 AND dead AND"
            );
            (among, DEAD_LOOKED_AT)
        }
        None => ("events WHERE".to_owned(), LOOKED_AT),
    };
    let statement = format!(
        "SELECT seq FROM {among} seq {side} {from} ORDER BY seq {order} LIMIT 1 OFFSET {}",
        looked_at - 1
    );
    let end = sql::row(client, &statement, &given.values()).await?;
    Ok(end.map(|row| row.try_get(0)).transpose()?)
}

/// The position of the newest event that may be meant, or `upto` when that is before it.
pub(super) async fn newest(
    client: &(impl GenericClient + Sync),
    filter: &DeliveryFilter,
) -> Result<i64, Failure> {
    let last = sql::row(client, "SELECT coalesce(max(seq), 0) FROM events", &[]).await?;
    let mut last: i64 = last.map_or(Ok(0), |row| row.try_get(0))?;
    if let Some(subject) = &filter.subject {
        // A page looks only so far: let it not be in vain for a subject that was quiet for long.
        let rows = subject_rows(client, &subject.to_string()).await?;
        let newest = rows.iter().map(|row| row.last_seq.0).max();
        last = newest.map_or(last, |newest| newest.min(last));
    }
    Ok(filter.upto.map_or(last, |upto| last.min(upto.0)))
}
