//! Removing what is past its time, and making room in the order in which loss hurts least.
//!
//! A step is one short transaction, waits for nobody, but at its very end for another receiver's, and
//! looks at a bounded stretch of an index. It locks events, which no commit does, and only when it
//! gives up what waits also the subjects and lanes concerned. What is held by somebody else, or
//! committed only now below where the step has passed, is found by a later round: rounds begin at the
//! oldest event.
//!
//! Positions follow arrival by and large, not exactly: clocks differ between replicas, and what one
//! kept aside during an outage comes late. Where a step ends at the first event that is too young,
//! an older one behind it stays a little longer, until that one is past its time, too.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::error::Failure;
use super::forget;
use super::links::{self, Held};
use super::read::{STATE_PENDING, oldest_head};
use super::sql;
use super::tally;
use crate::inbox::numbers::state;
use crate::inbox::prune::{Attached, Release};
use crate::inbox::{Prune, PruneWhat, Pruned, Seq, SinkId};

/// Events looked at in one step.
const STEP: i64 = 400;

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) pruned: Pruned,
    /// URLs that were forgotten, by number: once this is committed, memory may forget them, too.
    pub(super) routes: Vec<i64>,
}

/// Runs one step within a transaction that does nothing else. The time in `prune` is the database's.
pub(super) async fn step(
    client: &(impl GenericClient + Sync),
    prune: &Prune,
) -> Result<Step, Failure> {
    if let PruneWhat::Forgotten { slice } = prune.what {
        let (other, routes) = forget::slice(client, prune, slice).await?;
        let pruned = Pruned {
            other,
            ..Pruned::default()
        };
        return Ok(Step { pruned, routes });
    }
    let (past, next) = in_time_order(candidates(client, prune).await?, prune);
    let (chosen, next) = choose(client, prune, (past, next)).await?;
    let mut pruned = remove(client, prune, &chosen).await?;
    pruned.next = next.filter(|_| !prune.enough(pruned.bytes));
    Ok(Step {
        pruned,
        routes: Vec::new(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    seq: Seq,
    received: i64,
    bytes: u64,
}

/// What one step looks at, oldest first. What cannot go is passed over by index, not by reading it:
/// room is made while more is taken.
async fn candidates(
    client: &(impl GenericClient + Sync),
    prune: &Prune,
) -> Result<Vec<Candidate>, Failure> {
    let after = match &prune.what {
        PruneWhat::Dead => return with_dead_letters(client, prune.after).await,
        PruneWhat::Waiting { sinks } if prune.after == Seq(0) => {
            let mut oldest = None;
            for sink in sinks {
                let head = oldest_head(client, *sink).await?;
                oldest = [oldest, head].into_iter().flatten().min();
            }
            match oldest {
                Some(seq) => Seq(seq - 1),
                None => return Ok(Vec::new()),
            }
        }
        _ => prune.after,
    };
    let found = sql::rows(
        client,
        "SELECT seq, received, length(body) FROM events WHERE seq > $1 ORDER BY seq LIMIT $2",
        &[(&after.0, Type::INT8), (&STEP, Type::INT8)],
    )
    .await?;
    found.iter().map(candidate).collect()
}

async fn with_dead_letters(
    client: &(impl GenericClient + Sync),
    after: Seq,
) -> Result<Vec<Candidate>, Failure> {
    let found = sql::rows(
        client,
        "SELECT e.seq, e.received, length(e.body) FROM (\
         SELECT DISTINCT d.seq FROM sinks s CROSS JOIN LATERAL (\
         SELECT seq FROM deliveries WHERE sink = s.id AND dead AND seq > $1 \
         ORDER BY seq LIMIT $2) d ORDER BY d.seq LIMIT $2) dead \
         JOIN events e ON e.seq = dead.seq ORDER BY e.seq",
        &[(&after.0, Type::INT8), (&STEP, Type::INT8)],
    )
    .await?;
    found.iter().map(candidate).collect()
}

fn candidate(row: &Row) -> Result<Candidate, Failure> {
    let bytes: i32 = row.try_get(2)?;
    Ok(Candidate {
        seq: Seq(row.try_get(0)?),
        received: row.try_get(1)?,
        bytes: u64::try_from(bytes).unwrap_or_default(),
    })
}

/// Those that are past their time, up to the first that is not, and where the next step goes on.
fn in_time_order(looked_at: Vec<Candidate>, prune: &Prune) -> (Vec<Candidate>, Option<Seq>) {
    let next = (i64::try_from(looked_at.len()) == Ok(STEP))
        .then(|| looked_at.last().map(|event| event.seq))
        .flatten();
    let mut past = Vec::with_capacity(looked_at.len());
    for candidate in looked_at {
        if candidate.received > prune.now.as_microsecond() {
            // The clock was ahead when it came, and says nothing about what is behind it.
            continue;
        }
        if candidate.received >= prune.cutoff().as_microsecond() {
            return (past, None);
        }
        past.push(candidate);
    }
    (past, next)
}

/// Those of `past` that seem free to go, no more than are wanted: only they are locked.
async fn choose(
    client: &(impl GenericClient + Sync),
    prune: &Prune,
    (past, next): (Vec<Candidate>, Option<Seq>),
) -> Result<(Vec<Candidate>, Option<Seq>), Failure> {
    let deliveries = deliveries_of(client, past.iter().map(|event| event.seq.0)).await?;
    let mut chosen = Vec::new();
    let mut bytes = 0;
    for candidate in past {
        if release(&candidate, &deliveries, &BTreeSet::new(), prune).is_some() {
            bytes += candidate.bytes;
            chosen.push(candidate);
            if prune.enough(bytes) {
                return Ok((chosen, Some(candidate.seq)));
            }
        }
    }
    Ok((chosen, next))
}

/// Removes those of `chosen` that still may go once they are locked.
async fn remove(
    client: &(impl GenericClient + Sync),
    prune: &Prune,
    chosen: &[Candidate],
) -> Result<Pruned, Failure> {
    let now = prune.now.as_microsecond();
    let mut pruned = Pruned::default();
    let seqs: Vec<i64> = chosen.iter().map(|event| event.seq.0).collect();
    if seqs.is_empty() {
        return Ok(pruned);
    }
    let locked = links::lock_events(client, &seqs, Held::PassOver).await?;
    let seqs = locked.keys().map(|seq| seq.0);
    let waiting = match &prune.what {
        PruneWhat::Waiting { sinks } => waiting_for(client, seqs.clone(), sinks).await?,
        _ => Vec::new(),
    };
    let running = if waiting.is_empty() {
        BTreeSet::new()
    } else {
        links::lock_lanes(client, &waiting, &locked, now).await?
    };
    let deliveries = deliveries_of(client, seqs).await?;
    let mut gone = Vec::new();
    let mut unlinked = Vec::new();
    for candidate in chosen {
        let still = locked.contains_key(&candidate.seq);
        let release = release(candidate, &deliveries, &running, prune);
        let Some(release) = release.filter(|_| still) else {
            continue;
        };
        gone.push(candidate.seq.0);
        unlinked.extend(release.dropped.iter().map(|sink| (candidate.seq, *sink)));
        pruned.dropped.extend(release.dropped);
        pruned.dead += release.dead;
        pruned.events += 1;
        pruned.bytes += candidate.bytes;
    }
    if !unlinked.is_empty() {
        links::unlink(client, &unlinked, now).await?;
    }
    delete(client, &gone).await?;
    let mut fewer = BTreeMap::from([(tally::EVENTS, -i64::try_from(gone.len()).unwrap_or(0))]);
    for sink in &pruned.dropped {
        *fewer.entry(sink.0).or_default() -= 1;
    }
    tally::add(client, &fewer).await?;
    note_last(client, &gone).await?;
    Ok(pruned)
}

/// Those who follow the events are told that they may have missed some up to the last of `gone`.
async fn note_last(client: &(impl GenericClient + Sync), gone: &[i64]) -> Result<(), Failure> {
    let Some(last) = gone.iter().max() else {
        return Ok(());
    };
    sql::run(
        client,
        "INSERT INTO meta AS m (key, value) VALUES ('pruned', $1) \
         ON CONFLICT (key) DO UPDATE SET value = greatest(m.value, excluded.value)",
        &[(last, Type::INT8)],
    )
    .await
    .map(|_one| ())
}

async fn delete(client: &(impl GenericClient + Sync), seqs: &[i64]) -> Result<(), Failure> {
    if seqs.is_empty() {
        return Ok(());
    }
    for table in ["attempts", "deliveries", "events"] {
        let statement = format!("DELETE FROM {table} WHERE seq = ANY($1)");
        sql::run(client, &statement, &[(&seqs, Type::INT8_ARRAY)]).await?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Delivery {
    sink: SinkId,
    state: i16,
    settled: Option<i64>,
}

async fn deliveries_of(
    client: &(impl GenericClient + Sync),
    seqs: impl Iterator<Item = i64> + Send,
) -> Result<BTreeMap<Seq, Vec<Delivery>>, Failure> {
    let seqs: Vec<i64> = seqs.collect();
    let found = sql::rows(
        client,
        "SELECT seq, sink, state, settled FROM deliveries WHERE seq = ANY($1)",
        &[(&seqs, Type::INT8_ARRAY)],
    )
    .await?;
    let mut deliveries: BTreeMap<Seq, Vec<Delivery>> = BTreeMap::new();
    for row in found {
        let of_event = deliveries.entry(Seq(row.try_get(0)?)).or_default();
        of_event.push(Delivery {
            sink: SinkId(row.try_get(1)?),
            state: row.try_get(2)?,
            settled: row.try_get(3)?,
        });
    }
    Ok(deliveries)
}

/// What waits for `sinks` of the events at `seqs`.
async fn waiting_for(
    client: &(impl GenericClient + Sync),
    seqs: impl Iterator<Item = i64> + Send,
    sinks: &[SinkId],
) -> Result<Vec<(Seq, SinkId)>, Failure> {
    let deliveries = deliveries_of(client, seqs).await?;
    let waiting = deliveries.into_iter().flat_map(|(seq, of_event)| {
        let waits = of_event
            .into_iter()
            .filter(|delivery| delivery.state == STATE_PENDING && sinks.contains(&delivery.sink));
        waits.map(move |delivery| (seq, delivery.sink))
    });
    Ok(waiting.collect())
}

/// What goes with the event, if it may go at all. Of those `running` an attempt may be under way:
/// such a delivery does not wait.
fn release(
    candidate: &Candidate,
    deliveries: &BTreeMap<Seq, Vec<Delivery>>,
    running: &BTreeSet<(Seq, SinkId)>,
    prune: &Prune,
) -> Option<Release> {
    let deliveries = deliveries.get(&candidate.seq).into_iter().flatten();
    let deliveries = deliveries.map(|delivery| Attached {
        sink: delivery.sink,
        state: state(
            delivery.state,
            running.contains(&(candidate.seq, delivery.sink)),
        ),
        settled: delivery.settled,
    });
    prune.release(candidate.received, deliveries)
}
