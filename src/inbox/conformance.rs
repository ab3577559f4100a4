//! What every inbox must do, stated once and run against each backend.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::query::{DeliveryFilter, DeliveryState, EventFilter};
use super::*;
use crate::event::{Event, Id, Key, Origin, Outcome, Route, Subject};

/// Turns each property below into a test of the inbox that `$make` opens.
macro_rules! conformance {
    ($make:path: $($property:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $property() {
            let inbox = $make().await;
            $crate::inbox::conformance::$property(&*inbox).await;
            inbox.close().await.unwrap();
        }
    )+};
}
pub(super) use conformance;

pub(super) const TTL: Duration = Duration::from_secs(60);

/// Seconds after the tests' beginning of time.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// An offer under construction.
#[derive(Clone)]
pub(super) struct Given {
    id: &'static str,
    subject: Option<&'static str>,
    time: Option<i64>,
    command: bool,
    moves_mark: bool,
    body: &'static str,
    wanted: Vec<Wanted>,
    received: i64,
}

pub(super) fn event(id: &'static str) -> Given {
    Given {
        id,
        subject: Some("incident:664af"),
        time: None,
        command: false,
        moves_mark: true,
        body: "{}",
        wanted: Vec::new(),
        received: 0,
    }
}

impl Given {
    pub(super) fn of(mut self, subject: &'static str) -> Self {
        self.subject = Some(subject);
        self
    }

    pub(super) fn time(mut self, time: i64) -> Self {
        self.time = Some(time);
        self
    }

    fn command(mut self) -> Self {
        self.command = true;
        self.moves_mark = false;
        self
    }

    fn far_ahead(mut self, time: i64) -> Self {
        self.time = Some(time);
        self.moves_mark = false;
        self
    }

    fn alone(mut self) -> Self {
        self.subject = None;
        self
    }

    fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    pub(super) fn received(mut self, seconds: i64) -> Self {
        self.received = seconds;
        self
    }

    pub(super) fn to(mut self, sink: SinkId) -> Self {
        self.wanted.push(Wanted {
            sink,
            include_stale: false,
            in_order: true,
        });
        self
    }

    fn with_stale_to(mut self, sink: SinkId) -> Self {
        self = self.to(sink);
        self.wanted.last_mut().unwrap().include_stale = true;
        self
    }

    pub(super) fn offer(self) -> Offer {
        let mut key = [0; 16];
        for (place, byte) in key.iter_mut().zip(self.id.bytes()) {
            *place = byte;
        }
        Offer {
            event: Arc::new(Event {
                event_id: Some(Id::new(self.id)),
                event_type: Id::new(if self.command { "i_custom" } else { "i_ack" }),
                event_time: self.time,
                subject: self.subject.and_then(Subject::parse),
                route: Route::default(),
                command: self.command,
                source_ip: Some(IpAddr::from([47, 94, 95, 118])),
                peer_ip: Some(IpAddr::from([10, 0, 0, 1])),
                received_at: at(self.received),
                origin: Origin::Push,
                trace_parent: None,
                body: Bytes::from_static(self.body.as_bytes()),
            }),
            key: Some(Key(key)),
            moves_mark: self.moves_mark,
            wanted: self.wanted.into(),
        }
    }
}

async fn offer(inbox: &dyn Inbox, given: Given) -> Offered {
    offer_all(inbox, vec![given]).await[0]
}

async fn offer_all(inbox: &dyn Inbox, given: Vec<Given>) -> Vec<Offered> {
    let batch = Batch {
        offers: given.into_iter().map(Given::offer).collect(),
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap().offered
}

pub(super) async fn claim(
    inbox: &dyn Inbox,
    sink: SinkId,
    slots: usize,
    now: Timestamp,
) -> Committed {
    let batch = Batch {
        claims: vec![Claim {
            sink,
            slots,
            ttl: TTL,
        }],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), now).await.unwrap()
}

pub(super) async fn settle(
    inbox: &dyn Inbox,
    lease: Lease,
    settlement: Settlement,
    now: Timestamp,
) -> Committed {
    let batch = Batch {
        settled: vec![lease.settle(settlement)],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), now).await.unwrap()
}

async fn pending(inbox: &dyn Inbox) -> u64 {
    inbox
        .counts()
        .await
        .unwrap()
        .sinks
        .iter()
        .map(|sink| sink.pending)
        .sum()
}

