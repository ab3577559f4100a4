//! Receivers that start while the database is away: they take pushes at once, and get to know it later.

use std::collections::BTreeSet;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::alone;
use crate::fake::{FakeServer, Received, Reply};
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::http::Answer;
use crate::launcher::Launcher;
use crate::load::{Load, Plan};
use crate::postgres::{PASSWORD, Postgres};
use crate::receiver::{PATIENCE, Receiver, base_with, command, count, soak_line, wait_until};
use crate::stored::Stored;

/// Shorter than `server.drain_timeout`, for which a receiver drains into a database that answers.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Something to recover from, which is not asked the first time.
const RECOVERY: &str = "\
    [flashduty]\napp_key = \"k\"\nbase_url = \"http://127.0.0.1:1\"\n\
    [recover]\nendpoint = \"https://hooks.example.com/webhook\"\n";
/// What recovery says the first time, once it has a store to note that in.
const RECOVERS: &str = "are fetched from the sender's history";

/// A server with an empty database, which is down.
pub(crate) fn server_that_is_down() -> Postgres {
    let mut server = Postgres::start();
    server.stop();
    server
}

pub(crate) fn push(receiver: &Receiver, id: &str, subject: &str) -> Answer {
    let mut pusher = Pusher::default();
    let answer = pusher.push(receiver.public, &event(id, subject)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// A push that cannot be in the database, because that is away.
pub(crate) fn spilled(receiver: &Receiver, id: &str, subject: &str) {
    let answer = push(receiver, id, subject);
    assert!(answer.json()["seq"].is_null(), "{answer:?}");
}

pub(crate) fn wait_until_drained(receiver: &Receiver) {
    let is_drained = || receiver.metric("flashduty_spilled_events") < 1.0;
    wait_until("the spill is drained", is_drained);
}

pub(crate) fn ids(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::event_id).collect()
}

#[test]
fn a_receiver_that_has_never_met_its_database_takes_pushes_and_delivers_them_once_it_is_there() {
    let _alone = alone();
    let mut server = server_that_is_down();
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    let setup = Setup {
        tables: fake.sink("hook", "") + RECOVERY,
        ..Setup::of(server.address())
    };
    let begun = Instant::now();
    let fleet = Fleet::start(1, &setup);
    let started = begun.elapsed();
    fleet.each(|receiver| {
        for (id, subject) in [("a-1", "a"), ("b-1", "b"), ("a-2", "a")] {
            spilled(receiver, id, subject);
        }
        waits_for_its_database(receiver, 3.0);
    });
    assert!(fake.received().is_empty());

    server.start_again();
    let back = Instant::now();
    let received = fake.wait_for(3);
    let delivered = back.elapsed();
    let of_a: Vec<_> = ids(&received)
        .into_iter()
        .filter(|id| id.starts_with('a'))
        .collect();
    assert_eq!(of_a, ["a-1", "a-2"]);
    fleet.each(|receiver| {
        wait_until_drained(receiver);
        receiver.lines.wait_until("the log sink", |lines| {
            let mut lines = lines
                .iter()
                .filter(|line| line["target"] == "flashduty::event");
            lines.nth(2).map(drop)
        });
        // From now on it is as any other.
        let answer = push(receiver, "b-2", "b");
        assert_eq!(answer.outcome(), "accepted");
        assert_eq!(receiver.api("/api/v1/status").status, 200);
        receiver.lines.wait("recovery to begin", |line| {
            line["message"]
                .as_str()
                .unwrap_or_default()
                .contains(RECOVERS)
        });
    });
    fake.wait_for(4);
    let stored = Stored::read(&server);
    assert_eq!(stored.len(), 4);
    assert!(stored.seq("a-1") < stored.seq("b-1") && stored.seq("b-1") < stored.seq("a-2"));
    fleet.stop(0);
    soak_line(
        70,
        "a receiver whose database was never there",
        &format!(
            "started in {started:.1?}, its pushes were delivered {delivered:.1?} after the \
             database's start"
        ),
    );
}

/// It is ready and says where its pushes are, and whatever needs the database waits.
fn waits_for_its_database(receiver: &Receiver, spilled: f64) {
    let ready = receiver.api("/readyz");
    assert_eq!(ready.status, 200);
    let warning = ready.json()["warning"].as_str().unwrap().to_owned();
    assert!(warning.contains("local spill"), "{warning}");
    assert!((receiver.metric("flashduty_spilled_events") - spilled).abs() < 0.5);
    assert!((receiver.metric("flashduty_ready") - 1.0).abs() < 0.5);
    // What only the database knows is not there, and all else is, at once.
    let asked = Instant::now();
    let status = receiver.api("/api/v1/status");
    assert_eq!(status.status, 200);
    let status = status.json();
    assert_eq!(status["spilled_events"].as_f64(), Some(spilled));
    assert!(status.get("inbox").is_none(), "{status}");
    let events = receiver.api("/api/v1/events");
    assert_eq!(events.status, 503);
    assert!(String::from_utf8_lossy(&events.body).contains("away"));
    assert!(asked.elapsed() < AT_ONCE);
    let log = receiver.lines.all();
    let said = |what: &str| log.iter().any(|line| line.to_string().contains(what));
    assert!(!said("recovered") && !said(RECOVERS), "{log:#?}");
    assert!(!said("cannot tend the store"), "{log:#?}");
}

#[test]
fn receivers_that_meet_an_empty_database_under_load_store_and_route_every_push_once() {
    let _alone = alone();
    let mut server = server_that_is_down();
    let fleet = Fleet::start(2, &Setup::of(server.address()));
    let loads = [0, 1].map(|replica| {
        Load::start(&Plan {
            prefix: ["r0", "r1"][replica],
            connections: 8,
            ..Plan::of_sender(fleet.address(replica), 60)
        })
    });
    std::thread::sleep(Duration::from_secs(count(1, 20) as u64));
    // Both want to make its tables.
    server.start_again();
    let back = Instant::now();
    fleet.wait_until_drained(2 * PATIENCE);
    let drained = back.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let tallies = loads.map(Load::stop);
    fleet.wait_until_drained(PATIENCE);
    let mut pushed = BTreeSet::new();
    for tally in tallies {
        assert_eq!(tally.failed, [""; 0]);
        pushed.extend(tally.acknowledged_ids());
    }
    let stored = Stored::read(&server);
    stored.has_once(&pushed);
    assert_eq!(stored.len(), pushed.len());
    // Also those that came before the sinks had numbers, and while they got them.
    let nowhere = "SELECT count(*) FROM events e \
                   WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq)";
    assert_eq!(server.value(nowhere), "0");
    soak_line(
        71,
        "two receivers meet an empty database under load",
        &format!(
            "{} pushes, none refused, none lost, none without its sink; drained {drained:.1?} after \
             the database's start",
            pushed.len()
        ),
    );
}

#[test]
fn while_the_database_is_found_fit_and_the_sinks_numbers_are_not_known_yet_nothing_is_drained() {
    let _alone = alone();
    let mut server = Postgres::start();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    fleet.stop(0);
    // A lock that outlives the server: the gate does not need this table, the numbers stand in it.
    server.set("max_prepared_transactions = 1\n");
    server.stop();
    server.start_again();
    server.rows("BEGIN; LOCK TABLE sinks; PREPARE TRANSACTION 'held'");
    server.stop();
    fleet.restart(0);
    fleet.each(|receiver| spilled(receiver, "a", "s"));
    server.start_again();
    let waiting = "SELECT count(*) FROM pg_locks \
                   WHERE NOT granted AND relation = 'sinks'::regclass";
    let somebody_asks = || server.value(waiting) != "0";
    wait_until("somebody asks for the numbers", somebody_asks);
    // Time for the committer, which asks once a second.
    std::thread::sleep(Duration::from_secs(2));
    fleet.each(|receiver| spilled(receiver, "b", "s"));
    assert_eq!(server.value("SELECT count(*) FROM events"), "0");
    server.rows("COMMIT PREPARED 'held'");
    fleet.wait_until_drained(PATIENCE);
    fleet.each(|receiver| {
        receiver.lines.wait_until("both events", |lines| {
            let events = lines
                .iter()
                .filter(|line| line["target"] == "flashduty::event");
            let ids: Vec<_> = events.map(|line| line["event_id"].clone()).collect();
            (ids == ["a", "b"]).then_some(())
        });
    });
    fleet.stop(0);
}

#[test]
fn a_database_found_unfit_at_first_contact_ends_the_receiver_as_at_the_start_and_loses_nothing() {
    let _alone = alone();
    let mut server = server_that_is_down();
    server.set("fsync = off\n");
    let fleet = Fleet::prepare(1, &Setup::of(server.address()));
    let folder = fleet.folder(0);
    let errors = folder.join("errors");
    let mut run = command(folder, &[]);
    run.stderr(std::fs::File::create(&errors).unwrap());
    let mut receiver = Receiver::run(folder, run);
    for id in ["a", "b"] {
        spilled(&receiver, id, "s");
    }
    server.start_again();
    let ended = receiver.wait();
    let said = std::fs::read_to_string(&errors).unwrap();
    assert!(said.contains("runs with fsync = off"), "{said}");
    says_what_is_left(&receiver, 2);

    let at_start = command(folder, &[]).output().unwrap();
    assert_eq!(String::from_utf8(at_start.stderr).unwrap(), said);
    assert_eq!((ended.code(), at_start.status.code()), (Some(1), Some(1)));

    server.stop();
    server.set("fsync = on\n");
    server.start_again();
    fleet.restart(0);
    fleet.wait_until_drained(PATIENCE);
    let stored = Stored::read(&server);
    stored.has_once(&["a".to_owned(), "b".to_owned()]);
    fleet.stop(0);
}

/// The log tells how many events the next start finds.
fn says_what_is_left(receiver: &Receiver, events: u64) {
    receiver.lines.wait("what is left", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("wait in the spill; the next start") && line["waiting"] == events
    });
}

