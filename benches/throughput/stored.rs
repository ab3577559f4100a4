//! A store that holds many delivered events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::inbox::{Batch, Claim, Inbox as _, Lease, Settled, Settlement};

use crate::setup::{offer, wanted_by, with_inbox};

/// Stores and settles `events` events through the inbox itself.
pub(crate) fn fill(path: &std::path::Path, events: usize) {
    with_inbox(path, async |inbox| {
        let sink = inbox.sink("log").await.unwrap();
        let wanted = wanted_by(sink);
        let body = Bytes::from(vec![b' '; 1400]);
        let now = SystemClock.now();
        let mut settled: Vec<Settled> = Vec::new();
        let mut stored = 0;
        while stored < events {
            let count = 2000.min(events - stored);
            let offers = (0..count).map(|_| offer(None, &body, &wanted)).collect();
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
    });
}

fn delivered(lease: Lease) -> Settled {
    lease.settle(Settlement::Delivered)
}