async fn state(inbox: &dyn Inbox, seq: Seq) -> DeliveryState {
    let filter = DeliveryFilter {
        seq: Some(seq),
        limit: 10,
        ..DeliveryFilter::default()
    };
    inbox.deliveries(filter).await.unwrap().items[0].state
}

pub(super) async fn the_same_event_is_stored_once(inbox: &dyn Inbox) {
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

pub(super) async fn a_duplicate_with_another_body_is_noticed(inbox: &dyn Inbox) {
    offer(inbox, event("a").body("{\"a\":1}")).await;
    assert!(offer(inbox, event("a").body("{\"a\":2}")).await.differs);
}

pub(super) async fn a_batch_is_judged_one_by_one(inbox: &dyn Inbox) {
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

pub(super) async fn only_a_strictly_earlier_event_of_the_subject_is_stale(inbox: &dyn Inbox) {
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

pub(super) async fn a_command_is_never_stale_and_moves_no_mark(inbox: &dyn Inbox) {
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

pub(super) async fn a_time_far_ahead_moves_no_mark(inbox: &dyn Inbox) {
    offer(inbox, event("a").far_ahead(1_000_000)).await;
    assert_eq!(
        offer(inbox, event("b").time(10)).await.outcome,
        Outcome::Accepted
    );
}

pub(super) async fn a_stale_event_goes_only_where_it_is_asked_for(inbox: &dyn Inbox) {
    let plain = inbox.sink("plain").await.unwrap();
    let all = inbox.sink("all").await.unwrap();
    offer(inbox, event("a").time(10)).await;
    let stale = offer(inbox, event("b").time(9).to(plain).with_stale_to(all)).await;
    assert!(claim(inbox, plain, 5, at(1)).await.leases.is_empty());
    let leases = claim(inbox, all, 5, at(1)).await.leases;
    assert_eq!((leases[0].seq, leases[0].stale), (stale.seq, true));
}

pub(super) async fn a_body_comes_back_byte_for_byte(inbox: &dyn Inbox) {
    let body = "{\"n\":123456789012345678901234567890,\"s\":\"\\u0000\"}  \n";
    let offered = offer(inbox, event("a").body(body)).await;
    let (row, bytes) = inbox.event(offered.seq).await.unwrap().unwrap();
    assert_eq!(bytes, body.as_bytes());
    assert_eq!(row.body_bytes, body.len() as u64);
}

pub(super) async fn a_leased_delivery_is_not_leased_again(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 1);
    assert!(claim(inbox, sink, 5, at(2)).await.leases.is_empty());
}

pub(super) async fn a_new_event_is_leased_by_the_transaction_that_stores_it(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: ["a", "b", "c"]
            .map(|id| {
                event(id)
                    .of(if id == "b" { "alert:b" } else { "alert:a" })
                    .to(sink)
                    .offer()
            })
            .into(),
        claims: vec![Claim {
            sink,
            slots: 5,
            ttl: TTL,
        }],
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let leased: Vec<i64> = committed.leases.iter().map(|lease| lease.seq.0).collect();
    assert_eq!(
        leased,
        [1, 2],
        "the third waits behind the first of its subject"
    );
    assert_eq!(pending(inbox).await, 3);
}

pub(super) async fn a_subjects_deliveries_follow_one_another(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![
            event("a").to(sink),
            event("b").to(sink),
            event("c").to(sink),
        ],
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut leases = claim(inbox, sink, 5, at(1)).await.leases;
        assert_eq!(leases.len(), 1, "one at a time");
        let lease = leases.remove(0);
        seen.push(lease.seq.0);
        settle(inbox, lease, Settlement::Delivered, at(1)).await;
    }
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(pending(inbox).await, 0);
    assert!(claim(inbox, sink, 5, at(9)).await.leases.is_empty());
}

pub(super) async fn subjects_do_not_wait_for_each_other(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![
            event("a").of("alert:1").to(sink),
            event("b").of("alert:2").to(sink),
        ],
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 2);
}

pub(super) async fn events_without_a_subject_do_not_wait_for_each_other(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases.len(), 2);
}

pub(super) async fn no_more_is_leased_than_there_are_slots(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    assert_eq!(claim(inbox, sink, 1, at(1)).await.leases.len(), 1);
}

