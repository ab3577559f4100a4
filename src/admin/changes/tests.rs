//! What a step changes and what it leaves alone, on a store of its own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Action, ChangeRequest, Hand};
use crate::event::Event;
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Batch, Claim, Inbox as _, Offer, Order, Wanted};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_777_888_800 + second).unwrap()
}

#[tokio::test]
async fn what_was_under_way_to_a_sink_that_is_gone_can_be_dropped_once_its_lease_has_ended() {
    let inbox = SqliteInbox::in_memory();
    let sink = inbox.sink("gone").await.unwrap();
    let wanted = Wanted {
        sink,
        order: Order::Subject,
        fresh: true,
        stale: true,
    };
    let offer = Offer {
        event: Arc::new(Event::sample("{}")),
        key: None,
        moves_mark: false,
        wanted: vec![wanted].into(),
    };
    let batch = Batch {
        offers: vec![offer],
        claims: vec![Claim::new(sink, 1, Duration::from_secs(60))],
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    assert_eq!(committed.leases.len(), 1);
    let request = ChangeRequest {
        sink: Some("gone".to_owned()),
        reason: Some("tested".to_owned()),
        ..ChangeRequest::default()
    };
    for (second, result) in [(59, "running"), (60, "dropped")] {
        let hand = Hand {
            inbox: &inbox,
            target: &|_: &str| None,
            who: "10.0.0.9".to_owned(),
            now: at(second),
        };
        let step = hand.step(Action::Drop, &request).await.unwrap();
        let results: Vec<&str> = step.items.iter().map(|item| &*item.result).collect();
        assert_eq!(results, [result], "after {second} s");
    }
    inbox.close().await.unwrap();
}
