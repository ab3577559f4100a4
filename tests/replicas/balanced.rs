//! Two replicas behind a real proxy, restarted one after the other: nobody notices.

use std::net::SocketAddr;
use std::path::Path;

use crate::alone;
use crate::fleet::{Fleet, Setup};
use crate::load::{Load, Plan};
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::receiver::{PATIENCE, count, soak_line};
use crate::stored::{Stored, wait_until_settled};

/// Restarts both in turn under load, and nothing but 200 for anybody.
fn rolling_restarts_behind(what: &str, start: fn(&[SocketAddr], &Path) -> Proxy) {
    let _alone = alone();
    let server = Postgres::start();
    let setup = Setup {
        steady: true,
        ..Setup::of(server.address())
    };
    let fleet = Fleet::start(2, &setup);
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(&[fleet.address(0), fleet.address(1)], folder.path());
    let rate = u32::try_from(count(200, 500)).unwrap();
    let pushes = count(3_000, 100_000);
    let load = Load::start(&Plan {
        connections: 8,
        ..Plan::of_sender(proxy.address, rate)
    });
    let restarts = count(6, 60);
    for restart in 0..restarts {
        wait_for_pushes(&server, pushes / (restarts + 1) * (restart + 1));
        fleet.stop(restart % 2);
        fleet.restart(restart % 2);
    }
    wait_for_pushes(&server, pushes);
    let tally = load.stop();
    fleet.wait_until_drained(PATIENCE);
    wait_until_settled(&server, PATIENCE);
    assert_eq!(tally.failed, [""; 0]);
    let ids = tally.acknowledged_ids();
    let stored = Stored::read(&server);
    stored.has_once(&ids);
    assert_eq!(stored.len(), ids.len());
    let took = tally.acknowledged.iter().map(|push| push.took);
    soak_line(
        68,
        &format!("rolling restarts of 2 replicas behind {what}"),
        &format!(
            "{restarts} restarts under {rate} pushes/s: {} pushes, all answered 200, each stored \
             once, the slowest after {:.1?}",
            ids.len(),
            took.max().unwrap(),
        ),
    );
}

/// Waits until so many events are stored.
fn wait_for_pushes(server: &Postgres, wanted: usize) {
    let slow = std::time::Duration::from_millis(20 * wanted as u64);
    let deadline = std::time::Instant::now() + PATIENCE + slow;
    loop {
        let stored = server.value("SELECT count(*) FROM events");
        if stored.parse::<usize>().unwrap() >= wanted {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{stored} of {wanted}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn rolling_restarts_behind_nginx_answer_every_push_with_200() {
    rolling_restarts_behind("nginx", Proxy::nginx);
}

#[test]
fn rolling_restarts_behind_haproxy_answer_every_push_with_200() {
    rolling_restarts_behind("HAProxy", Proxy::haproxy);
}