pub(super) async fn a_lease_that_ran_out_is_found_and_marked(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let first = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    assert_eq!((first.attempt, first.interrupted), (1, false));
    assert!(claim(inbox, sink, 5, at(59)).await.leases.is_empty());
    let second = claim(inbox, sink, 5, at(60)).await.leases.remove(0);
    assert_eq!((second.attempt, second.interrupted), (2, true));
    let lost = settle(inbox, first, Settlement::Delivered, at(61))
        .await
        .lost;
    assert_eq!(lost, [(Seq(1), sink)], "a lost lease changes nothing");
    assert_eq!(state(inbox, Seq(1)).await, DeliveryState::Leased);
    assert!(
        settle(inbox, second, Settlement::Delivered, at(61))
            .await
            .lost
            .is_empty()
    );
    assert_eq!(state(inbox, Seq(1)).await, DeliveryState::Delivered);
}

pub(super) async fn a_retry_waits_until_it_is_due(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(
        inbox,
        lease,
        Settlement::RetryAt(at(30), "busy".to_owned()),
        at(1),
    )
    .await;
    let early = claim(inbox, sink, 5, at(29)).await;
    assert!(early.leases.is_empty());
    assert_eq!(early.next_due, [(sink, Some(at(30)))]);
    let again = claim(inbox, sink, 5, at(30)).await.leases.remove(0);
    assert_eq!((again.attempt, again.interrupted), (2, false));
}

pub(super) async fn a_released_lease_does_not_count_as_an_attempt(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(inbox, lease, Settlement::Released, at(1)).await;
    let again = claim(inbox, sink, 5, at(1)).await.leases.remove(0);
    assert_eq!((again.attempt, again.interrupted), (1, false));
}

pub(super) async fn a_dead_delivery_no_longer_holds_back_its_subject(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(inbox, vec![event("a").to(sink), event("b").to(sink)]).await;
    let lease = claim(inbox, sink, 5, at(0)).await.leases.remove(0);
    settle(
        inbox,
        lease,
        Settlement::Dead("no such ticket".to_owned()),
        at(1),
    )
    .await;
    assert_eq!(claim(inbox, sink, 5, at(1)).await.leases[0].seq, Seq(2));
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        sink: Some("s".to_owned()),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let dead = inbox.deliveries(filter).await.unwrap().items;
    assert_eq!(dead[0].last_error.as_deref(), Some("no such ticket"));
    assert_eq!(inbox.counts().await.unwrap().sinks[0].dead, 1);
}

pub(super) async fn an_event_is_found_by_id_by_subject_and_by_page(inbox: &dyn Inbox) {
    for id in ["a", "b", "c"] {
        offer(inbox, event(id)).await;
    }
    let page = |cursor| EventFilter {
        limit: 2,
        cursor,
        ..EventFilter::default()
    };
    let first = inbox.events(page(None)).await.unwrap();
    let second = inbox.events(page(first.next_cursor.clone())).await.unwrap();
    let seqs: Vec<i64> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|row| row.seq.0)
        .collect();
    assert_eq!(seqs, [3, 2, 1]);
    assert_eq!(second.next_cursor, None);
    let of_subject = EventFilter {
        limit: 10,
        subject: Subject::parse("incident:664af"),
        ..EventFilter::default()
    };
    assert_eq!(inbox.events(of_subject).await.unwrap().items.len(), 3);
}

pub(super) async fn settled_events_leave_after_the_retention_and_their_keys_stay(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![event("a").alone().to(sink), event("b").alone().to(sink)],
    )
    .await;
    let mut leases = claim(inbox, sink, 5, at(0)).await.leases;
    let waiting = leases.pop().unwrap();
    settle(inbox, leases.remove(0), Settlement::Delivered, at(100)).await;
    let prune = |now| Prune {
        what: PruneWhat::Aged,
        now,
        retention: Duration::from_secs(1000),
        after: Seq(0),
        wanted_bytes: 0,
    };
    assert_eq!(inbox.prune(prune(at(1099))).await.unwrap().events, 0);
    assert_eq!(inbox.prune(prune(at(1101))).await.unwrap().events, 1);
    assert!(inbox.event(Seq(1)).await.unwrap().is_none());
    assert!(
        inbox.event(waiting.seq).await.unwrap().is_some(),
        "it is not settled"
    );
    assert_eq!(
        offer(inbox, event("a").alone()).await.outcome,
        Outcome::Duplicate
    );
    assert_eq!(inbox.counts().await.unwrap().events, 1);
}

