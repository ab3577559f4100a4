//! Many connections: who is let in, who has to go, and who must not notice.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::Instant;

use super::client::GET;
use super::*;

fn at_most(max_connections: usize) -> ListenerOptions {
    ListenerOptions {
        max_connections,
        ..options()
    }
}

#[tokio::test]
async fn of_the_strangers_the_one_longest_without_a_head_makes_room() {
    let server = Server::start(at_most(20));
    let mut first = server.stranger().await;
    let mut second = server.stranger().await;
    second.send("GET / HT").await;
    let mut third = server.stranger().await;
    first.closed_silently().await;
    assert!(third.ask(GET).await.ends_with("ok"));
    second.send("TP/1.1\r\n\r\n").await;
    assert!(second.answer().await.ends_with("ok"));
    assert_eq!(server.metrics.evicted.get(), 1);
    assert_eq!(server.metrics.open.get(), 2);
}

#[tokio::test]
async fn an_answer_puts_its_connection_at_the_end_of_the_line() {
    let server = Server::start(at_most(20));
    let mut first = server.stranger().await;
    let mut second = server.stranger().await;
    assert!(first.ask(GET).await.ends_with("ok"));
    let _third = server.stranger().await;
    second.closed_silently().await;
    assert!(first.ask(GET).await.ends_with("ok"));
}

#[tokio::test]
async fn a_request_in_work_is_never_closed_to_make_room() {
    let server = Server::start(at_most(1));
    let mut busy = server.client().await;
    busy.send("GET /hold HTTP/1.1\r\n\r\n").await;
    server.held().await;
    server.client().await.closed_silently().await;
    server.release();
    assert!(busy.answer().await.ends_with("held"));
}

#[tokio::test]
async fn when_all_is_full_strangers_go_before_those_who_may_push() {
    let server = Server::start(at_most(3));
    let mut oldest = server.client().await;
    let mut stranger = server.stranger().await;
    let _younger = server.client().await;
    let _newer = server.client().await;
    stranger.closed_silently().await;
    assert!(oldest.stays_open(Duration::from_millis(50)).await);
    let _newest = server.client().await;
    oldest.closed_silently().await;
}

#[tokio::test]
async fn a_flood_of_strangers_displaces_nobody_who_may_push() {
    let server = Server::start(at_most(20));
    let mut senders = Vec::new();
    for _ in 0..18 {
        senders.push(server.client().await);
    }
    let mut strangers = Vec::new();
    for _ in 0..50 {
        strangers.push(server.stranger().await);
    }
    let mut probe = server.stranger().await;
    assert!(probe.ask(GET).await.ends_with("ok"));
    for mut sender in senders {
        assert!(sender.ask(GET).await.ends_with("ok"));
    }
}

/// Half of the slow ones may push, half are strangers; half say nothing, half send half a head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_clients_hold_up_neither_a_push_nor_a_probe() {
    allow_open_files();
    // However busy the machine is, none of the slow ones reaches a deadline during the test.
    let server = Server::start(ListenerOptions {
        header_timeout: Duration::from_secs(600),
        ..options()
    });
    let mut slow = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 0..250 {
        slow.push(server.client().await);
        slow.push(server.stranger().await);
        for mut client in [server.client().await, server.stranger().await] {
            client.send("POST /length HTTP/1.1\r\nContent-Le").await;
            slow.push(client);
        }
        for mut client in [server.client().await, server.stranger().await] {
            let asked = Instant::now();
            assert!(client.ask(GET).await.ends_with("ok"), "round {round}");
            slowest = slowest.max(asked.elapsed());
        }
    }
    assert_eq!(server.requests(), 500);
    assert_eq!(slow.len(), 1000);
    // Generous, because the machine that runs this does other things as well.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // 500 strangers never left by themselves.
    let share = u64::try_from(super::super::seats::stranger_share(4096)).unwrap();
    assert!(server.metrics.evicted.get() >= 500 - share);
}

/// Both ends of each connection are in this process.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
}
