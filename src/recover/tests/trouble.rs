//! A history that shifts while it is read, and an API in all sorts of trouble.

use super::*;

#[tokio::test]
async fn pages_that_shift_while_they_are_read_hide_nothing() {
    // More than two pages of one window, all a few milliseconds apart.
    let close = |number: i64| Past {
        at: at(990) + SignedDuration::from_millis(number),
        ..past(number)
    };
    let set = Set::new((0..500).step_by(2).map(close).collect(), 995).await;
    // Behind each page, others are indexed late, all over the window.
    let history = Arc::clone(&set.fake.history);
    let (send, late) = std::sync::mpsc::channel();
    set.fake.script(move |path, _, _| {
        // Told outside of the lock, which this call holds.
        if path.contains("/list") {
            send.send(()).unwrap();
        }
        None
    });
    let adding = std::thread::spawn(move || {
        let mut number = 1;
        while late.recv().is_ok() {
            let mut history = history.lock().unwrap();
            history.past.extend((number..500).step_by(8).map(close));
            number += 2;
            if number > 7 {
                break;
            }
        }
        // What is told from now on needs no hearing.
        late
    });
    for _ in 0..4 {
        set.look().await.unwrap();
    }
    let _late = adding.join().unwrap();
    set.look().await.unwrap();
    let mut taken = set.taken();
    taken.sort_unstable();
    assert_eq!(taken, (0..500).collect::<Vec<_>>());
    assert_eq!(set.details(), 500);
}

#[tokio::test]
async fn with_an_expired_cursor_the_window_begins_again_at_the_last_time_seen() {
    let set = Set::new((500..850).map(past).collect(), 510).await;
    // One window holds an hour, so this takes pages of their own in one second.
    for past in &mut set.fake.history.lock().unwrap().past {
        past.at = at(600) + SignedDuration::from_millis(past.at.as_second() / 60 % 1000);
    }
    set.fake.script(|_, asked, at| {
        let has_cursor = asked["search_after_ctx"].is_string();
        (has_cursor && at % 2 == 0).then(|| Mishap::error(400, "InvalidParameter"))
    });
    set.look().await.unwrap();
    assert_eq!(set.taken().len(), 350);
    assert_eq!(set.details(), 350);
}