#[test]
fn a_receiver_whose_database_never_came_ends_in_good_order_and_its_successor_goes_on() {
    let _alone = alone();
    let mut server = server_that_is_down();
    let url = Setup::of(server.address()).url;
    // Each gets the socket that the one before had.
    let store = format!("url = \"{url}\"\npassword = \"{PASSWORD}\"\n");
    let launcher = Launcher::new(&base_with("store", &store));
    let mut first = launcher.start();
    spilled(&first, "a", "s");
    assert_eq!(ended_at_once(&mut first).code(), Some(0));
    says_what_is_left(&first, 1);
    let mut second = launcher.start();
    spilled(&second, "b", "s");
    assert_eq!(ended_at_once(&mut second).code(), Some(0));
    says_what_is_left(&second, 2);
    let mut third = launcher.start();
    spilled(&third, "c", "s");
    server.start_again();
    wait_until_drained(&third);
    assert_eq!(third.stop().code(), Some(0));
    let stored = Stored::read(&server);
    assert_eq!(stored.len(), 3);
    assert!(stored.seq("a") < stored.seq("b") && stored.seq("b") < stored.seq("c"));
}

/// It does not hope for a database that it never saw.
fn ended_at_once(receiver: &mut Receiver) -> ExitStatus {
    let begun = Instant::now();
    let status = receiver.stop();
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    status
}

