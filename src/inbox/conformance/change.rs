//! What people change by hand, and what later events, rates, holds and memory do to deliveries.

use super::*;
use crate::inbox::query::{AuditFilter, Candidate, DeliveryRow};

pub(super) fn wanted(sink: SinkId, order: Order) -> Wanted {
    Wanted {
        sink,
        order,
        fresh: true,
        stale: true,
    }
}

fn audit(action: &'static str) -> Audit {
    Audit {
        who: "10.0.0.9".to_owned(),
        action,
        selector: "state=dead".to_owned(),
        reason: "mended".to_owned(),
    }
}

async fn change(inbox: &dyn Inbox, seqs: &[i64], sink: SinkId, what: What) -> Vec<Changed> {
    let change = |seq: &i64| Change {
        seq: Seq(*seq),
        sink,
        what,
    };
    let changes = seqs.iter().map(change).collect();
    let word = match what {
        What::Replay(_) => "replay",
        What::Drop => "drop",
    };
    inbox.change(changes, audit(word), at(5)).await.unwrap()
}

const REPLAY: What = What::Replay(Order::Subject);

async fn row(inbox: &dyn Inbox, seq: i64) -> DeliveryRow {
    let filter = DeliveryFilter {
        seq: Some(Seq(seq)),
        limit: 10,
        ..DeliveryFilter::default()
    };
    inbox.deliveries(filter).await.unwrap().items.remove(0)
}

/// Claims and delivers one after the other, and says in which order.
async fn drain(inbox: &dyn Inbox, sink: SinkId, now: Timestamp) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        let mut leases = claim(inbox, sink, 1, now).await.leases;
        let Some(lease) = leases.pop() else {
            return seen;
        };
        seen.push(lease.seq.0);
        settle(inbox, lease, Settlement::Delivered, now).await;
    }
}

pub(in crate::inbox) async fn what_is_settled_waits_again_behind_what_waits_of_its_subject(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let ends = [
        Settlement::Delivered,
        Settlement::Dead("no".to_owned()),
        Settlement::Expired,
        Settlement::Superseded("needless".to_owned()),
    ];
    for id in ["a", "b", "c", "d", "e", "f"] {
        offer(inbox, event(id).to(sink)).await;
    }
    for end in ends {
        let lease = claim(inbox, sink, 1, at(1)).await.leases.remove(0);
        settle(inbox, lease, end, at(1)).await;
    }
    assert_eq!(change(inbox, &[5], sink, What::Drop).await, [Changed::Done]);
    assert_eq!(pending(inbox).await, 1);
    let done = change(inbox, &[1, 2, 3, 4, 5], sink, REPLAY).await;
    assert_eq!(done, [Changed::Done; 5]);
    assert_eq!(pending(inbox).await, 6);
    let replayed = row(inbox, 2).await;
    assert_eq!((replayed.attempts, replayed.replay), (0, true));
    assert_eq!(drain(inbox, sink, at(6)).await, [6, 1, 2, 3, 4, 5]);
    assert_eq!(pending(inbox).await, 0);
}

pub(in crate::inbox) async fn a_replay_is_marked_and_one_that_waits_or_runs_is_left_alone(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(inbox, vec![event("a").to(sink), event("b").to(sink)]).await;
    let lease = claim(inbox, sink, 1, at(1)).await.leases.remove(0);
    for what in [REPLAY, What::Drop] {
        let running = change(inbox, &[1], sink, what).await;
        assert_eq!(running, [Changed::Running]);
    }
    let left = change(inbox, &[2, 9], sink, REPLAY).await;
    assert_eq!(left, [Changed::Waiting, Changed::Gone]);
    settle(inbox, lease, Settlement::Delivered, at(6)).await;
    assert_eq!(
        change(inbox, &[1], sink, What::Drop).await,
        [Changed::Settled]
    );
    assert_eq!(change(inbox, &[1], sink, REPLAY).await, [Changed::Done]);
    let second = claim(inbox, sink, 1, at(7)).await.leases.remove(0);
    assert!(!second.replay);
    settle(inbox, second, Settlement::Delivered, at(7)).await;
    let again = claim(inbox, sink, 1, at(7)).await.leases.remove(0);
    assert_eq!((again.seq, again.attempt), (Seq(1), 1));
    assert!(again.replay && !again.interrupted);
}

pub(in crate::inbox) async fn a_drop_from_the_middle_keeps_the_order_of_the_rest(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    for id in ["a", "b", "c", "d"] {
        offer(inbox, event(id).to(sink)).await;
    }
    let done = change(inbox, &[2, 4], sink, What::Drop).await;
    assert_eq!(done, [Changed::Done; 2]);
    assert_eq!(pending(inbox).await, 2);
    let dropped = row(inbox, 2).await;
    assert_eq!(dropped.state, DeliveryState::Dropped);
    assert_eq!(
        dropped.last_error.as_deref(),
        Some("dropped by hand: mended")
    );
    offer(inbox, event("e").to(sink)).await;
    assert_eq!(drain(inbox, sink, at(6)).await, [1, 3, 5]);
}

