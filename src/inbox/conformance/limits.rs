//! Rates, holds, probes and memory: what a claim leaves for later, and what a lease carries.

use super::change::wanted;
use super::*;

async fn commit(inbox: &dyn Inbox, batch: Batch, now: Timestamp) -> Committed {
    inbox.commit(Arc::new(batch), now).await.unwrap()
}

fn rated(sink: SinkId, count: u32, window: u64) -> Claim {
    Claim {
        rates: [Rate {
            count,
            window: Duration::from_secs(window),
        }]
        .into(),
        ..Claim::new(sink, 100, TTL)
    }
}

fn claims(claims: Vec<Claim>) -> Batch {
    Batch {
        claims,
        ..Batch::default()
    }
}

async fn fill(inbox: &dyn Inbox, sink: SinkId) {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let given = ids.map(|id| event(id).alone().to(sink));
    offer_all(inbox, given.into()).await;
}

pub(in crate::inbox) async fn attempts_count_against_the_rate_until_a_window_after_their_end(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    fill(inbox, sink).await;
    let both = vec![rated(sink, 3, 10), rated(sink, 3, 10)];
    let mut first = commit(inbox, claims(both), at(0)).await.leases;
    assert_eq!(first.len(), 3, "two who claim share the rate");
    let given_back = first.remove(2).settle(Settlement::Released);
    let ended = first.remove(1).settle(Settlement::Delivered);
    let batch = Batch {
        settled: vec![given_back, ended],
        claims: vec![rated(sink, 3, 10)],
        ..Batch::default()
    };
    let second = commit(inbox, batch, at(5)).await;
    assert_eq!(second.leases.len(), 1, "what was given back counts no more");
    assert_eq!(second.next_due, [(sink, Some(at(15)))]);
    let early = commit(inbox, claims(vec![rated(sink, 3, 10)]), at(14)).await;
    assert!(early.leases.is_empty());
    let rates = rated(sink, 3, 10).rates;
    let exhausted = inbox.exhausted(sink, Arc::clone(&rates), at(14)).await;
    assert_eq!(exhausted.unwrap(), Some(at(15)), "as whoever looks is told");
    let exhausted = inbox.exhausted(sink, rates, at(15)).await;
    assert_eq!(exhausted.unwrap(), None);
    let later = commit(inbox, claims(vec![rated(sink, 3, 10)]), at(15)).await;
    assert_eq!(later.leases.len(), 1, "one ended ten seconds ago");
}

pub(in crate::inbox) async fn new_events_are_leased_within_the_rate_whoever_claims(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let batch = Batch {
        offers: ["a", "b", "c", "d"]
            .map(|id| event(id).alone().to(sink).offer())
            .into(),
        claims: vec![rated(sink, 2, 10), rated(sink, 2, 10)],
        ..Batch::default()
    };
    assert_eq!(commit(inbox, batch, at(0)).await.leases.len(), 2);
}

pub(in crate::inbox) async fn what_expires_uses_up_no_rate(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    fill(inbox, sink).await;
    let first = commit(inbox, claims(vec![rated(sink, 4, 10)]), at(0)).await;
    let settled = first.leases.into_iter();
    let batch = Batch {
        settled: settled
            .map(|lease| lease.settle(Settlement::Expired))
            .collect(),
        claims: vec![rated(sink, 4, 10)],
        ..Batch::default()
    };
    assert_eq!(commit(inbox, batch, at(0)).await.leases.len(), 4);
}

pub(in crate::inbox) async fn a_hold_stops_claims_until_it_is_over(inbox: &dyn Inbox) {
    let sink = inbox.sink("s").await.unwrap();
    fill(inbox, sink).await;
    let mut leases = claim(inbox, sink, 2, at(0)).await.leases;
    let mut hold = |until| {
        let report = Report {
            hold_until: Some(at(until)),
            ..Report::default()
        };
        let retry = Settlement::RetryAt(at(1), "slower".to_owned());
        leases.remove(0).settle_with(retry, Some(Box::new(report)))
    };
    let batch = Batch {
        // The longer hold stays, whichever is said last.
        settled: vec![hold(60), hold(20)],
        claims: vec![Claim::new(sink, 5, TTL)],
        ..Batch::default()
    };
    let held = commit(inbox, batch, at(1)).await;
    assert!(held.leases.is_empty());
    assert_eq!(held.next_due, [(sink, Some(at(60)))]);
    assert!(claim(inbox, sink, 5, at(59)).await.leases.is_empty());
    assert_eq!(claim(inbox, sink, 5, at(60)).await.leases.len(), 5);
    let counts = inbox.counts().await.unwrap();
    assert_eq!(counts.sinks[0].held_until, Some(at(60)));
}

