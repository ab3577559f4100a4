//! A store that holds many delivered events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::event::{Event, Id, Key, Origin, Route, Subject};
use flashduty_receiver::inbox::sqlite::{Location, SqliteInbox, SqliteOptions};
use flashduty_receiver::inbox::{
    Batch, Claim, Inbox as _, Lease, Offer, Order, Settled, Settlement, Wanted,
};

/// Stores and settles `events` events through the inbox itself.
pub(crate) fn fill(path: &std::path::Path, events: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let inbox = SqliteInbox::open(SqliteOptions {
            location: Location::File(path.to_owned()),
            lock_wait: Duration::ZERO,
            max_size: 0,
        })
        .unwrap();
        let sink = inbox.sink("log").await.unwrap();
        let wanted: Arc<[Wanted]> = Arc::new([Wanted {
            sink,
            order: Order::Subject,
            fresh: true,
            stale: false,
        }]);
        let body = Bytes::from(vec![b' '; 1400]);
        let now = SystemClock.now();
        let mut settled: Vec<Settled> = Vec::new();
        let mut stored = 0;
        while stored < events {
            let count = 2000.min(events - stored);
            let offers = (0..count).map(|_| offer(&body, &wanted)).collect();
            stored += count;
            let batch = Batch {
                settled: std::mem::take(&mut settled),
                offers,
                claims: vec![Claim::new(sink, count, Duration::from_secs(600))],
                ..Batch::default()
            };
            let leases = inbox.commit(Arc::new(batch), now).await.unwrap().leases;
            settled = leases.into_iter().map(delivered).collect();
        }
        let last = Batch {
            settled,
            ..Batch::default()
        };
        inbox.commit(Arc::new(last), now).await.unwrap();
        inbox.close().await.unwrap();
    });
}

fn delivered(lease: Lease) -> Settled {
    lease.settle(Settlement::Delivered)
}

fn offer(body: &Bytes, wanted: &Arc<[Wanted]>) -> Offer {
    let key = uuid::Uuid::new_v4().into_bytes();
    let id = flashduty_receiver::event::hex(&key);
    Offer {
        event: Arc::new(Event {
            event_id: Some(Id::new(&id)),
            event_type: Id::new("i_new"),
            event_time: Some(1_700_000_000_000),
            subject: Some(Subject::Incident(Id::new(id.get(..24).unwrap()))),
            route: Route::default(),
            command: false,
            source_ip: Some([127, 0, 0, 1].into()),
            peer_ip: Some([127, 0, 0, 1].into()),
            received_at: SystemClock.now(),
            origin: Origin::Push,
            trace_parent: None,
            body: body.clone(),
        }),
        key: Some(Key(key)),
        moves_mark: true,
        wanted: Arc::clone(wanted),
    }
}
