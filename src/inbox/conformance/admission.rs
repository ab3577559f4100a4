//! Which events are stored, and as what.

use super::*;

pub(in crate::inbox) async fn the_same_event_is_stored_once(inbox: &dyn Inbox) {
    let first = offer(inbox, event("a")).await;
    assert_eq!(first.outcome, Outcome::Accepted);
    let second = offer(inbox, event("a")).await;
    assert_eq!(
        (second.outcome, second.seq),
        (Outcome::Duplicate, first.seq)
    );
    assert!(!second.differs);
    assert_eq!(inbox.counts().await.unwrap().events, 1);
}

pub(in crate::inbox) async fn a_duplicate_with_another_body_is_noticed(inbox: &dyn Inbox) {
    offer(inbox, event("a").body("{\"a\":1}")).await;
    assert!(offer(inbox, event("a").body("{\"a\":2}")).await.differs);
}

pub(in crate::inbox) async fn a_batch_is_judged_one_by_one(inbox: &dyn Inbox) {
    let outcomes: Vec<Outcome> = offer_all(
        inbox,
        vec![
            event("a").time(5),
            event("a").time(5),
            event("b").time(4),
            event("c").time(5),
        ],
    )
    .await
    .iter()
    .map(|offered| offered.outcome)
    .collect();
    use Outcome::{Accepted, Duplicate, Stale};
    assert_eq!(outcomes, [Accepted, Duplicate, Stale, Accepted]);
}

pub(in crate::inbox) async fn only_a_strictly_earlier_event_of_the_subject_is_stale(
    inbox: &dyn Inbox,
) {
    offer(inbox, event("a").time(10)).await;
    assert_eq!(
        offer(inbox, event("b").time(10)).await.outcome,
        Outcome::Accepted
    );
    assert_eq!(
        offer(inbox, event("c").time(9)).await.outcome,
        Outcome::Stale
    );
    assert_eq!(
        offer(inbox, event("d").of("alert:1").time(9)).await.outcome,
        Outcome::Accepted
    );
    assert_eq!(
        offer(inbox, event("e").alone().time(1)).await.outcome,
        Outcome::Accepted
    );
    assert_eq!(
        offer(inbox, event("f")).await.outcome,
        Outcome::Accepted,
        "no time, no staleness"
    );
}

pub(in crate::inbox) async fn a_command_is_never_stale_and_moves_no_mark(inbox: &dyn Inbox) {
    offer(inbox, event("a").time(10)).await;
    assert_eq!(
        offer(inbox, event("b").command().time(5)).await.outcome,
        Outcome::Accepted
    );
    offer(inbox, event("c").command().time(20)).await;
    assert_eq!(
        offer(inbox, event("d").time(15)).await.outcome,
        Outcome::Accepted
    );
}

pub(in crate::inbox) async fn a_time_far_ahead_moves_no_mark(inbox: &dyn Inbox) {
    offer(inbox, event("a").far_ahead(1_000_000)).await;
    assert_eq!(
        offer(inbox, event("b").time(10)).await.outcome,
        Outcome::Accepted
    );
}

pub(in crate::inbox) async fn a_stale_event_goes_only_where_it_is_asked_for(inbox: &dyn Inbox) {
    let plain = inbox.sink("plain").await.unwrap();
    let all = inbox.sink("all").await.unwrap();
    offer(inbox, event("a").time(10)).await;
    let stale = offer(inbox, event("b").time(9).to(plain).with_stale_to(all)).await;
    assert!(claim(inbox, plain, 5, at(1)).await.leases.is_empty());
    let leases = claim(inbox, all, 5, at(1)).await.leases;
    assert_eq!((leases[0].seq, leases[0].stale), (stale.seq, true));
}

pub(in crate::inbox) async fn a_body_comes_back_byte_for_byte(inbox: &dyn Inbox) {
    let body = "{\"n\":123456789012345678901234567890,\"s\":\"\\u0000\"}  \n";
    let offered = offer(inbox, event("a").body(body)).await;
    let (row, bytes) = inbox.event(offered.seq).await.unwrap().unwrap();
    assert_eq!(bytes, body.as_bytes());
    assert_eq!(row.body_bytes, body.len() as u64);
}
