//! The database is away under load: frozen, killed, started again. Every push is taken and none lost.

use std::time::{Duration, Instant};

use crate::alone;
use crate::fleet::{Fleet, PATIENT, Setup};
use crate::load::{Load, Tally};
use crate::loaded::{PREFIXES, RATE, all_are_stored, load, load_called};
use crate::postgres::{Bouncer, PASSWORD, Postgres, USER};
use crate::receiver::{count, soak_line};
use crate::stored::wait_until_stored;

/// How the ids of the pushes begin that a replica gets after its next start.
const MORE: &str = "more";

/// What a push may take at the most, but for one in a thousand.
const SLOWEST: Duration = Duration::from_millis(400);
/// What was spilled is in the database so long after its return.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// How long the database is away.
fn outage() -> Duration {
    Duration::from_secs(count(5, 60) as u64)
}

fn pass(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn while_the_database_is_away_every_push_is_taken_in_time_and_all_are_stored_in_order_later() {
    let _alone = alone();
    let mut server = Postgres::start();
    let fleet = Fleet::start(2, &Setup::of(server.address()));
    let loads = [load(&fleet, 0), load(&fleet, 1)];
    pass(Duration::from_secs(2));
    server.freeze();
    pass(outage() / 2);
    server.kill();
    pass(outage() / 2);
    let spilled = fleet.spilled();
    server.start_again();
    let back = Instant::now();
    // New pushes come while the old ones drain.
    pass(Duration::from_secs(2));
    let [first, second] = loads.map(Load::stop);
    fleet.wait_until_drained(DRAINED_WITHIN.saturating_sub(back.elapsed()));
    let drained = back.elapsed();

    let slow = [&first, &second].map(slowest_but_one_in_a_thousand);
    assert!(slow.iter().all(|took| *took < SLOWEST), "{slow:?}");
    let pushed = all_are_stored(&server, [first, second]);
    assert!(spilled > 0.0, "the database was away");
    soak_line(
        64,
        "PostgreSQL frozen, killed, back",
        &format!(
            "away for {:?} under {RATE} pushes/s at 2 replicas: {pushed} pushes, none refused, \
             p99.9 {:.1?} and {:.1?}, {spilled} spilled, all stored {drained:.1?} after its return, \
             in order, none lost",
            outage(),
            slow[0],
            slow[1]
        ),
    );
}

#[test]
fn while_pgbouncer_is_away_every_push_is_taken_and_all_are_stored_in_order_later() {
    let _alone = alone();
    let server = Postgres::start();
    let mut bouncer = Bouncer::before(server.address(), [USER, PASSWORD], 6);
    let setup = Setup {
        server: PATIENT.to_owned(),
        store: "pgbouncer = true".to_owned(),
        ..Setup::of(bouncer.address)
    };
    let fleet = Fleet::start(2, &setup);
    let loads = [load(&fleet, 0), load(&fleet, 1)];
    wait_until_stored(&server, count(200, 10_000));
    bouncer.kill();
    pass(outage() / 2);
    let spilled = fleet.spilled();
    bouncer.start_again();
    let back = Instant::now();
    // New pushes come while the old ones drain.
    pass(Duration::from_secs(2));
    let tallies = loads.map(Load::stop);
    fleet.wait_until_drained(DRAINED_WITHIN.saturating_sub(back.elapsed()));
    let drained = back.elapsed();
    let pushed = all_are_stored(&server, tallies);
    assert!(spilled > 0.0, "there was no way to the database");
    soak_line(
        71,
        "PgBouncer killed, back",
        &format!(
            "away for {:?} under {RATE} pushes/s at 2 replicas: {pushed} pushes, none refused, \
             {spilled} spilled, all stored {drained:.1?} after its return, in order, none lost",
            outage() / 2
        ),
    );
}

#[test]
fn a_replica_killed_while_it_holds_spilled_events_stores_them_once_it_is_back() {
    killed_with_spilled_events("started after the database's return", |fleet, server| {
        server.start_again();
        let back = Instant::now();
        fleet.restart(1);
        (back, Tally::default())
    });
}

#[test]
fn a_replica_that_is_killed_and_started_while_the_database_is_away_stores_them_in_their_order() {
    killed_with_spilled_events("started before the database's return", |fleet, server| {
        fleet.restart(1);
        let more = load_called(fleet, 1, MORE);
        pass(outage() / 2);
        let more = more.stop();
        assert!(!more.acknowledged.is_empty());
        server.start_again();
        (Instant::now(), more)
    });
}

/// Kills one of two replicas while the database is away; `bring_back` starts it and the database, and
/// tells when that was back and what was pushed before.
fn killed_with_spilled_events(
    how: &str,
    bring_back: fn(&Fleet, &mut Postgres) -> (Instant, Tally),
) {
    let _alone = alone();
    let mut server = Postgres::start();
    let fleet = Fleet::start(2, &Setup::of(server.address()));
    let [steady, killed] = [load(&fleet, 0), load(&fleet, 1)];
    pass(Duration::from_secs(1));
    server.freeze();
    pass(outage() / 2);
    let killed = killed.stop();
    let held = fleet.each(|receiver| receiver.metric("flashduty_spilled_events"))[1];
    assert!(held > 0.0, "the database was away");
    fleet.kill(1);
    server.kill();
    pass(outage() / 2);
    let (back, more) = bring_back(&fleet, &mut server);
    let taken_more = more.acknowledged.len();
    pass(Duration::from_secs(1));
    let steady = steady.stop();
    fleet.wait_until_drained(DRAINED_WITHIN.saturating_sub(back.elapsed()));
    let drained = back.elapsed();
    let pushed = all_are_stored(&server, [steady, killed, more]);
    comes_before(&server, PREFIXES[1], MORE);
    soak_line(
        65,
        "a replica killed while it holds spilled events",
        &format!(
            "it held {held}, was {how} and took {taken_more} before that: {pushed} pushes at 2 \
             replicas, none refused, all stored {drained:.1?} after its return, in order, none lost"
        ),
    );
}

fn slowest_but_one_in_a_thousand(tally: &Tally) -> Duration {
    let mut took: Vec<_> = tally.acknowledged.iter().map(|push| push.took).collect();
    took.sort_unstable();
    took[took.len() * 999 / 1000]
}

/// All ids that begin with `first` have their positions before those that begin with `second`.
fn comes_before(server: &Postgres, first: &str, second: &str) {
    let crossed = format!(
        "SELECT count(*) FROM events WHERE event_id LIKE '{first}-%' AND seq > \
         (SELECT min(seq) FROM events WHERE event_id LIKE '{second}-%')"
    );
    assert_eq!(server.value(&crossed), "0");
}
