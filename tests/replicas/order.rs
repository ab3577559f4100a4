//! Each subject's events come to a sink in the order of their pushes, whichever replicas took them.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::alone;
use crate::arrived::{first_arrivals, only_to, repeats_are_marked};
use crate::dice::Dice;
use crate::fake::{FakeServer, Reply};
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::postgres::Postgres;
use crate::receiver::{PATIENCE, count, soak_line};
use crate::stored::{in_order, wait_until_settled};

const REPLICAS: usize = 3;
const PUSHERS: usize = 16;

/// An event that was acknowledged, and whether it waited in a spill.
struct Pushed {
    id: String,
    spilled: bool,
}

#[test]
fn over_replicas_that_are_killed_each_subject_arrives_in_order_and_nothing_is_missing() {
    let _alone = alone();
    let server = Postgres::start();
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    let setup = Setup {
        tables: only_to(&fake),
        ..Setup::of(server.address())
    };
    let fleet = Fleet::start(REPLICAS, &setup);
    let (subjects, each) = (count(48, 200), count(10, 50));
    let kills = count(2, 12);
    let pushed = push_in_order(&fleet, subjects, each, kills);
    assert_eq!(pushed.len(), subjects * each);
    fleet.wait_until_drained(PATIENCE);
    // Each kill leaves deliveries leased, the last one may have begun just before.
    wait_until_settled(&server, PATIENCE * 4);

    let received = fake.received();
    let repeated = repeats_are_marked(&received);
    let first = first_arrivals(&received);
    let arrived: BTreeSet<&String> = first.iter().collect();
    let missing: Vec<_> = pushed
        .iter()
        .map(|push| &push.id)
        .filter(|id| !arrived.contains(id))
        .collect();
    assert_eq!(missing, [""; 0], "acknowledged, and never at the sink");
    // A replica whose commit took too long puts the event aside; others do not wait for that.
    let spilled: BTreeSet<&String> = pushed
        .iter()
        .filter(|push| push.spilled)
        .map(|push| &push.id)
        .collect();
    let in_time = first.iter().filter(|id| !spilled.contains(id));
    in_order(in_time.map(String::as_str), |id| {
        let (subject, number) = id.split_once('-').unwrap();
        (subject.to_owned(), number.parse().unwrap())
    });
    soak_line(
        63,
        "order over 3 replicas",
        &format!(
            "{subjects} subjects, {each} events each, {kills} replicas killed: all arrived, first \
             arrivals in order, {repeated} repeated and marked, {} through a spill",
            spilled.len()
        ),
    );
}

/// Pushes each subject's events one after the other, at random replicas, of which one after the
/// other is killed and started again.
fn push_in_order(fleet: &Fleet, subjects: usize, each: usize, kills: usize) -> Vec<Pushed> {
    let (answering, answered) = channel();
    let mut dice = Dice(0x0D0E);
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            let answering = answering.clone();
            let mine = (pusher..subjects).step_by(PUSHERS);
            let dice = Dice(pusher as u64 + 1);
            scope.spawn(move || push_subjects(fleet, mine, each, dice, &answering));
        }
        drop(answering);
        let between = subjects * each / (kills + 1);
        for push in answered {
            all.push(push);
            if all.len() % between == 0 && all.len() / between <= kills {
                let victim = dice.place(fleet.len());
                fleet.kill(victim);
                fleet.restart(victim);
            }
        }
    });
    all
}

fn push_subjects(
    fleet: &Fleet,
    subjects: impl Iterator<Item = usize> + Clone,
    each: usize,
    mut dice: Dice,
    answering: &Sender<Pushed>,
) {
    let mut pusher = Pusher::default();
    for number in 0..each {
        for subject in subjects.clone() {
            let id = format!("s{subject}-{number}");
            let spilled = push_until_answered(fleet, &mut pusher, &mut dice, &id);
            answering.send(Pushed { id, spilled }).unwrap();
        }
    }
}

/// Once more at another replica while there is no answer. Tells whether the push was spilled.
fn push_until_answered(fleet: &Fleet, pusher: &mut Pusher, dice: &mut Dice, id: &str) -> bool {
    let subject = id.split('-').next().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let address = fleet.address(dice.place(fleet.len()));
        match pusher.push(address, &event(id, subject)) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                return answer.json()["seq"].is_null();
            }
            Err(error) => assert!(Instant::now() < deadline, "{id}: {error}"),
        }
        // The next may meet the one that is down as well.
        std::thread::sleep(Duration::from_millis(1));
    }
}
