//! Sinks that stall, dispatchers that end, and what they leave to the next one.

use super::*;
use crate::metrics::PauseReason;

#[tokio::test(start_paused = true)]
async fn a_sink_that_stalls_is_shown_as_paused_until_it_goes_on() {
    let hold = Arc::new(Notify::new());
    let mut set = set(Vec::new(), Some(Arc::clone(&hold))).await;
    let paused = set.metrics.sink(&Arc::from("s")).paused;
    let seq = set.offer("a", false, NEW).await;
    set.begun.recv().await;
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(paused.get(), 1);
    let why = set.metrics.pause_of("s").map(|pause| pause.reason);
    assert_eq!(why, Some(PauseReason::Blocked));
    hold.notify_one();
    set.until_counted("delivered").await;
    assert_eq!(paused.get(), 0);
    assert_eq!(set.end(seq).await.0, DeliveryState::Delivered);
}

#[tokio::test]
async fn an_interrupted_command_is_dead_and_an_interrupted_event_is_repeated() {
    let hold = Arc::new(Notify::new());
    let mut first = set(Vec::new(), Some(hold)).await;
    let command = first.offer("a", true, NEW).await;
    let event = first.offer("b", false, NEW).await;
    first.begun.recv().await;
    // As after a crash: the leases are there, and nobody holds them.
    first.dispatching.abort();
    let now = crate::clock::Clock::now(&SystemClock)
        .checked_add(Duration::from_secs(61))
        .unwrap();
    let leases = leases(&first, now, Duration::from_secs(60)).await;
    let (wanted, settled) = idle(&first).sorted(leases);
    assert_eq!(
        wanted
            .iter()
            .map(|lease| (lease.seq, lease.attempt))
            .collect::<Vec<_>>(),
        [(event, 2)]
    );
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].seq, command);
    assert_eq!(
        settled[0].settlement,
        Settlement::Dead("interrupted".to_owned())
    );
}

#[tokio::test]
async fn a_stop_lets_the_delivery_under_way_finish() {
    let hold = Arc::new(Notify::new());
    let mut set = set(Vec::new(), Some(Arc::clone(&hold))).await;
    let seq = set.offer("a", false, NEW).await;
    set.begun.recv().await;
    set.stop.cancel();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    hold.notify_one();
    assert_eq!(set.end(seq).await.0, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_sink_that_has_stalled() {
    let hold = Arc::new(Notify::new());
    let mut set = set(Vec::new(), Some(hold)).await;
    let seq = set.offer("a", false, NEW).await;
    set.begun.recv().await;
    assert_eq!(set.end(seq).await.0, DeliveryState::Leased);
}

#[tokio::test]
async fn a_lease_that_ran_out_while_it_waited_is_not_begun() {
    let mut set = set(Vec::new(), None).await;
    set.stop.cancel();
    (&mut set.dispatching).await.unwrap().unwrap();
    set.offer("a", false, NEW).await;
    let now = crate::clock::Clock::now(&SystemClock);
    let leases = leases(&set, now, Duration::ZERO).await;
    let (wanted, settled) = idle(&set).sorted(leases);
    assert!(wanted.is_empty());
    assert_eq!(settled[0].settlement, Settlement::Released);
}

#[tokio::test(start_paused = true)]
async fn a_check_of_the_store_does_not_hold_up_the_end() {
    let store = SqliteInbox::in_memory();
    let checking = Arc::default();
    let janitor = Janitor {
        inbox: Arc::new(FaultyInbox::new(store).checking_for_ever(&checking)),
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        options: JanitorOptions {
            retention: Duration::from_secs(3600),
            min_free: 0,
        },
        neglected: Arc::new(Vec::new),
        unclean: true,
        warnings: Arc::default(),
    };
    let lifecycle = crate::lifecycle::Lifecycle::default();
    let run = janitor.run(lifecycle.clone());
    lifecycle.spawn_vital("the janitor", run);
    checking.notified().await;
    tokio::time::resume();
    lifecycle.close();
    assert!(lifecycle.wait(Duration::from_secs(5)).await);
}