pub(super) async fn room_is_made_in_the_order_in_which_loss_hurts_least(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let given = |id, seconds| event(id).alone().to(sink).received(seconds);
    offer_all(
        inbox,
        vec![
            given("old", 0),
            given("dead", 0),
            given("young", 5000),
            given("waits", 5000),
        ],
    )
    .await;
    let mut leases = claim(inbox, sink, 3, at(0)).await.leases;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Delivered,
        at(5000),
    )
    .await;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Dead("x".to_owned()),
        at(5000),
    )
    .await;
    settle(
        inbox,
        leases.pop().unwrap(),
        Settlement::Delivered,
        at(5000),
    )
    .await;
    let mut gone = Vec::new();
    for what in [
        PruneWhat::Settled,
        PruneWhat::Dead,
        PruneWhat::Waiting { sinks: vec![sink] },
    ] {
        let prune = Prune {
            what,
            now: at(5001),
            retention: Duration::from_secs(7 * 86_400),
            after: Seq(0),
            wanted_bytes: 0,
        };
        inbox.prune(prune).await.unwrap();
        let mut left = Vec::new();
        for seq in 1..=4 {
            left.extend(inbox.event(Seq(seq)).await.unwrap().map(|_| seq));
        }
        gone.push(left);
    }
    assert_eq!(gone, [vec![2, 3, 4], vec![3, 4], vec![3]]);
    assert_eq!(pending(inbox).await, 0);
}

pub(super) async fn the_unreadable_box_keeps_the_newest_within_its_bounds(inbox: &dyn Inbox) {
    let unreadable = |body: &'static str| Unreadable {
        received_at: at(0),
        reason: "no JSON".to_owned(),
        route: Route::default(),
        source_ip: None,
        peer_ip: None,
        body: Bytes::from_static(body.as_bytes()),
    };
    let bounds = UnreadableBounds {
        count: 3,
        bytes: 10,
    };
    for body in ["1", "2", "3", "4"] {
        inbox
            .keep_unreadable(unreadable(body), bounds)
            .await
            .unwrap();
    }
    let kept = inbox.unreadables(None, 10).await.unwrap().items;
    assert_eq!(kept.len(), 3, "by count");
    inbox
        .keep_unreadable(unreadable("123456789"), bounds)
        .await
        .unwrap();
    let kept = inbox.unreadables(None, 10).await.unwrap().items;
    assert_eq!(
        kept.iter().map(|row| row.body_bytes).sum::<u64>(),
        10,
        "by bytes"
    );
    let (_, body) = inbox.unreadable(kept[0].id).await.unwrap().unwrap();
    assert_eq!(body, "123456789");
    assert!(inbox.drop_unreadable(kept[0].id).await.unwrap());
    assert!(!inbox.drop_unreadable(kept[0].id).await.unwrap());
}

/// The names of all properties, for a backend's own list.
macro_rules! every_property {
    ($make:path) => {
        $crate::inbox::conformance::conformance! { $make:
            the_same_event_is_stored_once,
            a_duplicate_with_another_body_is_noticed,
            a_batch_is_judged_one_by_one,
            only_a_strictly_earlier_event_of_the_subject_is_stale,
            a_command_is_never_stale_and_moves_no_mark,
            a_time_far_ahead_moves_no_mark,
            a_stale_event_goes_only_where_it_is_asked_for,
            a_body_comes_back_byte_for_byte,
            a_leased_delivery_is_not_leased_again,
            a_new_event_is_leased_by_the_transaction_that_stores_it,
            a_subjects_deliveries_follow_one_another,
            subjects_do_not_wait_for_each_other,
            events_without_a_subject_do_not_wait_for_each_other,
            no_more_is_leased_than_there_are_slots,
            a_lease_that_ran_out_is_found_and_marked,
            a_retry_waits_until_it_is_due,
            a_released_lease_does_not_count_as_an_attempt,
            a_dead_delivery_no_longer_holds_back_its_subject,
            an_event_is_found_by_id_by_subject_and_by_page,
            settled_events_leave_after_the_retention_and_their_keys_stay,
            room_is_made_in_the_order_in_which_loss_hurts_least,
            the_unreadable_box_keeps_the_newest_within_its_bounds,
        }
    };
}
pub(super) use every_property;
