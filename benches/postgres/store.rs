//! The store alone, through its own interface: batches of a fixed size, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashduty_receiver::clock::{Clock as _, SystemClock};
use flashduty_receiver::event::Seq;
use flashduty_receiver::inbox::postgres::{PostgresInbox, PostgresOptions};
use flashduty_receiver::inbox::{
    Batch, Claim, Inbox as _, Lease, Offer, Settlement, SinkId, Wanted,
};

use crate::bare::{Bare, What, body};
use crate::database::Server;
use crate::facts::per_second;
use crate::setup::{offer, wanted_by};
use crate::{median, runtime};

const SIZES: [usize; 4] = [1, 16, 128, 512];
const BODY: usize = 1400;
const EACH: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

pub(crate) fn measure(server: &Server) {
    let database = server.database();
    let url = server.url(&database);
    println!(
        "\nevents/s in batches of a fixed size (median of {ROUNDS} interleaved rounds), {BODY} bytes\n\
         bare inserts of (i) the events alone, (j) all rows that an event delivered to one sink leaves"
    );
    println!(
        "{:>6} {:>8} {:>8} {:>8} {:>6} {:>8} {:>6} {:>6}",
        "batch", "(i)", "(j)", "no sink", "/(i)", "one sink", "/(i)", "/(j)"
    );
    runtime().block_on(async {
        let options = PostgresOptions::new(url.parse().unwrap());
        let inbox = PostgresInbox::open(options).await.unwrap();
        let sink = inbox.sink("log").await.unwrap();
        let body = Bytes::from(body(BODY));
        let (none, one): (Arc<[Wanted]>, _) = (Arc::new([]), wanted_by(sink));
        for size in SIZES {
            let offers = |wanted: &Arc<[Wanted]>| -> Vec<Offer> {
                (0..size).map(|_| offer(None, &body, wanted)).collect()
            };
            let mut rates = [(); 4].map(|()| Vec::new());
            for _ in 0..ROUNDS {
                for (at, what) in [(0, What::Events), (1, What::AllRows)] {
                    let mut bare = Bare::open(&url, what).await;
                    rates[at].push(bare.insert(EACH, || offers(&none)).await);
                }
                rates[2].push(store(&inbox, None, || offers(&none)).await);
                rates[3].push(store(&inbox, Some(sink), || offers(&one)).await);
            }
            let [events, rows, none, one] = rates.map(median);
            println!(
                "{size:>6} {events:>8.0} {rows:>8.0} {none:>8.0} {:>6.2} {one:>8.0} {:>6.2} {:>6.2}",
                none / events,
                one / events,
                one / rows
            );
        }
    });
}

/// What a receiver does whose sink takes everything at once: what a batch leased is settled with the
/// next one.
async fn store(
    inbox: &PostgresInbox,
    sink: Option<SinkId>,
    mut offers: impl FnMut() -> Vec<Offer>,
) -> f64 {
    let (begun, mut stored) = (Instant::now(), 0);
    let mut settled = Vec::new();
    while begun.elapsed() < EACH {
        let offers = offers();
        stored += i64::try_from(offers.len()).unwrap();
        let claim = |sink: SinkId| Claim::new(sink, 2048, Duration::from_secs(60));
        let batch = Batch {
            settled: std::mem::take(&mut settled),
            offers,
            claims: sink.into_iter().map(claim).collect(),
            ..Batch::default()
        };
        let committed = inbox
            .commit(Arc::new(batch), SystemClock.now())
            .await
            .unwrap();
        assert!(committed.offered.iter().all(|offered| offered.seq > Seq(0)));
        let settle = |lease: Lease| lease.settle(Settlement::Delivered);
        settled = committed.leases.into_iter().map(settle).collect();
    }
    let rate = per_second(stored, begun.elapsed());
    let last = Batch {
        settled,
        ..Batch::default()
    };
    inbox
        .commit(Arc::new(last), SystemClock.now())
        .await
        .unwrap();
    rate
}
