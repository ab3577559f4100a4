//! Writing what was judged, each table at once.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use super::error::Failure;
use super::judge::{Court, Repeat, Stored};
use super::read::{OUTCOME_ACCEPTED, OUTCOME_STALE, origin_number};
use super::session::Call;
use super::tally::EVENTS;
use crate::event::{Id, Seq};
use crate::inbox::Offer;

/// Writes the events.
pub(super) fn events<'c>(offers: &'c [Offer], stored: &[Stored]) -> Option<Call<'c>> {
    let these = || stored.iter();
    let of = |stored: &Stored| &*offers[stored.offer].event;
    let call = Call::new(
        "INSERT INTO events (seq, lane, previous, route, event_id, event_type, event_time, subject, \
         outcome, command, origin, source_ip, peer_ip, received, trace_parent, body) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    );
    let outcome = |one: &Stored| match one.stale {
        true => OUTCOME_STALE,
        false => OUTCOME_ACCEPTED,
    };
    let id = |one| of(one).event_id.as_ref().map(Id::as_str);
    let subject = |one| of(one).subject.as_ref().map(ToString::to_string);
    let source = |one| of(one).source_ip.map(|ip| ip.to_string());
    let peer = |one| of(one).peer_ip.map(|ip| ip.to_string());
    (!stored.is_empty()).then(|| {
        call.with(these().map(|one| one.seq).collect::<Vec<_>>())
            .with(these().map(|one| one.lane).collect::<Vec<_>>())
            .with(these().map(|one| one.previous).collect::<Vec<_>>())
            .with(these().map(|one| one.route).collect::<Vec<_>>())
            .with(these().map(id).collect::<Vec<_>>())
            .with(
                these()
                    .map(|one| of(one).event_type.as_str())
                    .collect::<Vec<_>>(),
            )
            .with(these().map(|one| of(one).event_time).collect::<Vec<_>>())
            .with(these().map(subject).collect::<Vec<_>>())
            .with(these().map(outcome).collect::<Vec<_>>())
            .with(these().map(|one| of(one).command).collect::<Vec<_>>())
            .with(
                these()
                    .map(|one| origin_number(of(one).origin))
                    .collect::<Vec<_>>(),
            )
            .with(these().map(source).collect::<Vec<_>>())
            .with(these().map(peer).collect::<Vec<_>>())
            .with(
                these()
                    .map(|one| of(one).received_at.as_microsecond())
                    .collect::<Vec<_>>(),
            )
            .with(
                these()
                    .map(|one| of(one).trace_parent.as_deref())
                    .collect::<Vec<_>>(),
            )
            .with(these().map(|one| of(one).body.as_ref()).collect::<Vec<_>>())
    })
}

/// Counts what became unsettled, settled and stored, in this replica's part of the counters.
pub(super) fn tallies<'c>(
    stored: &[Stored],
    made: &HashMap<i64, i64>,
    settled: &HashMap<i64, i64>,
    part: i32,
) -> Option<Call<'c>> {
    let mut sums = BTreeMap::from([(EVENTS, i64::try_from(stored.len()).unwrap_or(i64::MAX))]);
    for (sink, number) in made {
        *sums.entry(*sink).or_default() += number;
    }
    for (sink, number) in settled {
        *sums.entry(*sink).or_default() -= number;
    }
    let (sinks, numbers): (Vec<i64>, Vec<i64>) =
        sums.into_iter().filter(|(_, number)| *number != 0).unzip();
    (!sinks.is_empty()).then(|| {
        Call::new(
            "INSERT INTO tallies AS t (sink, part, n) \
             SELECT u.sink, $3, u.n FROM unnest($1, $2) AS u (sink, n) \
             ON CONFLICT (sink, part) DO UPDATE SET n = t.n + excluded.n",
        )
        .with(sinks)
        .with(numbers)
        .with(part)
    })
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
        call.with(places.collect::<Vec<_>>())
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
