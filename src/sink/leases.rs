//! Leases for tests of sinks: claimed from a store in memory, as the dispatcher's are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::{Event, Id, Subject};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Batch, Claim, Inbox as _, Lease, Offer, Order, Wanted};

/// An event about an incident, with nothing but what `body` says beside it.
pub(super) fn event(body: impl Into<Bytes>) -> Event {
    Event {
        event_type: Id::new("i_custom"),
        event_time: Some(1_700_000_000_123),
        subject: Subject::parse("incident:664af0001122334455667788"),
        command: true,
        received_at: Timestamp::from_second(1_700_000_001).unwrap(),
        ..Event::sample(body)
    }
}

/// A lease on each of `events`, in their order.
pub(super) async fn leases(events: Vec<Event>) -> Vec<Lease> {
    let inbox = SqliteInbox::in_memory();
    let sink = inbox.sink("s").await.unwrap();
    let wanted: Arc<[Wanted]> = Arc::from([Wanted {
        sink,
        order: Order::None,
        fresh: true,
        stale: true,
    }]);
    let count = events.len();
    let offers = events.into_iter().map(|event| Offer {
        event: Arc::new(event),
        key: None,
        moves_mark: false,
        wanted: Arc::clone(&wanted),
    });
    let batch = Batch {
        offers: offers.collect(),
        claims: vec![Claim::new(sink, count, Duration::from_secs(600))],
        ..Batch::default()
    };
    let now = Timestamp::from_second(1_700_000_002).unwrap();
    let mut leases = inbox.commit(Arc::new(batch), now).await.unwrap().leases;
    inbox.close().await.unwrap();
    leases.sort_by_key(|lease| lease.seq);
    assert_eq!(leases.len(), count);
    leases
}

/// A lease on one event with this body.
pub(super) async fn lease(body: impl Into<Bytes>) -> Lease {
    leases(vec![event(body)]).await.remove(0)
}
