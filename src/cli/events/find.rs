//! The event that an id or a position stands for, wherever it is.

use anyhow::anyhow;

use super::route_in_words;
use crate::admin::api::EventDetail;
use crate::admin::spilled::SpillShown;
use crate::cli::reader::Reader;
use crate::event::Seq;
use crate::inbox::query::EventFilter;
use crate::inbox::spill::SpilledRow;

/// An event that is in the receiver's spill, and not in the store.
#[derive(Debug, thiserror::Error)]
#[error("the event {which} is not in the store yet: it {}", .sentences.join("; it "))]
pub struct Waiting {
    which: String,
    /// What is known of it, a sentence for each time it came.
    pub sentences: Vec<String>,
}

impl Waiting {
    fn new(which: &str, spill: SpillShown) -> Self {
        let events = spill.contents.events;
        let sentence = |row: SpilledRow| {
            let route = route_in_words(row.tag.as_deref(), row.query.as_deref());
            let fate = match row.set_aside {
                true => {
                    "is set aside in the spill of this receiver: the store took it neither as an \
                         event nor as an unreadable push"
                        .to_owned()
                }
                false => format!(
                    "waits in the spill of this receiver, which holds {events} events that the store \
                     has not got yet: once it has, it is judged and delivered"
                ),
            };
            let (at, kind) = (row.received_at, row.event_type);
            format!("came to {route}, at {at:.3}, carried {kind}, and {fate}")
        };
        Self {
            which: which.to_owned(),
            sentences: spill.found.into_iter().map(sentence).collect(),
        }
    }
}

/// The events an id or a position stands for; several when one event came to several routes.
///
/// # Errors
/// A [`Waiting`] when they are in the receiver's spill only; else when there are none.
pub async fn find(which: &str, reader: &Reader) -> anyhow::Result<Vec<EventDetail>> {
    let failure = match stored(which, reader).await {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_none) => None,
        Err(error) => Some(error),
    };
    let spill = match reader.spilled(which).await {
        Ok(spill) => spill,
        // What went wrong first says more.
        Err(second) => return Err(failure.unwrap_or(second)),
    };
    if !spill.found.is_empty() {
        return Err(Waiting::new(which, spill).into());
    }
    let elsewhere = match spill.contents.events {
        0 => None,
        events => Some(format!(
            "the spill of this receiver holds {events} events that the store has not got yet, none \
             of them with this id; other receivers have spills of their own"
        )),
    };
    let never = || {
        anyhow!(
            "no stored event has the id or position {which}: it was refused (then the log has a \
             line with target flashduty::push), never arrived, or is older than store.retention"
        )
    };
    let error = failure.unwrap_or_else(never);
    Err(match elsewhere {
        Some(elsewhere) => error.context(elsewhere),
        None => error,
    })
}

async fn stored(which: &str, reader: &Reader) -> anyhow::Result<Vec<EventDetail>> {
    if let Ok(seq) = which.parse()
        && let Some(event) = reader.event(Seq(seq)).await?
    {
        return Ok(vec![event]);
    }
    let filter = EventFilter {
        event_id: Some(which.to_owned()),
        ..EventFilter::default()
    };
    let mut found = Vec::new();
    for row in reader.events(filter, 100).await? {
        // Pruned between the two questions when it is not there.
        found.extend(reader.event(row.seq).await?);
    }
    Ok(found)
}
