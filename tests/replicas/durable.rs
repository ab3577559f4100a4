//! A database that may lose what it confirmed for others must not lose it for us.

use crate::alone;
use crate::fleet::{Fleet, PATIENT, Setup};
use crate::load::Load;
use crate::loaded::{RATE, all_are_stored, load};
use crate::postgres::{DATABASE, Postgres, USER};
use crate::receiver::{PATIENCE, count, soak_line};
use crate::stored::wait_until_stored;

/// What need not be durable at once stays in the server's memory, and so is lost with its processes.
const LAZY: &str = "\
    synchronous_commit = off\n\
    wal_writer_delay = '10s'\n\
    wal_writer_flush_after = '1GB'\n\
    wal_buffers = '64MB'\n";

#[test]
fn a_database_that_confirms_before_it_syncs_is_killed_and_has_every_event_that_was_acknowledged() {
    let _alone = alone();
    let mut server = Postgres::prepare();
    server.set(LAZY);
    server.start_again();
    server.create_database();
    for owner in [format!("DATABASE {DATABASE}"), format!("ROLE {USER}")] {
        server.rows(&format!("ALTER {owner} SET synchronous_commit = off"));
    }
    let setup = Setup {
        server: PATIENT.to_owned(),
        ..Setup::of(server.address())
    };
    let fleet = Fleet::start(2, &setup);
    let loads = [0, 1].map(|replica| load(&fleet, replica));
    let (kills, between) = (count(3, 30), count(300, 1_000));
    for kill in 0..kills {
        fleet.wait_until_drained(PATIENCE);
        wait_until_stored(&server, (kill + 1) * between);
        server.kill();
        server.start_again();
    }
    let tallies = loads.map(Load::stop);
    fleet.wait_until_drained(PATIENCE);
    let pushed = all_are_stored(&server, tallies);
    soak_line(
        70,
        "PostgreSQL with synchronous_commit off is killed",
        &format!("{kills} times under {RATE} pushes/s at 2 replicas: {pushed} pushes, none lost"),
    );
}
