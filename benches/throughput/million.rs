//! What a million stored events cost: the start, and each push.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::inbox::{Batch, Claim, Inbox as _, Lease, Settled, Settlement};

use crate::load::{self, Load};
use crate::server::{Kind, Server};
use crate::setup::{many, offer, scratch, wanted_by, with_inbox};
use crate::{ROUNDS, median};

pub(crate) fn measure() {
    let events = many();
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let begun = Instant::now();
    fill(&folder.path().join("data/inbox.db"), events);
    println!(
        "\nan inbox of {events} delivered events, filled in {:.0} s",
        begun.elapsed().as_secs_f64()
    );

    let empty: Vec<f64> = (0..ROUNDS)
        .map(|_| millis(Server::start(Kind::Receiver, None).ready_after))
        .collect();
    let mut full = Vec::new();
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let server = Server::start(Kind::Receiver, Some(folder.path()));
        full.push(millis(server.ready_after));
        let _load = load::run(&server, &Load::closed(64));
        server.kill();
        let server = Server::start(Kind::Receiver, Some(folder.path()));
        killed.push(millis(server.ready_after));
        server.stop();
    }
    println!(
        "start to ready, ms: empty {:.0}, full {:.0}, full after kill -9 under load {:.0}",
        median(empty),
        median(full),
        median(killed)
    );

    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, rates) in [None, Some(folder.path())].into_iter().zip(&mut rates) {
            let server = Server::start(Kind::Receiver, place);
            let load = Load::closed(64);
            let _warm = load::run(&server, &load.warm_up());
            rates.push(load::run(&server, &load).per_second);
            server.stop();
        }
    }
    let [without, with] = rates.map(median);
    println!(
        "64 connections: empty {without:.0}/s, with the stored events {with:.0}/s: {:.2}",
        with / without
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Stores and settles `events` events through the inbox itself.
fn fill(path: &std::path::Path, events: usize) {
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
