//! Claiming what is due, within the sink's slots, rates and holds.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::deliver::Left;
use super::error::Failure;
use super::read::{OUTCOME_STALE, origin};
use super::routes;
use super::session::{Answers, Call, Place};
use super::time;
use crate::event::{Event, Id, Seq, Subject};
use crate::inbox::{Claim, Committed, Lease, SinkId};

const WHAT_ALLOWED: i32 = 0;
const WHAT_LEASED: i32 = 1;

/// The statement for one claim, whose answer [`read`] reads.
pub(super) fn call<'c>(claim: &Claim, given: Option<i64>) -> Call<'c> {
    let (most, windows) = rates(claim);
    Call::new("SELECT * FROM inbox_claim($1, $2, $3, $4, $5, $6, $7, $8, inbox_now($9))")
        .with(claim.sink.0)
        .with(limit(claim.slots))
        .with(limit(claim.bytes))
        .with(time::micros(claim.ttl))
        .with(most)
        .with(windows)
        .with(claim.probe)
        .with(claim.remembered)
        .with(given)
}

/// Asks when `claim` next finds something, counted from now, where it has a rate; without one it is
/// told by who writes the batch.
pub(super) fn next_due<'c>(claim: &Claim, given: Option<i64>) -> Option<Call<'c>> {
    let (most, windows) = rates(claim);
    (!claim.rates.is_empty()).then(|| {
        Call::new("SELECT inbox_next_due($1, $2, $3, inbox_now($4)) - inbox_now($4)")
            .with(claim.sink.0)
            .with(most)
            .with(windows)
            .with(given)
    })
}

/// Reads when claims next find something: those that were asked, and those that were `told` of.
pub(super) fn read_next_due(
    (claims, places): (&[Claim], &[Option<Place>]),
    answers: &mut Answers,
    told: &HashMap<i64, Option<i64>>,
    now: Timestamp,
) -> Result<Vec<(SinkId, Option<Timestamp>)>, Failure> {
    let mut all = Vec::with_capacity(claims.len());
    for (claim, place) in claims.iter().zip(places) {
        let rows = answers.take(*place);
        let due: Option<i64> = match rows.first() {
            Some(row) => row.try_get(0)?,
            None => told.get(&claim.sink.0).copied().flatten(),
        };
        all.push((claim.sink, due.map(|due| time::later(now, due))));
    }
    Ok(all)
}

/// Takes in what was leased, and says what is left of the claims for new deliveries. A claim that was
/// not asked found nothing, and nothing against it.
pub(super) fn read<'b>(
    (claims, found): (&'b [Claim], Vec<Option<Vec<Row>>>),
    now: Timestamp,
    (committed, settled): (&mut Committed, &mut HashMap<i64, i64>),
) -> Result<Vec<Left<'b>>, Failure> {
    let mut all: Vec<Left<'b>> = Vec::with_capacity(claims.len());
    for (claim, rows) in claims.iter().zip(found) {
        let mut left = Left {
            claim,
            slots: claim.slots,
            bytes: claim.bytes,
            allowed: if rows.is_some() { 0 } else { i64::MAX },
        };
        let mut leased = 0;
        for row in rows.unwrap_or_default() {
            match row.try_get(0)? {
                WHAT_ALLOWED => {
                    left.allowed = row.try_get(1)?;
                    left.slots = left.slots.min(usize::try_from(left.allowed).unwrap_or(0));
                }
                WHAT_LEASED => {
                    let lease = lease(&row, claim, now)?;
                    left.slots = left.slots.saturating_sub(1);
                    left.bytes = left.bytes.saturating_sub(lease.event.body.len());
                    leased += 1;
                    committed.leases.push(lease);
                }
                _ => {
                    committed
                        .superseded
                        .push((Seq(row.try_get(2)?), claim.sink));
                    *settled.entry(claim.sink.0).or_default() += 1;
                }
            }
        }
        all.push(left);
        if !claim.rates.is_empty() {
            // Other claims on the sink share its rate.
            for other in all
                .iter_mut()
                .filter(|other| other.claim.sink == claim.sink)
            {
                other.allowed = other.allowed.saturating_sub(leased);
            }
        }
    }
    Ok(all)
}

fn lease(row: &Row, claim: &Claim, now: Timestamp) -> Result<Lease, Failure> {
    let pairs = match row.try_get::<_, Option<Vec<String>>>(21)? {
        Some(names) => names.into_iter().zip(row.try_get::<_, Vec<String>>(22)?),
        None => Vec::new().into_iter().zip(Vec::new()),
    };
    let attempt: i32 = row.try_get(4)?;
    Ok(Lease {
        seq: Seq(row.try_get(2)?),
        sink: claim.sink,
        event: Arc::new(event(row)?),
        stale: row.try_get::<_, i16>(7)? == OUTCOME_STALE,
        attempt: u32::try_from(attempt).unwrap_or(1),
        interrupted: row.try_get(5)?,
        replay: row.try_get(6)?,
        remembered: pairs.collect(),
        trace: None,
        expires_at: time::after(now, claim.ttl),
        lane: row.try_get(3)?,
        token: row.try_get(1)?,
        rated: !claim.rates.is_empty(),
    })
}

fn event(row: &Row) -> Result<Event, Failure> {
    let parsed = |column| -> Result<_, Failure> {
        let text: Option<&str> = row.try_get(column)?;
        Ok(text.and_then(|text| text.parse().ok()))
    };
    Ok(Event {
        event_id: row.try_get::<_, Option<&str>>(8)?.map(Id::new),
        event_type: Id::new(row.try_get(9)?),
        event_time: row.try_get(10)?,
        subject: row.try_get::<_, Option<&str>>(11)?.and_then(Subject::parse),
        route: routes::route(row.try_get(12)?, row.try_get(13)?),
        command: row.try_get(14)?,
        source_ip: parsed(15)?,
        peer_ip: parsed(16)?,
        received_at: time::timestamp(row.try_get(17)?),
        origin: origin(row.try_get(18)?),
        trace_parent: row.try_get::<_, Option<String>>(19)?.map(Into::into),
        body: Bytes::from(row.try_get::<_, Vec<u8>>(20)?),
    })
}

/// The claim's rates, as counts and windows.
fn rates(claim: &Claim) -> (Vec<i64>, Vec<i64>) {
    let rates = claim.rates.iter();
    rates
        .map(|rate| (i64::from(rate.count), time::micros(rate.window)))
        .unzip()
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
