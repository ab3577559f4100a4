//! What is changed while sinks deliver, and what a sink that is away or too fast does to others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::{BASE, Receiver};

fn push(receiver: &Receiver, id: &str, subject: usize) {
    let body = format!(
        r#"{{"event_id":"{id}","event_type":"i_r_title","incident":{{"incident_id":"s{subject}","title":"x"}}}}"#
    );
    assert_eq!(receiver.push(&body).outcome(), "accepted");
}

fn times(seen: &[Received]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in seen {
        *times.entry(request.event_id()).or_default() += 1;
    }
    times
}

#[test]
fn a_sink_that_is_taken_away_keeps_its_backlog_and_delivers_it_once_when_it_is_back() {
    let up = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&up);
    let fake = FakeServer::new(move |_, _| match asked.load(Ordering::SeqCst) {
        true => Reply::new(200, ""),
        false => Reply::new(503, ""),
    });
    let sink = fake.sink("hook", "retry = { initial = \"20ms\", max = \"100ms\" }");
    let receiver = Receiver::start(&sink);
    push(&receiver, "before", 0);
    fake.wait_for(1);
    assert_eq!(receiver.reconfigure(BASE).status, 200);
    push(&receiver, "while it is away", 1);
    let status = receiver.api("/api/v1/status").json();
    let sinks = status["inbox"]["sinks"].as_array().unwrap();
    let hook = sinks.iter().find(|sink| sink["sink"] == "hook").unwrap();
    assert_eq!(hook["pending"], 1, "parked: {hook}");
    up.store(true, Ordering::SeqCst);
    assert_eq!(receiver.reconfigure(&format!("{BASE}{sink}")).status, 200);
    push(&receiver, "after", 2);
    wait_until_settled(&receiver);
    let delivered: Vec<_> = fake
        .received()
        .iter()
        .map(Received::event_id)
        .filter(|id| id != "before")
        .collect();
    assert_eq!(
        delivered,
        ["after"],
        "which sinks get an event is decided when it comes"
    );
    let rows = receiver.rows_of("deliveries?sink=hook&state=delivered");
    assert_eq!(rows.len(), 2);
}

#[test]
fn a_reload_in_the_middle_loses_nothing_and_repeats_nothing() {
    let fake = FakeServer::new(|_, _| {
        Reply::Slow(Duration::from_millis(2), Box::new(Reply::new(200, "")))
    });
    let sink = |concurrency: usize| fake.sink("hook", &format!("concurrency = {concurrency}"));
    let receiver = Receiver::start(&sink(4));
    for number in 0..400 {
        push(&receiver, &format!("e-{number}"), number % 50);
        if number % 40 == 20 {
            let changed = format!("{BASE}{}", sink(4 + number / 40));
            assert_eq!(receiver.reconfigure(&changed).status, 200);
        }
    }
    wait_until_settled(&receiver);
    let times = times(&fake.received());
    assert_eq!(times.len(), 400);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[test]
fn a_mended_template_applies_to_what_is_replayed() {
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    let sink = |template: &str| fake.sink("hook", &format!("template = '{template}'"));
    let receiver = Receiver::start(&sink(r#"{"what": {{ channel_name }}}"#));
    push(&receiver, "a", 0);
    wait_until_settled(&receiver);
    let dead = receiver.rows_of("deliveries?sink=hook&state=dead");
    assert_eq!(dead.len(), 1);
    let reason = dead[0]["last_error"].as_str().unwrap();
    assert!(reason.contains("channel_name"), "{reason}");
    let mended = format!(
        "{BASE}{}",
        sink(r#"{"what": {{ channel_name | default("none") }}}"#)
    );
    assert_eq!(receiver.reconfigure(&mended).status, 200);
    let told = receiver.told(&["replay", "--sink", "hook", "--state", "dead", "--json"]);
    assert!(told.contains("\"replayed\""), "{told}");
    wait_until_settled(&receiver);
    let request = fake.only();
    assert_eq!(request.json()["what"], "none");
    assert_eq!(request.header("flashduty-replay"), Some("true"));
}

#[test]
fn a_sink_that_is_dead_and_one_that_hangs_hold_up_no_other() {
    let dead = FakeServer::new(|_, _| Reply::Close);
    let hanging = FakeServer::new(|_, _| Reply::Hang);
    let fine = FakeServer::new(|_, _| Reply::new(200, ""));
    let sinks = [
        dead.sink("dead", ""),
        hanging.sink("hanging", "timeout = \"20s\""),
        fine.sink("fine", ""),
    ];
    let receiver = Receiver::start(&sinks.concat());
    let begun = Instant::now();
    for number in 0..300 {
        push(&receiver, &format!("e-{number}"), number);
    }
    fine.wait_for(300);
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(times(&fine.received()).len(), 300);
    let paused = receiver.metric("flashduty_sink_paused{sink=\"dead\"}");
    assert!(paused > 0.5, "its breaker opened");
}

#[test]
fn no_rate_is_exceeded_in_any_stretch_of_time_and_nothing_throttled_is_dead() {
    const MOST: usize = 5;
    const WINDOW: Duration = Duration::from_millis(500);
    let refused = Arc::new(Mutex::new(0_usize));
    let count = Arc::clone(&refused);
    let came: Mutex<Vec<Instant>> = Mutex::default();
    // A robot that counts for itself, and refuses with 200 as robots do.
    let robot = FakeServer::new(move |_, _| {
        let now = Instant::now();
        let mut came = came.lock().unwrap();
        came.retain(|at| now - *at < WINDOW);
        came.push(now);
        if came.len() > MOST {
            *count.lock().unwrap() += 1;
            return Reply::new(200, r#"{"code":11232,"msg":"frequency limited"}"#);
        }
        Reply::new(200, r#"{"code":0}"#)
    });
    let keys = "rate = \"5/500ms\"\nsuccess = 'body.code == 0'\nretry_on = 'body.code == 11232'\nconcurrency = 16";
    let receiver = Receiver::start(&robot.sink("chat", keys));
    for number in 0..30 {
        push(&receiver, &format!("e-{number}"), number);
    }
    wait_until_settled(&receiver);
    assert_eq!(*refused.lock().unwrap(), 0, "the limit was exceeded");
    assert_eq!(
        receiver
            .rows_of("deliveries?sink=chat&state=delivered")
            .len(),
        30
    );
}

#[test]
fn a_robot_that_says_too_many_is_left_alone_and_gets_everything_later() {
    let first = AtomicBool::new(true);
    let robot = FakeServer::new(move |_, _| match first.swap(false, Ordering::SeqCst) {
        true => Reply::new(400, r#"{"code":9499,"msg":"too many request"}"#)
            .with("Content-Type", "application/json"),
        false => Reply::new(200, r#"{"code":0}"#).with("Content-Type", "application/json"),
    });
    // What the preset holds for a minute, for less here.
    let sink = format!(
        "\n[sink.chat]\npreset = \"feishu\"\nurl = \"{}\"\npause = \"1s\"\n",
        robot.url("/hook")
    );
    let receiver = Receiver::start(&sink);
    push(&receiver, "a", 0);
    robot.wait_for(1);
    let held = Instant::now();
    push(&receiver, "b", 1);
    let seen = robot.wait_for(3);
    assert!(
        held.elapsed() >= Duration::from_millis(800),
        "{:?}",
        held.elapsed()
    );
    assert_eq!(
        times(&seen),
        BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)])
    );
    wait_until_settled(&receiver);
    assert!(
        receiver
            .rows_of("deliveries?sink=chat&state=dead")
            .is_empty()
    );
}
