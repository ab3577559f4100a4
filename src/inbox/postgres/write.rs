//! What is written of what was judged, as arrays.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use tokio_postgres::Row;

use super::error::Failure;
use super::judge::{Court, Repeat, Stored};
use super::read::{OUTCOME_ACCEPTED, OUTCOME_STALE, origin_number};
use super::session::Call;
use super::tally::EVENTS;
use crate::event::{Event, Id, Seq};
use crate::inbox::Offer;

/// Gives `write` the events, in sixteen arrays.
pub(super) fn events_to<'c>(write: Call<'c>, offers: &'c [Offer], stored: &[Stored]) -> Call<'c> {
    let these = || stored.iter();
    let events = || these().map(|one| &*offers[one.offer].event);
    let outcome = |one: &Stored| match one.stale {
        true => OUTCOME_STALE,
        false => OUTCOME_ACCEPTED,
    };
    let address = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
    let micros = |event: &Event| event.received_at.as_microsecond();
    let id = |event: &'c Event| event.event_id.as_ref().map(Id::as_str);
    let subject = |event: &Event| event.subject.as_ref().map(ToString::to_string);
    write
        .each(these().map(|one| one.seq))
        .each(these().map(|one| one.lane))
        .each(these().map(|one| one.previous))
        .each(these().map(|one| one.route))
        .each(events().map(id))
        .each(events().map(|one| one.event_type.as_str()))
        .each(events().map(|one| one.event_time))
        .each(events().map(subject))
        .each(these().map(outcome))
        .each(events().map(|one| one.command))
        .each(events().map(|one| origin_number(one.origin)))
        .each(events().map(|one| address(one.source_ip)))
        .each(events().map(|one| address(one.peer_ip)))
        .each(events().map(micros))
        .each(events().map(|one| one.trace_parent.as_deref()))
        .each(events().map(|one| one.body.as_ref()))
}

/// What became unsettled, settled and stored, by sink.
pub(super) fn sums(
    stored: &[Stored],
    made: &HashMap<i64, i64>,
    settled: &HashMap<i64, i64>,
) -> (Vec<i64>, Vec<i64>) {
    let mut sums = BTreeMap::from([(EVENTS, i64::try_from(stored.len()).unwrap_or(i64::MAX))]);
    for (sink, number) in made {
        *sums.entry(*sink).or_default() += number;
    }
    for (sink, number) in settled {
        *sums.entry(*sink).or_default() -= number;
    }
    sums.into_iter().filter(|(_, number)| *number != 0).unzip()
}

/// Finds the events that have the keys of duplicates.
pub(super) fn find_first<'c>(offers: &'c [Offer], repeats: &[Repeat]) -> Option<Call<'c>> {
    let call = Call::new(
        // The first copy's body may be past its retention; there is nothing to compare then.
        "SELECT u.place, k.seq, coalesce(e.body <> u.body, false) \
         FROM unnest($1, $2, $3) AS u (place, key, body) \
         JOIN keys k ON k.key = u.key LEFT JOIN events e ON e.seq = k.seq",
    );
    let places = repeats
        .iter()
        .map(|repeat| i64::try_from(repeat.offer).unwrap_or(i64::MAX));
    let offered = || repeats.iter().map(|repeat| &offers[repeat.offer]);
    let keys = offered().map(|offer| offer.key.as_ref().map(|key| key.0.as_slice()));
    (!repeats.is_empty()).then(|| {
        call.each(places)
            .with(keys.map(Option::unwrap_or_default).collect::<Vec<_>>())
            .with(
                offered()
                    .map(|offer| offer.event.body.as_ref())
                    .collect::<Vec<_>>(),
            )
    })
}

/// Puts the positions of the first copies into the answers. The answer came with the commit, so
/// nothing can be undone here: a key that was forgotten meanwhile leaves a position of zero.
pub(super) fn first_found(rows: &[Row], court: &mut Court<'_>) -> Result<(), Failure> {
    for row in rows {
        let place: i64 = row.try_get(0)?;
        let place = usize::try_from(place).ok();
        if let Some(offered) = place.and_then(|place| court.offered.get_mut(place)) {
            offered.seq = Seq(row.try_get(1)?);
            offered.differs = row.try_get(2)?;
        }
    }
    Ok(())
}