pub(in crate::inbox) async fn an_event_without_a_delivery_gets_one_and_the_audit_says_so(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a")).await;
    assert_eq!(
        change(inbox, &[1, 7], sink, REPLAY).await,
        [Changed::Done, Changed::Gone]
    );
    assert_eq!(drain(inbox, sink, at(6)).await, [1]);
    let line = inbox
        .audited(AuditFilter::newest(10))
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!((line.action.as_str(), line.count), ("replay", 1));
    assert_eq!((line.who.as_str(), line.at), ("10.0.0.9", at(5)));
    assert_eq!(
        (line.selector.as_str(), line.reason.as_str()),
        ("state=dead", "mended")
    );
}

pub(in crate::inbox) async fn pages_of_deliveries_show_each_once_when_sinks_share_an_event(
    inbox: &dyn Inbox,
) {
    let mut sinks = Vec::new();
    for name in ["r", "s", "t"] {
        sinks.push(inbox.sink(name).await.unwrap());
    }
    for id in ["a", "b", "c"] {
        let given = sinks.iter().fold(event(id), |given, sink| given.to(*sink));
        offer(inbox, given).await;
    }
    let all = [3, 2, 1].into_iter();
    let all: Vec<_> = all
        .flat_map(|seq| ["r", "s", "t"].map(|sink| (seq, sink.to_owned())))
        .collect();
    for limit in 1..=10 {
        let mut filter = DeliveryFilter {
            limit,
            ..DeliveryFilter::default()
        };
        let mut seen = Vec::new();
        let mut oldest_first = Vec::new();
        loop {
            let page = inbox.deliveries(filter.clone()).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items.into_iter().map(|row| (row.seq.0, row.sink)));
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "pages of {limit}");
        loop {
            let page = inbox.candidates(filter.clone(), false).await.unwrap();
            let place = |row: Candidate| (row.seq.0, row.name);
            oldest_first.extend(page.items.into_iter().map(place));
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                break;
            }
        }
        seen.sort();
        assert_eq!(oldest_first, seen, "pages of {limit}, oldest first");
    }
}

pub(in crate::inbox) async fn candidates_for_one_sink_include_events_it_never_got(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer_all(
        inbox,
        vec![
            event("a"),
            event("b").to(sink),
            event("c").received(30),
            event("d").received(60),
        ],
    )
    .await;
    let filter = DeliveryFilter {
        limit: 10,
        sink: Some("s".to_owned()),
        until: Some(at(60)),
        upto: Some(Seq(3)),
        ..DeliveryFilter::default()
    };
    let found = async |filter: DeliveryFilter, create| {
        let page = inbox.candidates(filter, create).await.unwrap();
        let rows = page.items.into_iter();
        rows.map(|row| (row.seq.0, row.state)).collect::<Vec<_>>()
    };
    let waits = Some(DeliveryState::Pending);
    assert_eq!(
        found(filter.clone(), true).await,
        [(1, None), (2, waits), (3, None)]
    );
    assert_eq!(found(filter.clone(), false).await, [(2, waits)]);
    let by_id = DeliveryFilter {
        event_id: Some("b".to_owned()),
        ..filter
    };
    let page = inbox.deliveries(by_id.clone()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(found(by_id, true).await, [(2, waits)]);
}

/// Ten events of one subject for a sink that wants the latest; the first is leased before the rest.
async fn ten(inbox: &dyn Inbox, sink: SinkId) -> (Lease, Vec<(Seq, SinkId)>) {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let offer = |id: &'static str| Offer {
        wanted: [wanted(sink, Order::Latest)].into(),
        ..event(id).offer()
    };
    let batch = Batch {
        offers: vec![offer(ids[0])],
        claims: vec![Claim::new(sink, 1, TTL)],
        ..Batch::default()
    };
    let first = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    let mut superseded = Vec::new();
    for id in &ids[1..] {
        let batch = Batch {
            offers: vec![offer(id)],
            ..Batch::default()
        };
        let committed = inbox.commit(Arc::new(batch), at(1)).await.unwrap();
        superseded.extend(committed.superseded);
    }
    (first.leases.into_iter().next().unwrap(), superseded)
}

pub(in crate::inbox) async fn the_latest_supersedes_what_waits_and_not_what_runs(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let (first, superseded) = ten(inbox, sink).await;
    assert_eq!(superseded.len(), 8);
    settle(inbox, first, Settlement::Delivered, at(2)).await;
    assert_eq!(drain(inbox, sink, at(3)).await, [10]);
    assert_eq!(state(inbox, Seq(5)).await, DeliveryState::Superseded);
    assert_eq!(pending(inbox).await, 0);
}