pub(in crate::inbox) async fn a_probe_finds_what_waits_and_a_recovery_makes_all_due(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    fill(inbox, sink).await;
    let leases = claim(inbox, sink, 10, at(0)).await.leases.into_iter();
    let retry = |lease: Lease| lease.settle(Settlement::RetryAt(at(500), "down".to_owned()));
    let batch = Batch {
        settled: leases.map(retry).collect(),
        ..Batch::default()
    };
    commit(inbox, batch, at(1)).await;
    assert!(claim(inbox, sink, 10, at(2)).await.leases.is_empty());
    let probe = Claim {
        probe: true,
        ..Claim::new(sink, 1, TTL)
    };
    let mut found = commit(inbox, claims(vec![probe]), at(2)).await.leases;
    assert_eq!(found.len(), 1);
    let batch = Batch {
        settled: vec![found.remove(0).settle(Settlement::Delivered)],
        recovered: vec![sink],
        claims: vec![Claim::new(sink, 20, TTL)],
        ..Batch::default()
    };
    assert_eq!(commit(inbox, batch, at(3)).await.leases.len(), 9);
}

pub(in crate::inbox) async fn what_is_remembered_comes_with_later_leases_of_subject_and_sink(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let other = inbox.sink("t").await.unwrap();
    let given = ["a", "b", "c"].map(|id| event(id).to(sink).to(other));
    offer_all(inbox, given.into()).await;
    offer(inbox, event("d").of("alert:1").to(sink)).await;
    let asking = |sink| Claim {
        remembered: true,
        ..Claim::new(sink, 1, TTL)
    };
    let mut leases = commit(inbox, claims(vec![asking(sink)]), at(1))
        .await
        .leases;
    let report = Report {
        remember: vec![("ticket".to_owned(), "T-1".to_owned())],
        ..Report::default()
    };
    let lease = leases.remove(0);
    assert_eq!((lease.seq, lease.remembered.len()), (Seq(1), 0));
    let batch = Batch {
        settled: vec![lease.settle_with(Settlement::Delivered, Some(Box::new(report)))],
        claims: vec![
            Claim {
                slots: 2,
                ..asking(sink)
            },
            asking(other),
        ],
        ..Batch::default()
    };
    let mut leases = commit(inbox, batch, at(2)).await.leases;
    leases.sort_by_key(|lease| (lease.sink, lease.seq));
    let remembered = leases.iter().map(|lease| {
        let values = lease.remembered.iter();
        let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
        (lease.sink, lease.seq.0, values)
    });
    assert_eq!(
        remembered.collect::<Vec<_>>(),
        [
            (sink, 2, vec!["T-1"]),
            (sink, 4, vec![]),
            (other, 1, vec![])
        ]
    );
}

pub(in crate::inbox) async fn an_interrupted_attempt_that_is_put_back_keeps_its_place_where_its_answer_is_needed(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let offered = |id: &'static str| Batch {
        offers: vec![Offer {
            wanted: [wanted(sink, Order::Latest)].into(),
            ..event(id).offer()
        }],
        ..Batch::default()
    };
    let asking = || {
        claims(vec![Claim {
            remembered: true,
            ..Claim::new(sink, 1, TTL)
        }])
    };
    commit(inbox, offered("a"), at(0)).await;
    drop(commit(inbox, asking(), at(0)).await);
    let lease = commit(inbox, asking(), at(60)).await.leases.remove(0);
    assert!(lease.interrupted);
    commit(inbox, offered("b"), at(61)).await;
    settle(inbox, lease, Settlement::Released, at(62)).await;
    let again = commit(inbox, asking(), at(63)).await.leases.remove(0);
    assert_eq!((again.seq, again.interrupted), (Seq(1), true));
    // Where no answer is needed, the later one is enough.
    settle(inbox, again, Settlement::Released, at(64)).await;
    let other = claim(inbox, sink, 1, at(65)).await.leases.remove(0);
    assert_eq!(other.seq, Seq(2));
}
