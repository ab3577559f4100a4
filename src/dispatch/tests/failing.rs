//! Sinks that fail: what is tried again, what is not, and when nothing is tried at all.

use super::*;
use crate::inbox::{Rate, Report};
use crate::metrics::{Pause, PauseReason};

fn busy() -> Result<Taken, SinkError> {
    Err(SinkError::Retry(Failure::new("busy")))
}

fn unknown() -> Result<Taken, SinkError> {
    Err(SinkError::Unknown(Failure::new("no end")))
}

/// Retries come so late that only the breaker, or a hold's end, can bring one.
fn patient(plan: Plan) -> Plan {
    Plan {
        retry: Retry {
            initial: Duration::from_secs(3600),
            max: Duration::from_secs(7200),
            ..Retry::default()
        },
        batch: 1,
        stalls_after: None,
        ..plan
    }
}

impl Set {
    async fn begins(&mut self) -> i64 {
        self.begun.recv().await.expect("the dispatcher runs").0
    }

    fn paused(&self) -> i64 {
        self.metrics.sink(&Arc::from("s")).paused.get()
    }

    /// Why it is paused, and whether it is known until when.
    fn reason(&self) -> Option<(PauseReason, bool)> {
        let pause = self.metrics.pause_of("s");
        pause.map(|Pause { reason, until, .. }| (reason, until.is_some()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_for_several_subjects_is_left_alone_until_a_probe_works() {
    // Ten failures open it, and the first probe is one more.
    let ends = (0..11).map(|_| busy()).collect();
    let mut set = set_with(ends, None, patient).await;
    for id in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        set.offer(id, false, NEW).await;
    }
    for _ in 0..10 {
        set.begins().await;
    }
    while set.paused() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(set.reason(), Some((PauseReason::Failing, true)));
    set.offer("k", false, NEW).await;
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert!(
        set.begun.try_recv().is_err(),
        "nothing is attempted while it is open"
    );
    // The first probe fails, the second works, and then everything is due.
    let opened = tokio::time::Instant::now();
    set.begins().await;
    set.begins().await;
    assert!(opened.elapsed() >= Duration::from_secs(10));
    for _ in 0..10 {
        set.begins().await;
    }
    while set.paused() == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(set.reason(), None);
    let delivered = "flashduty_deliveries_total{sink=\"s\",outcome=\"delivered\"} 11";
    while !set.exposed().contains(delivered) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_event_stops_no_other_subject() {
    let ends = vec![busy(), Ok(Taken::default()), busy(), Ok(Taken::default())];
    let mut set = set_with(ends, None, |plan| Plan {
        batch: 1,
        stalls_after: None,
        ..plan
    })
    .await;
    for id in ["a", "b", "c", "d"] {
        set.offer(id, false, NEW).await;
    }
    for _ in 0..6 {
        set.begins().await;
    }
    assert_eq!(set.paused(), 0);
}

#[tokio::test]
async fn an_attempt_whose_end_is_unknown_is_repeated_unless_it_must_not_happen_twice() {
    let mut set = set(vec![unknown()], None).await;
    let seq = set.offer("a", false, NEW).await;
    set.begins().await;
    assert_eq!(set.begins().await, seq.0);
    set.until_counted("delivered").await;

    let mut set = super::set(vec![unknown()], None).await;
    let seq = set.offer("c", true, NEW).await;
    set.begins().await;
    set.until_counted("dead").await;
    assert_eq!(
        set.end(seq).await,
        (DeliveryState::Dead, Some("interrupted: no end".to_owned()))
    );

    let once = |plan| Plan { once: true, ..plan };
    let mut set = set_with(vec![unknown()], None, once).await;
    let seq = set.offer("a", false, NEW).await;
    set.begins().await;
    set.until_counted("dead").await;
    assert_eq!(set.end(seq).await.0, DeliveryState::Dead);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_ends_at_its_timeout() {
    let hold = Arc::new(Notify::new());
    let timed = |plan| Plan {
        timeout: Some(Duration::from_secs(10)),
        stalls_after: None,
        ..plan
    };
    let mut set = set_with(Vec::new(), Some(Arc::clone(&hold)), timed).await;
    let seq = set.offer("a", false, NEW).await;
    set.begins().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(set.begins().await, seq.0);
    assert!(begun.elapsed() >= Duration::from_secs(10));
    hold.notify_one();
    set.until_counted("delivered").await;
}

#[tokio::test]
async fn several_attempts_run_at_the_same_time_and_no_more_than_allowed() {
    let hold = Arc::new(Notify::new());
    let wide = |plan| Plan {
        batch: 1,
        concurrency: 3,
        stalls_after: None,
        ..plan
    };
    let mut set = set_with(Vec::new(), Some(Arc::clone(&hold)), wide).await;
    for id in ["a", "b", "c", "d", "e"] {
        set.offer(id, false, NEW).await;
    }
    for _ in 0..3 {
        set.begins().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(set.begun.try_recv().is_err(), "three at once");
    hold.notify_one();
    set.begins().await;
}

#[tokio::test]
async fn what_the_sink_does_not_need_is_superseded_with_its_reason() {
    let needless = Taken {
        needless: Some("it has a ticket".to_owned()),
        report: None,
    };
    let mut set = set(vec![Ok(needless)], None).await;
    let seq = set.offer("a", false, NEW).await;
    set.begins().await;
    set.until_counted("superseded").await;
    assert_eq!(
        set.end(seq).await,
        (
            DeliveryState::Superseded,
            Some("it has a ticket".to_owned())
        )
    );
}

#[tokio::test]
async fn a_hold_is_for_the_whole_sink_and_ends_by_itself() {
    let held = Failure {
        hold: Some(Duration::from_millis(300)),
        ..Failure::new("too many requests")
    };
    let narrow = |plan| Plan {
        batch: 1,
        stalls_after: None,
        ..plan
    };
    let mut set = set_with(vec![Err(SinkError::Retry(held))], None, narrow).await;
    set.offer("a", false, NEW).await;
    set.begins().await;
    while set.paused() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(set.reason(), Some((PauseReason::Held, true)));
    let begun = std::time::Instant::now();
    set.offer("b", false, NEW).await;
    set.begins().await;
    assert!(
        begun.elapsed() >= Duration::from_millis(250),
        "b waited, too"
    );
    set.begins().await;
}

#[tokio::test]
async fn no_more_attempts_are_made_than_the_rate_allows() {
    let rated = |plan| Plan {
        batch: 1,
        concurrency: 8,
        stalls_after: None,
        rates: Arc::from([Rate {
            count: 2,
            window: Duration::from_millis(300),
        }]),
        ..plan
    };
    let mut set = set_with(Vec::new(), None, rated).await;
    let begun = std::time::Instant::now();
    for id in ["a", "b", "c", "d", "e"] {
        set.offer(id, false, NEW).await;
    }
    for _ in 0..5 {
        set.begins().await;
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "two in each 300 ms"
    );
}

#[tokio::test]
async fn a_plan_that_changes_holds_for_the_very_next_claim() {
    let mut set = set(Vec::new(), None).await;
    set.offer("before", false, NEW).await;
    set.begins().await;
    set.until_counted("delivered").await;
    let rates = Arc::from([Rate {
        count: 1,
        window: Duration::from_secs(3600),
    }]);
    let changed = Plan {
        rates,
        ..Plan::clone(&set.plan.borrow())
    };
    // Nothing but the change wakes it.
    set.plan.send_replace(Arc::new(changed));
    tokio::task::yield_now().await;
    let offered = ["a", "b"].map(|id| set.committer.offer(set.build(id, false, NEW)));
    let mut next = Seq(0);
    for offered in offered {
        next = offered.await.unwrap().unwrap().seq().unwrap();
    }
    set.begins().await;
    assert_eq!(set.end(next).await.0, DeliveryState::Pending);
}

#[tokio::test]
async fn an_interrupted_attempt_stays_unknown_though_the_next_one_only_failed() {
    let set = set(Vec::new(), None).await;
    set.stop.cancel();
    set.offer("a", false, NEW).await;
    let mut later = Timestamp::now();
    drop(leases(&set, later, Duration::from_millis(1)).await);
    let dispatcher = idle(&set);
    for remembers in [true, false] {
        later = later.checked_add(Duration::from_secs(1)).unwrap();
        let lease = leases(&set, later, Duration::from_millis(1))
            .await
            .remove(0);
        assert!(lease.interrupted);
        let plan = Plan {
            remembers,
            ..Plan::clone(&dispatcher.plan.borrow())
        };
        let busy = Err(SinkError::Retry(Failure::new("busy")));
        let end = dispatcher.end(&plan, lease, busy, &mut attempt::Ended::default());
        assert_eq!(end.unwrap().report.unwrap().unsure, remembers);
    }
}

#[tokio::test]
async fn what_an_answer_said_is_there_for_the_next_attempt_of_its_subject() {
    let remember = Taken {
        needless: None,
        report: Some(Box::new(Report {
            remember: vec![("ticket".to_owned(), "OPS-1".to_owned())],
            ..Report::default()
        })),
    };
    let remembering = |plan| Plan {
        remembers: true,
        ..plan
    };
    let mut set = set_with(vec![Ok(remember)], None, remembering).await;
    set.offer("a", false, NEW).await;
    set.begins().await;
    let mut offer = set.another("a2", "a");
    set.stop.cancel();
    set.dispatching.await.unwrap().unwrap();
    set.committer.finish();
    set.committing.await.unwrap().unwrap();
    let mut claim = crate::inbox::Claim::new(set.sink, 1, Duration::from_secs(60));
    claim.remembered = true;
    offer.claims.push(claim);
    let now = crate::clock::Clock::now(&SystemClock);
    let committed = set.inbox.commit(Arc::new(offer), now).await.unwrap();
    let known = [("ticket".to_owned(), "OPS-1".to_owned())];
    assert_eq!(committed.leases[0].remembered, known);
}
