//! The same event at several replicas at once: one row, and no 200 before it is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};

use crate::alone;
use crate::dice::Dice;
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::http::Answer;
use crate::postgres::{Bouncer, PASSWORD, Postgres, USER};
use crate::receiver::{PATIENCE, count, soak_line};
use crate::stored::Stored;

const REPLICAS: usize = 3;
/// Each event is pushed so often at once.
const COPIES: usize = 8;
/// So many events are under way at a time.
const GROUPS: usize = 4;
const SUBJECTS: usize = 50;

/// What the pushes of one event were answered, as far as they were.
#[derive(Default)]
struct Answers {
    accepted: usize,
    /// Where it is, as the answers say; none says so of what was spilled.
    seqs: BTreeSet<i64>,
    spilled: usize,
}

#[test]
fn an_event_pushed_eight_times_at_once_at_replicas_that_are_killed_is_stored_once() {
    let _alone = alone();
    let mut server = Postgres::start();
    let fleet = Fleet::start(REPLICAS, &Setup::of(server.address()));
    let (rounds, events) = (count(2, 20), count(200, 1_000));
    let (mut acknowledged, mut spilled) = (0, 0);
    let mut dice = Dice(0x5EED);
    for round in 0..rounds {
        let answers = push_eightfold(&fleet, &format!("r{round}"), events, &mut dice);
        // All at once, right behind the last answer: what is not durable by now is gone.
        server.kill();
        (0..REPLICAS).for_each(|replica| fleet.kill(replica));
        server.start_again();
        let confirmed = answers
            .iter()
            .filter(|(_, answers)| !answers.seqs.is_empty());
        Stored::read(&server).has_once(confirmed.map(|(id, _)| id));

        (0..REPLICAS).for_each(|replica| fleet.restart(replica));
        fleet.wait_until_drained(PATIENCE * 2);
        let stored = Stored::read(&server);
        stored.has_once(answers.keys());
        agree(&answers, &stored);
        acknowledged += answers.len();
        spilled += answers
            .values()
            .filter(|answers| answers.spilled > 0)
            .count();
    }
    soak_line(
        61,
        "each event 8 times at once at 3 replicas",
        &format!(
            "{rounds} rounds, in each a replica and then all and PostgreSQL killed: {acknowledged} \
             events acknowledged, each in exactly one row; {spilled} of them went through a spill"
        ),
    );
}

#[test]
fn behind_pgbouncer_in_transaction_mode_each_event_is_stored_once() {
    let _alone = alone();
    let server = Postgres::start();
    // Fewer sessions than the receivers have connections.
    let bouncer = Bouncer::before(server.address(), [USER, PASSWORD], 6);
    let setup = Setup {
        store: "pgbouncer = true".to_owned(),
        ..Setup::of(bouncer.address)
    };
    let fleet = Fleet::start(REPLICAS, &setup);
    let (rounds, events) = (count(1, 5), count(200, 1_000));
    let mut dice = Dice(0xB0B);
    let mut acknowledged = 0;
    for round in 0..rounds {
        let answers = push_eightfold(&fleet, &format!("r{round}"), events, &mut dice);
        fleet.wait_until_drained(PATIENCE);
        let stored = Stored::read(&server);
        stored.has_once(answers.keys());
        agree(&answers, &stored);
        acknowledged += answers.len();
    }
    soak_line(
        62,
        "the same behind PgBouncer in transaction mode",
        &format!("{rounds} rounds: {acknowledged} events acknowledged, each in exactly one row"),
    );
}

/// Pushes each event by all at once at random replicas, while one is killed and started again.
/// Gives the answers to each event that was acknowledged at least once.
fn push_eightfold(
    fleet: &Fleet,
    round: &str,
    events: usize,
    dice: &mut Dice,
) -> BTreeMap<String, Answers> {
    let victim = dice.place(fleet.len());
    let (answering, answered) = channel();
    let mut all: BTreeMap<String, Answers> = BTreeMap::new();
    std::thread::scope(|scope| {
        for group in 0..GROUPS {
            let barrier = Arc::new(Barrier::new(COPIES));
            for _copy in 0..COPIES {
                let dice = Dice(1 + dice.below(1 << 30));
                let (barrier, answering) = (Arc::clone(&barrier), answering.clone());
                let numbers = (group..events).step_by(GROUPS);
                let bodies = numbers.map(move |number| {
                    let id = format!("{round}-{number}");
                    let body = event(&id, &format!("s{}", number % SUBJECTS));
                    (id, body)
                });
                scope.spawn(move || push_in_step(fleet, bodies, &barrier, dice, &answering));
            }
        }
        drop(answering);
        let (mut pushes, all_pushes) = (0, events * COPIES);
        for (id, answer) in answered {
            pushes += 1;
            if pushes == all_pushes / 3 {
                fleet.kill(victim);
            }
            if pushes == all_pushes * 2 / 3 {
                fleet.restart(victim);
            }
            if let Some(answer) = answer {
                note(all.entry(id).or_default(), &answer);
            }
        }
    });
    all
}

/// One copy's thread: each event as soon as all copies have come to it.
fn push_in_step(
    fleet: &Fleet,
    bodies: impl Iterator<Item = (String, String)>,
    barrier: &Barrier,
    mut dice: Dice,
    answering: &Sender<(String, Option<Answer>)>,
) {
    let mut pusher = Pusher::default();
    for (id, body) in bodies {
        let address = fleet.address(dice.place(fleet.len()));
        barrier.wait();
        // A replica that is down, or that is killed while it decides, gives no answer.
        let answer = pusher.push(address, &body).ok();
        // Goes on also when the test has failed: the others wait for this one.
        let _heard = answering.send((id, answer));
    }
}

fn note(answers: &mut Answers, answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let outcome = answer.outcome();
    match answer.json()["seq"].as_i64() {
        Some(seq) => {
            answers.seqs.insert(seq);
            answers.accepted += usize::from(outcome == "accepted");
        }
        None => answers.spilled += 1,
    }
    assert!(
        ["accepted", "duplicate"].contains(&outcome.as_str()),
        "{answer:?}"
    );
}

/// All answers of an event name its one row, and at most one of them says that it was the first.
fn agree(answers: &BTreeMap<String, Answers>, stored: &Stored) {
    for (id, answers) in answers {
        stored.has_at(id, &answers.seqs);
        assert!(
            answers.accepted <= 1,
            "{id} was accepted {} times",
            answers.accepted
        );
    }
}
