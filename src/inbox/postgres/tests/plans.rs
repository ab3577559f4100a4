//! How the database finds rows, whatever its statistics say.

use super::*;
use crate::inbox::conformance::{TTL, at, event};
use crate::inbox::{Claim, Lease, Settlement};

const MANY: usize = 300;

#[tokio::test]
async fn a_batch_looks_for_its_own_lanes_only() {
    let database = database().await;
    let options = PostgresOptions {
        // Whoever asks at the end is the one who did it all.
        pool: 1,
        ..options(&database)
    };
    let inbox = PostgresInbox::open(options).await.unwrap();
    let sink = inbox.sink("s").await.unwrap();
    // What there is to know of a table that is empty at night.
    let server = server::Server::shared();
    server.sql(&database, "VACUUM ANALYZE lanes, leases");
    let mut settled = Vec::new();
    for round in 0..3 {
        let offer = |n: usize| {
            let id: &'static str = format!("{round}-{n}").leak();
            event(id).alone().to(sink).offer()
        };
        let batch = Batch {
            settled: std::mem::take(&mut settled),
            offers: (0..MANY).map(offer).collect(),
            claims: vec![Claim::new(sink, MANY, TTL)],
            ..Batch::default()
        };
        let committed = inbox.commit(Arc::new(batch), at(1)).await.unwrap();
        assert_eq!(committed.leases.len(), MANY);
        let delivered = |lease: Lease| lease.settle(Settlement::Delivered);
        settled = committed.leases.into_iter().map(delivered).collect();
    }
    let mut session = inbox.session().await.unwrap();
    let told = session
        .raw()
        .batch_execute("SELECT pg_stat_force_next_flush()");
    told.await.unwrap();
    for (index, most) in [
        ("lanes_by_time", MANY),
        ("lanes_pkey", MANY),
        ("leases_pkey", MANY),
        ("deliveries_pkey", 10 * MANY),
    ] {
        let read =
            format!("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        let read: usize = server.sql(&database, &read).parse().unwrap();
        assert!(read < most, "{read} were looked at in {index}");
    }
}
