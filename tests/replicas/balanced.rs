//! Two replicas behind a real proxy, with the configurations that are shipped for two: one after the
//! other is restarted under load, killed, and one stands still. Nobody notices.

use std::net::SocketAddr;
use std::path::Path;

use crate::alone;
use crate::fleet::{Fleet, PATIENT, Pusher, Setup, event};
use crate::load::{Load, Plan};
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::receiver::{PATIENCE, Receiver, count, soak_line, wait_until};
use crate::stored::Stored;

/// Nothing but 200 for anybody, and all of it in the database, each once.
fn trouble_behind(what: &str, start: fn(&[SocketAddr], &Path) -> Proxy) {
    let _alone = alone();
    let server = Postgres::start();
    let setup = Setup {
        steady: true,
        server: PATIENT.to_owned(),
        ..Setup::of(server.address())
    };
    let fleet = Fleet::start(2, &setup);
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(&[fleet.address(0), fleet.address(1)], folder.path());
    // The first transaction of each prepares its statements, and is not what is tried either.
    for replica in 0..2 {
        let first = event(&format!("first-{replica}"), "first");
        let answer = Pusher::default().push(fleet.address(replica), &first);
        assert_eq!(answer.unwrap().status, 200);
    }
    fleet.wait_until_drained(PATIENCE);
    let rate = u32::try_from(count(200, 500)).unwrap();
    let load = Load::start(&Plan {
        connections: 8,
        ..Plan::of_sender(proxy.address, rate)
    });
    let (restarts, kills) = (count(6, 60), count(2, 10));
    for turn in 0..restarts + kills {
        let (one, other) = (turn % 2, (turn + 1) % 2);
        takes_pushes(&fleet, one);
        takes_pushes(&fleet, other);
        if turn < restarts {
            fleet.stop(one);
        } else {
            fleet.kill(one);
        }
        takes_pushes(&fleet, other);
        fleet.restart(one);
    }
    takes_pushes(&fleet, 0);
    // Stands still, perhaps in the middle of a transaction.
    fleet.ask(0, |receiver| receiver.signal("STOP"));
    takes_pushes(&fleet, 1);
    fleet.ask(0, |receiver| receiver.signal("CONT"));
    takes_pushes(&fleet, 0);
    takes_pushes(&fleet, 1);
    let tally = load.stop();
    fleet.wait_until_drained(PATIENCE);
    assert_eq!(tally.failed, [""; 0]);
    let ids = tally.acknowledged_ids();
    assert!(ids.len() >= count(500, 100_000), "{} pushes", ids.len());
    let stored = Stored::read(&server);
    stored.has_once(&ids);
    assert_eq!(stored.len(), 2 + ids.len());
    let took = tally.acknowledged.iter().map(|push| push.took);
    soak_line(
        68,
        &format!("two receivers on a database behind {what}"),
        &format!(
            "{restarts} restarts in turn, {kills} kills and a standstill under {rate} pushes/s: {} \
             pushes, all answered 200, each stored once, the slowest after {:.1?}",
            ids.len(),
            took.max().unwrap(),
        ),
    );
}

/// Waits until this process of a replica has taken some pushes more.
fn takes_pushes(fleet: &Fleet, replica: usize) {
    let taken = || fleet.ask(replica, |receiver: &Receiver| receiver.pushes("accepted"));
    let enough = taken() + f64::from(u32::try_from(count(20, 300)).unwrap());
    wait_until(&format!("replica {replica} gets some"), || {
        taken() >= enough
    });
}

#[test]
fn of_two_receivers_behind_nginx_one_may_restart_or_die_and_every_push_is_answered_200() {
    trouble_behind("nginx", Proxy::nginx);
}

#[test]
fn of_two_receivers_behind_haproxy_one_may_restart_or_die_and_every_push_is_answered_200() {
    trouble_behind("HAProxy", Proxy::haproxy);
}

#[test]
fn of_two_receivers_behind_the_nginx_of_compose_one_may_restart_or_die_and_every_push_is_answered_200()
 {
    trouble_behind("compose's nginx", Proxy::nginx_of_compose);
}