#[tokio::test]
async fn whatever_befalls_a_call_it_is_made_again() {
    let set = Set::new((900..930).map(past).collect(), 880).await;
    let cut = r#"{"request_id":"r","data":{"items":[{"event_id":"#;
    let mishaps = [
        Mishap::error(500, "InternalError"),
        Mishap::answer(429, "retry-after: 0\r\n", "slow down"),
        Mishap::error(429, "RequestTooFrequently"),
        Mishap::answer(200, "", cut),
        Mishap::Bytes(format!(
            "HTTP/1.1 200 X\r\ncontent-length: 999\r\n\r\n{cut}"
        )),
        Mishap::Bytes("what is this?\r\n\r\n".to_owned()),
        Mishap::Bytes(String::new()),
        Mishap::Silence,
        Mishap::answer(200, "", r#"{"data":[1,2,3]}"#),
        Mishap::answer(502, "", "<html>bad gateway</html>"),
    ];
    // Each in turn befalls every third call.
    set.fake
        .script(move |_, _, at| (at % 3 == 1).then(|| mishaps[at / 3 % mishaps.len()].clone()));
    set.look().await.unwrap();
    assert_eq!(set.taken(), (900..930).collect::<Vec<_>>());
    assert_eq!(set.reached().await, at(999));
}

#[tokio::test]
async fn a_look_that_is_cut_off_goes_on_where_it_was() {
    let set = Set::new((900..960).map(past).collect(), 880).await;
    *set.taking.room.lock().unwrap() = Some(7);
    let ended = set.look().await;
    assert_eq!(ended, Err(Stop::Later("the store has no room".to_owned())));
    assert_eq!(set.reached().await, at(880), "the window is not done");
    assert_eq!(set.details(), 8);
    *set.taking.room.lock().unwrap() = None;
    set.look().await.unwrap();
    assert_eq!(set.taken(), (900..960).collect::<Vec<_>>());
    assert_eq!(set.details(), 61, "what was taken is not fetched again");
    assert_eq!(set.reached().await, at(999));
}

#[tokio::test]
async fn an_api_that_is_down_ends_a_look_and_not_the_next() {
    let set = Set::new((900..905).map(past).collect(), 880).await;
    set.fake
        .script(|_, _, _| Some(Mishap::error(500, "InternalError")));
    assert!(matches!(set.look().await, Err(Stop::Later(_))));
    let calls = set.fake.history.lock().unwrap().calls.len();
    assert_eq!(calls, 3, "tried a few times, and left alone");
    set.fake.script(|_, _, _| None);
    set.look().await.unwrap();
    assert_eq!(set.taken().len(), 5);
}

#[tokio::test]
async fn a_push_that_is_never_to_be_had_holds_up_no_other_and_is_given_up_after_hours() {
    let set = Set::new((900..905).map(past).collect(), 880).await;
    set.fake
        .script(|path, asked, _| match path.contains("/detail") {
            true if asked["event_id"] == "record-901" => Some(Mishap::error(404, "NotFound")),
            true if asked["event_id"] == "record-902" => {
                Some(Mishap::answer(200, "", "{\"data\"}"))
            }
            _ => None,
        });
    for _ in 0..20 {
        set.look().await.unwrap();
        assert_eq!(set.taken(), [900, 903, 904]);
    }
    assert_eq!(set.reached().await, at(880), "it counts time");
    // Another record shows each time that it is not the API.
    for number in 905..909 {
        pass(Duration::from_secs(2 * 3600)).await;
        set.fake.history.lock().unwrap().past.push(past(number));
        set.look().await.unwrap();
    }
    set.look().await.unwrap();
    assert_eq!(set.reached().await, at(999), "they are given up");
    let details = set.details();
    let done = set.by_hand(at(900), false, false).await;
    assert_eq!((done.known, done.missing), (7, 2));
    assert!(set.details() > details, "a person has them asked for");
}

#[tokio::test]
async fn an_api_that_gives_no_details_for_a_while_costs_no_record() {
    let set = Set::new((900..910).map(past).collect(), 880).await;
    set.fake.script(|path, _, _| {
        let fails = path.contains("/detail");
        fails.then(|| Mishap::error(500, "InternalError"))
    });
    for look in 1..=20 {
        assert!(matches!(set.look().await, Err(Stop::Later(_))));
        assert!(set.details() <= look * 6, "two records, three times each");
        pass(Duration::from_secs(3600)).await;
    }
    assert_eq!(set.reached().await, at(880));
    set.fake.script(|_, _, _| None);
    set.look().await.unwrap();
    assert_eq!(set.taken(), (900..910).collect::<Vec<_>>());
    assert_eq!(set.reached().await, at(999));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_counted_said_and_waited_for() {
    let (lines, _guard) = Lines::begin();
    let set = Set::new(vec![past(900)], 880).await;
    set.fake.script(|path, asked, _| {
        let first = asked["start_time"] == at(880 - 10).as_millisecond();
        let page = r#"{"data":{"items":[
            {"event_id":"record-900","integration_id":4021,"event_time":"2027-01-15T23:00:00Z",
             "endpoint":"https://hooks.example.com/webhook"},
            {"event_id":77,"integration_id":4021,"request":"the-key"},
            {"event_id":["the-key"],"endpoint":"https://hooks.example.com/webhook?t=secret"},
            {"event_id":78,"endpoint":"https://hooks.example.org/webhook"},
            null],"search_after_ctx":""}}"#;
        (path.contains("/list") && first).then(|| Mishap::answer(200, "", page))
    });
    for _ in 0..3 {
        set.look().await.unwrap();
        assert_eq!(set.reached().await, at(880), "nothing is lost in silence");
        pass(Duration::from_secs(2 * 3600)).await;
    }
    assert_eq!(set.taken(), [900]);
    let told = lines.with("could not be recovered");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("missing=3") && told[0].contains("event_id 77"));
    assert!(!lines.all().contains("the-key") && !lines.all().contains("secret"));
    set.look().await.unwrap();
    assert_eq!(set.reached().await, at(999), "and nothing held up for ever");
    let done = set.by_hand(at(870), false, false).await;
    assert_eq!((done.records, done.missing, done.elsewhere), (4, 3, 1));
}

#[tokio::test]
async fn without_a_plan_nothing_is_asked_and_a_person_is_told() {
    let set = Set::new(Vec::new(), 880).await;
    set.plan.send_replace(None);
    let ask = Ask {
        since: at(0),
        dry_run: false,
        all: false,
    };
    let refused = set.recovery.begin(ask, audit(), &Lifecycle::default());
    assert_eq!(refused, Err(NotBegun::Off));
}
