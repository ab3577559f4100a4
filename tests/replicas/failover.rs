//! The database's first server is lost, and a standby takes its place.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::alone;
use crate::fleet::{Fleet, Setup};
use crate::load::{Load, Plan};
use crate::postgres::{DATABASE, Postgres, USER};
use crate::receiver::{count, soak_line};
use crate::stored::Stored;

#[test]
fn when_a_standby_takes_over_what_was_pushed_meanwhile_is_stored_there_and_nothing_is_lost() {
    let _alone = alone();
    let mut first = Postgres::start();
    let second = first.standby();
    let setup = Setup {
        url: format!(
            "postgres://{USER}@{},{}/{DATABASE}?target_session_attrs=read-write&sslmode=disable",
            first.address(),
            second.address()
        ),
        ..Setup::default()
    };
    let fleet = Fleet::start(2, &setup);
    let loads = [0, 1].map(|replica| {
        Load::start(&Plan {
            prefix: ["r0", "r1"][replica],
            connections: 8,
            ..Plan::of_sender(fleet.address(replica), 50)
        })
    });
    std::thread::sleep(Duration::from_secs(1));
    first.kill();
    // As long as it takes to notice.
    std::thread::sleep(Duration::from_secs(count(2, 20) as u64));
    let spilled = fleet.spilled();
    second.promote();
    let promoted = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    let tallies = loads.map(Load::stop);
    fleet.wait_until_drained(Duration::from_secs(60));
    let drained = promoted.elapsed();
    let mut pushed = BTreeSet::new();
    for tally in tallies {
        assert_eq!(tally.failed, [""; 0]);
        pushed.extend(tally.acknowledged_ids());
    }
    let stored = Stored::read(&second);
    stored.has_once(&pushed);
    assert_eq!(stored.len(), pushed.len());
    assert!(spilled > 0.0, "there was no database");
    soak_line(
        69,
        "a standby takes the place of a PostgreSQL that was killed",
        &format!(
            "{} pushes at 2 replicas, none refused, {spilled} spilled, all stored {drained:.1?} \
             after it was promoted, none lost",
            pushed.len()
        ),
    );
}