pub(in crate::inbox) async fn the_latest_supersedes_what_would_have_to_be_tried_again(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let (first, _) = ten(inbox, sink).await;
    let retry = Settlement::RetryAt(at(30), "timed out".to_owned());
    let committed = settle(inbox, first, retry, at(2)).await;
    assert_eq!(committed.superseded, [(Seq(1), sink)]);
    assert_eq!(drain(inbox, sink, at(3)).await, [10]);
    assert_eq!(pending(inbox).await, 0);
    let attempts = (row(inbox, 1).await.attempts, row(inbox, 2).await.attempts);
    assert_eq!(attempts, (1, 0));
}

pub(in crate::inbox) async fn what_waits_for_its_retry_is_superseded_after_a_drop_of_the_latest(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let (first, _) = ten(inbox, sink).await;
    change(inbox, &[10], sink, What::Drop).await;
    let retry = Settlement::RetryAt(at(30), "timed out".to_owned());
    settle(inbox, first, retry, at(6)).await;
    let batch = Batch {
        offers: vec![Offer {
            wanted: [wanted(sink, Order::Latest)].into(),
            ..event("k").offer()
        }],
        ..Batch::default()
    };
    let committed = inbox.commit(Arc::new(batch), at(7)).await.unwrap();
    assert_eq!(committed.superseded, [(Seq(1), sink)]);
    assert_eq!(drain(inbox, sink, at(8)).await, [11]);
}

pub(in crate::inbox) async fn commands_stale_events_and_replays_supersede_nothing(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let latest = |given: Given| Offer {
        wanted: [wanted(sink, Order::Latest)].into(),
        ..given.offer()
    };
    let commit = async |given: Given, now| {
        let batch = Batch {
            offers: vec![latest(given)],
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), now).await.unwrap().superseded
    };
    commit(event("a").time(10), at(0)).await;
    assert_eq!(drain(inbox, sink, at(1)).await, [1]);
    assert_eq!(commit(event("b").time(11), at(2)).await, []);
    assert_eq!(commit(event("c").command(), at(2)).await, []);
    assert_eq!(commit(event("d").time(5), at(2)).await, []);
    change(inbox, &[1], sink, REPLAY).await;
    let superseded = commit(event("e").time(12), at(6)).await;
    assert_eq!(superseded, [(Seq(2), sink)]);
    assert_eq!(drain(inbox, sink, at(7)).await, [3, 4, 1, 5]);
}

pub(in crate::inbox) async fn a_replay_of_what_was_the_latest_is_not_superseded(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    let latest = |id| Batch {
        offers: vec![Offer {
            wanted: [wanted(sink, Order::Latest)].into(),
            ..event(id).offer()
        }],
        ..Batch::default()
    };
    inbox.commit(Arc::new(latest("a")), at(0)).await.unwrap();
    let lease = claim(inbox, sink, 1, at(1)).await.leases.remove(0);
    offer(inbox, event("b").command().to(sink)).await;
    settle(inbox, lease, Settlement::Delivered, at(2)).await;
    change(inbox, &[1], sink, REPLAY).await;
    let committed = inbox.commit(Arc::new(latest("c")), at(6)).await.unwrap();
    assert_eq!(committed.superseded, []);
    assert_eq!(drain(inbox, sink, at(7)).await, [2, 1, 3]);
}

pub(in crate::inbox) async fn attempts_are_kept_with_their_answers_also_across_a_replay(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    offer(inbox, event("a").to(sink)).await;
    for n in 1..=25_i64 {
        let lease = claim(inbox, sink, 1, at(n)).await.leases.remove(0);
        let report = Report {
            began: Some(at(n)),
            status: Some(500 + n),
            answer: Some("busy".to_owned()),
            ..Report::default()
        };
        let retry = match n {
            22 => Settlement::Dead("given up".to_owned()),
            _ => Settlement::RetryAt(at(n), "busy".to_owned()),
        };
        let batch = Batch {
            settled: vec![lease.settle_with(retry, Some(Box::new(report)))],
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), at(n)).await.unwrap();
        if n == 22 {
            assert_eq!(change(inbox, &[1], sink, REPLAY).await, [Changed::Done]);
        }
    }
    let kept = row(inbox, 1).await.history;
    let statuses: Vec<_> = kept.iter().filter_map(|attempt| attempt.status).collect();
    assert_eq!(statuses, (506..=525).collect::<Vec<_>>());
    assert_eq!(kept[0].began, Some(at(6)));
    assert_eq!(kept[19].answer.as_deref(), Some("busy"));
}
