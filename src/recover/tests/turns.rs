//! When the API is left alone, and who is next.

use super::*;

#[tokio::test]
async fn a_refused_key_is_tried_once_until_the_configuration_changes() {
    let set = Set::new((900..905).map(past).collect(), 880).await;
    set.fake
        .script(|_, _, at| (at < 2).then(|| Mishap::error(403, "AccessDenied")));
    let lifecycle = Lifecycle::default();
    let calls = || set.fake.history.lock().unwrap().calls.len();
    let changing = async {
        while calls() == 0 {
            tokio::task::yield_now().await;
        }
        // Many intervals; that nothing happens gives no signal.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(calls(), 1);
        let by_hand = set.by_hand(at(900), false, false).await;
        assert!(by_hand.error.unwrap().contains("403 AccessDenied"));
        assert_eq!(calls(), 2, "a person is answered at once");
        set.plan
            .send_replace(Some(Arc::new(plan(&set.fake, vec![MINE]))));
        while set.taken().len() < 5 {
            tokio::task::yield_now().await;
        }
        lifecycle.close();
    };
    let running = Arc::clone(&set.recovery).run(lifecycle.clone());
    let (ran, ()) = tokio::join!(running, changing);
    ran.unwrap();
}

#[tokio::test]
async fn a_refused_key_is_asked_again_once_a_person_found_that_it_works() {
    let set = Set::new((900..905).map(past).collect(), 880).await;
    set.fake
        .script(|_, _, at| (at == 0).then(|| Mishap::error(403, "AccessDenied")));
    let lifecycle = Lifecycle::default();
    let mending = async {
        while set.fake.history.lock().unwrap().calls.is_empty() {
            tokio::task::yield_now().await;
        }
        // The refusal has to arrive, of which there is no signal.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let by_hand = set.by_hand(at(900), true, false).await;
        assert_eq!(by_hand.accepted, 5);
        while set.taken().len() < 5 {
            tokio::task::yield_now().await;
        }
        lifecycle.close();
    };
    let running = Arc::clone(&set.recovery).run(lifecycle.clone());
    let (ran, ()) = tokio::join!(running, mending);
    ran.unwrap();
}

#[tokio::test]
async fn a_plan_that_is_the_same_is_known_as_such() {
    let set = Set::new(Vec::new(), 880).await;
    let same = || plan(&set.fake, vec![MINE]);
    assert!(same().is_same(&same()));
    let others = [
        plan(&set.fake, vec![MINE + 1]),
        Plan {
            api: Api::new(&set.fake.base, "another".into(), PATIENCE).unwrap(),
            ..same()
        },
        Plan {
            interval: Duration::from_secs(7),
            ..same()
        },
    ];
    assert!(others.iter().all(|other| !other.is_same(&same())));
}

#[tokio::test]
async fn a_long_pause_is_kept_by_every_look_and_told_to_a_person() {
    let set = Set::new((900..905).map(past).collect(), 880).await;
    set.fake.script(|path, _, at| {
        let pause = || Mishap::answer(429, "retry-after: 3600\r\n", "slow down");
        (path.contains("/detail") && at < 10).then(pause)
    });
    let calls = || set.fake.history.lock().unwrap().calls.len();
    assert!(matches!(set.look().await, Err(Stop::Later(_))));
    let asked = calls();
    assert_eq!(set.details(), 1, "not even once more");
    for _ in 0..3 {
        pass(Duration::from_secs(1000)).await;
        assert!(matches!(set.look().await, Err(Stop::Later(_))));
    }
    let by_hand = set.by_hand(at(900), false, false).await;
    let told = by_hand.error.unwrap();
    assert!(told.contains("it asked to be left alone for"), "{told}");
    assert_eq!(calls(), asked);
    // Another key is another account.
    let mut other = plan(&set.fake, vec![MINE]);
    other.api = Api::new(&set.fake.base, "another".into(), PATIENCE).unwrap();
    set.fake.script(|_, _, _| None);
    set.recovery.catch_up(&other).await.unwrap();
    assert_eq!(set.taken().len(), 5);
    pass(Duration::from_secs(1000)).await;
    set.look().await.unwrap();
}

#[tokio::test]
async fn a_look_by_hand_holds_up_no_other() {
    // Many pages, in many windows.
    let set = Set::new((0..990).map(past).collect(), 990).await;
    let ask = Ask {
        since: at(0),
        dry_run: true,
        all: false,
    };
    let lifecycle = Lifecycle::default();
    set.recovery.begin(ask, audit(), &lifecycle).unwrap();
    let mut shown = set.recovery.by_hand.subscribe();
    shown.wait_for(|now| now.records > 0).await.unwrap();
    set.look().await.unwrap();
    let now = set.recovery.by_hand();
    assert!(now.running, "the other waited for all of {now:?}");
    assert_eq!(set.reached().await, at(999));
    let done = shown.wait_for(|now| !now.running).await.unwrap().clone();
    // Those between two windows are met in both.
    assert!(done.records >= 990, "{done:?}");
    assert_eq!(done.error, None);
}

#[tokio::test]
async fn the_last_look_is_told_with_what_it_found_whoever_asked_for_it() {
    let set = Set::new((900..920).map(past).collect(), 999).await;
    assert_eq!(set.recovery.last_run(), None);
    set.by_hand(at(900), true, false).await;
    let last = set.recovery.last_run().unwrap();
    assert_eq!((last.began, last.ended), (at(1000), Some(at(1000))));
    assert_eq!((last.by_hand, last.found), (true, 20));
    assert!(last.progress.dry_run && !last.progress.running);
    set.look().await.unwrap();
    let last = set.recovery.last_run().unwrap();
    assert_eq!((last.by_hand, last.found), (false, 0));
    assert!(last.ended.is_some() && !last.progress.running);
}

#[tokio::test]
async fn what_a_look_by_hand_brings_in_stands_in_the_audit_and_what_it_only_shows_does_not() {
    let mut history: Vec<Past> = (900..904).map(past).collect();
    history[1].body = "not JSON".to_owned();
    let set = Set::new(history, 999).await;
    set.by_hand(at(900), true, false).await;
    assert_eq!(set.audited().await.len(), 0);
    // The second time there is nothing more.
    for _ in 0..2 {
        set.by_hand(at(900), false, false).await;
        let lines = set.audited().await;
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].action.as_str(), lines[0].count), ("recover", 4));
        assert_eq!(lines[0].who, "somebody");
    }
}

#[tokio::test]
async fn a_look_by_hand_that_is_cut_off_stands_in_the_audit_with_what_it_brought_in() {
    let set = Set::new((0..990).map(past).collect(), 990).await;
    let ask = Ask {
        since: at(0),
        dry_run: false,
        all: false,
    };
    let lifecycle = Lifecycle::default();
    set.recovery.begin(ask, audit(), &lifecycle).unwrap();
    let mut shown = set.recovery.by_hand.subscribe();
    shown.wait_for(|now| now.accepted > 0).await.unwrap();
    lifecycle.close();
    assert!(lifecycle.wait(Duration::from_secs(20)).await);
    let lines = set.audited().await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].count > 0);
}
