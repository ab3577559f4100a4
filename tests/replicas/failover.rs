//! The database's first server is lost, and a standby takes its place.

use std::time::{Duration, Instant};

use crate::alone;
use crate::fleet::{Fleet, PATIENT, Setup};
use crate::load::Load;
use crate::loaded::{RATE, all_are_stored, load};
use crate::postgres::{DATABASE, Postgres, USER};
use crate::receiver::{count, soak_line};
use crate::stored::wait_until_stored;

/// What was spilled is in the new first server so long after it became that.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// As long as it takes somebody to notice.
fn outage() -> Duration {
    Duration::from_secs(count(3, 60) as u64)
}

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
        server: PATIENT.to_owned(),
        ..Setup::default()
    };
    let fleet = Fleet::start(2, &setup);
    let loads = [0, 1].map(|replica| load(&fleet, replica));
    wait_until_stored(&first, count(200, 10_000));
    first.kill();
    std::thread::sleep(outage());
    let spilled = fleet.each(|receiver| receiver.metric("flashduty_spilled_events"));
    // Acknowledged before, and nowhere else.
    let streamed: usize = second.value("SELECT count(*) FROM events").parse().unwrap();
    second.promote();
    let promoted = Instant::now();
    // New pushes come while the old ones drain.
    wait_until_stored(&second, streamed + count(200, 10_000));
    let tallies = loads.map(Load::stop);
    fleet.wait_until_drained(DRAINED_WITHIN.saturating_sub(promoted.elapsed()));
    let drained = promoted.elapsed();
    let pushed = all_are_stored(&second, tallies);
    assert!(streamed > 0, "the standby followed");
    assert!(spilled.iter().all(|one| *one > 0.0), "{spilled:?}");
    soak_line(
        69,
        "a standby takes the place of a PostgreSQL that was killed",
        &format!(
            "{:?} later, under {RATE} pushes/s at 2 replicas: {pushed} pushes, none refused, \
             {streamed} streamed before, {} spilled, all stored {drained:.1?} after it was promoted, \
             in order, none lost",
            outage(),
            spilled.iter().sum::<f64>()
        ),
    );
}

#[test]
fn a_standby_that_nobody_promoted_stops_the_start_with_the_reason() {
    let _alone = alone();
    let mut first = Postgres::start();
    let second = first.standby();
    let only = Setup {
        store: "lock_wait = \"0s\"".to_owned(),
        ..Setup::of(second.address())
    };
    let fleet = Fleet::prepare(1, &only);
    let is_refused = || {
        let said = fleet.refuse(0);
        assert!(said.contains("the database is a standby"), "{said}");
    };
    is_refused();
    // Nor is it taken while there is no other one.
    first.kill();
    is_refused();
    second.promote();
    fleet.restart(0);
}
