//! Receivers of one database, as each shows the others.

use std::time::{Duration, Instant};

use crate::alone;
use crate::fleet::{Fleet, Setup};
use crate::postgres::Postgres;
use crate::receiver::{PATIENCE, Receiver};

/// Whom a receiver shows, by name.
fn shown(receiver: &Receiver) -> Vec<String> {
    let status = receiver.api("/api/v1/status").json();
    let replicas = status["replicas"].as_array().unwrap();
    let names = replicas.iter().map(|one| one["name"].as_str().unwrap());
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn each_receiver_of_a_database_shows_itself_and_the_others() {
    let _alone = alone();
    let server = Postgres::start();
    let fleet = Fleet::start(2, &Setup::of(server.address()));
    let deadline = Instant::now() + PATIENCE;
    // The first sign of life is given at the start, and asks for no patience to speak of.
    while fleet.each(shown).iter().any(|names| names.len() < 2) {
        let seen = fleet.each(shown);
        assert!(Instant::now() < deadline, "{seen:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen = fleet.each(shown);
    assert_eq!(seen[0], seen[1]);
    for replica in 0..fleet.len() {
        let port = format!(":{}", fleet.address(replica).port());
        let names = seen[0].iter().filter(|name| name.ends_with(&port));
        assert_eq!(names.count(), 1, "{port} in {seen:?}");
    }
    let gone = format!(":{}", fleet.address(0).port());
    fleet.stop(0);
    // It said so before it ended.
    let seen = fleet.each(shown);
    assert_eq!(seen[0].len(), 1, "{seen:?}");
    assert!(!seen[0][0].ends_with(&gone), "{seen:?}");
    fleet.stop(1);
}
