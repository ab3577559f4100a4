//! Two receivers on one database behind a real proxy, with the configurations that are shipped for
//! two: one after the other is restarted under load, one is killed, and one stands still.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use crate::database::Server;
use crate::load::{Load, Plan};
use crate::proxies::wait_until;
use crate::proxy::{Proxy, changed, free_address};
use crate::receiver::{Receiver, base_with, command, count, soak_line};
use crate::tidy::read;

/// One of the two: a folder and an address that stay, and the process that is there now.
struct Place {
    folder: tempfile::TempDir,
    receiver: Option<Receiver>,
}

impl Place {
    fn new(database: &str, address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A disk that stands still for a second is not what is tried here.
        let keys = "drain_delay = \"300ms\"\nack_deadline = \"1500ms\"";
        let base = base_with("server", keys).replacen("127.0.0.1:0", &address.to_string(), 1);
        let text = base.replace("[store]\n", &format!("[store]\nurl = \"{database}\"\n"));
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let mut place = Self {
            folder,
            receiver: None,
        };
        place.start();
        place
    }

    fn start(&mut self) {
        let folder = self.folder.path();
        self.receiver = Some(Receiver::run(folder, command(folder, &[])));
    }

    fn receiver(&mut self) -> &mut Receiver {
        self.receiver.as_mut().unwrap()
    }

    /// Waits until this process has taken so many pushes more.
    fn wait_for_pushes(&self, wanted: u32) {
        let receiver = self.receiver.as_ref().unwrap();
        let enough = receiver.pushes("accepted") + f64::from(wanted);
        wait_until("pushes to both", || receiver.pushes("accepted") >= enough);
    }
}

/// Nothing but 200 for anybody, and all of it in the database, each once.
fn trouble_behind(what: &str, start: fn(&[SocketAddr], &Path) -> Proxy) {
    let server = Server::shared();
    let database = server.database();
    let addresses = [free_address(), free_address()];
    let mut places = addresses.map(|address| Place::new(&server.url(&database), address));
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(&addresses, folder.path());
    let rate = u32::try_from(count(100, 300)).unwrap();
    let load = Load::start(&Plan {
        connections: 8,
        ..Plan::of_sender(proxy.address, rate)
    });
    let between = u32::try_from(count(20, 500)).unwrap();
    let restarts = count(4, 20);
    for turn in 0..restarts {
        places.iter().for_each(|one| one.wait_for_pushes(between));
        assert_eq!(places[turn % 2].receiver().stop().code(), Some(0));
        places[(turn + 1) % 2].wait_for_pushes(between);
        places[turn % 2].start();
    }
    let crashes = count(1, 5);
    for turn in 0..crashes {
        places.iter().for_each(|one| one.wait_for_pushes(between));
        places[turn % 2].receiver().kill();
        places[(turn + 1) % 2].wait_for_pushes(between);
        places[turn % 2].start();
    }
    places.iter().for_each(|one| one.wait_for_pushes(between));
    // Stands still, perhaps in the middle of a transaction.
    places[0].receiver().signal("STOP");
    places[1].wait_for_pushes(between);
    places[0].receiver().signal("CONT");
    places.iter().for_each(|one| one.wait_for_pushes(between));
    let tally = load.stop();
    assert_eq!(tally.failed, [""; 0]);
    for place in &places {
        let receiver = place.receiver.as_ref().unwrap();
        let spilled = || receiver.metric("flashduty_spilled_events");
        wait_until("an empty spill", || spilled() < 1.0);
    }
    let stored = server.sql(&database, "SELECT event_id FROM events ORDER BY event_id");
    let stored: Vec<&str> = stored.lines().collect();
    let acknowledged = tally.acknowledged_ids();
    let acknowledged: BTreeSet<&str> = acknowledged.iter().map(String::as_str).collect();
    assert_eq!(stored, acknowledged.iter().copied().collect::<Vec<_>>());
    let took = tally.acknowledged.iter().map(|push| push.took);
    soak_line(
        5,
        &format!("two receivers on a database behind {what}"),
        &format!(
            "{restarts} restarts in turn, {crashes} kills and a standstill under {rate} pushes/s: {} \
             pushes, all answered 200, each stored once, the slowest after {:.1?}",
            stored.len(),
            took.max().unwrap(),
        ),
    );
}

/// The file that compose mounts, as it is but for the addresses.
fn nginx_of_compose(receivers: &[SocketAddr], folder: &Path) -> Proxy {
    let [first, second] = receivers else {
        panic!("compose has two receivers");
    };
    let address = free_address();
    let text = changed(
        &read("deploy/compose/nginx.conf"),
        &[
            (
                "server 172.30.57.11:8080 ",
                format!("server {first} max_fails=0;"),
            ),
            (
                "server 172.30.57.12:8080 ",
                format!("server {second} max_fails=0;"),
            ),
            ("listen 8080;", format!("listen {address};")),
        ],
    );
    Proxy::nginx_with(&text, address, folder)
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
    trouble_behind("compose's nginx", nginx_of_compose);
}