#[test]
fn a_receiver_that_drains_ends_at_once_as_well_when_its_database_never_came() {
    let _alone = alone();
    let server = server_that_is_down();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    fleet.each(|receiver| spilled(receiver, "a", "s"));
    let begun = Instant::now();
    fleet.stop(0);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let last = fleet.logs()[0].all().pop().unwrap();
    let said = last["message"].as_str().unwrap();
    assert!(said.contains("is in the store or the spill"), "{last}");
}

#[test]
fn a_receiver_whose_database_hangs_ends_at_once_and_its_next_start_drains_what_it_left() {
    let _alone = alone();
    let server = Postgres::start();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    fleet.each(|receiver| {
        push(receiver, "a", "s");
        server.freeze();
        spilled(receiver, "b", "s");
    });
    let begun = Instant::now();
    fleet.stop(0);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    server.thaw();
    fleet.restart(0);
    fleet.wait_until_drained(PATIENCE);
    assert_eq!(Stored::read(&server).len(), 2);
    fleet.stop(0);
}

#[test]
fn a_push_that_cannot_be_read_while_the_database_is_away_is_in_its_box_once_that_is_back() {
    let _alone = alone();
    let mut server = server_that_is_down();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    let unreadable = |receiver: &Receiver| {
        let spill = receiver.api("/api/v1/spilled").json();
        spill["unreadable"].as_u64().unwrap()
    };
    fleet.each(|receiver| {
        let answer = Pusher::default().push(receiver.public, "{").unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(unreadable(receiver), 1);
    });
    server.start_again();
    fleet.each(|receiver| {
        wait_until("it is brought back", || unreadable(receiver) == 0);
        assert_eq!(receiver.rows("unreadable").len(), 1);
    });
    fleet.stop(0);
}
