//! The connection to the database fails at each byte of a COMMIT and of its answer, in each way a
//! connection can: nothing is stored twice and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::Duration;

use crate::alone;
use crate::arrived::{first_arrivals, only_to, repeats_are_marked};
use crate::cutter::{ANSWER, Cutter, Fault, Point, REQUEST};
use crate::fake::{FakeServer, Reply};
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::postgres::Postgres;
use crate::receiver::{PATIENCE, count, soak_line};
use crate::stored::{Stored, wait_until_settled};

/// Events that are pushed at once in each case: so many at both receivers, and at the one that is cut.
const BATCH: usize = 4;

/// Longer than a commit may take before it counts as missed.
const LATE: Duration = Duration::from_millis(400);

const FAULTS: [Fault; 6] = [
    Fault::Reset,
    Fault::Close,
    Fault::CloseToReceiver,
    Fault::CloseToDatabase,
    Fault::Silence,
    Fault::Delay(LATE),
];

/// Each way at each point; by default some of them, with each way and most points.
fn cases() -> Vec<(Point, Fault)> {
    let points = (0..=REQUEST).map(Point::Request);
    let points = points.chain((0..=ANSWER).map(Point::Answer));
    let all = points.flat_map(|point| FAULTS.map(|fault| (point, fault)));
    all.step_by(count(13, 1)).collect()
}

/// Where each event is, as the answers say; none says so of what was spilled.
type Told = BTreeMap<String, BTreeSet<i64>>;

/// What the cases came to.
struct Course {
    told: Told,
    spilled: usize,
    /// They go on with what is left to be delivered.
    _replicas: [Fleet; 2],
}

#[test]
fn a_commit_that_is_cut_at_any_byte_stores_nothing_twice_and_loses_nothing() {
    let _alone = alone();
    let server = Postgres::start();
    let cutter = Cutter::before(server.address());
    let setup = Setup {
        tables: "\n[sink.log]\nenabled = false\n".to_owned(),
        ..Setup::of(cutter.address)
    };
    let course = run(&server, &cutter, &setup);
    soak_line(
        66,
        "a COMMIT cut at each byte, in each way",
        &format!(
            "{} cases, {} cuts: {} events, each stored once; {} were spilled first",
            cases().len(),
            cutter.cuts(),
            course.told.len(),
            course.spilled
        ),
    );
}

#[test]
fn commits_of_claims_and_settlements_that_are_cut_leave_no_event_undelivered() {
    let _alone = alone();
    let server = Postgres::start();
    let cutter = Cutter::before(server.address());
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    let setup = Setup {
        tables: only_to(&fake),
        ..Setup::of(cutter.address)
    };
    let course = run(&server, &cutter, &setup);
    // A lease whose answer was lost lasts as long as any.
    wait_until_settled(&server, PATIENCE * 4);
    let received = fake.received();
    let repeated = repeats_are_marked(&received);
    let arrived: BTreeSet<String> = first_arrivals(&received).into_iter().collect();
    let told = course.told.keys();
    let missing: Vec<_> = told.filter(|id| !arrived.contains(*id)).collect();
    assert_eq!(missing, [""; 0], "stored, and never at the sink");
    soak_line(
        67,
        "the same while events are delivered",
        &format!(
            "{} cases, {} cuts: {} events, each stored once and delivered, {repeated} repeated and \
             marked",
            cases().len(),
            cutter.cuts(),
            course.told.len(),
        ),
    );
}

/// One replica whose connections are cut, and one that reaches the database and gets some of the events,
/// too.
fn run(server: &Postgres, cutter: &Cutter, setup: &Setup) -> Course {
    let fleet = Fleet::start(1, setup);
    let direct = Setup {
        url: Setup::of(server.address()).url,
        ..setup.clone()
    };
    let direct = Fleet::start(1, &direct);
    let (mut told, mut spilled) = (Told::new(), 0);
    for (number, (point, fault)) in cases().into_iter().enumerate() {
        // In every second case what drains then is cut as well.
        let before = cutter.cuts();
        let times = 1 + number % 2;
        cutter.plan(vec![(point, fault); times]);
        let at_first = push_all([&fleet, &direct], number, &mut told);
        cutter.wait_for_cuts(before + 1);
        cutter.heal();
        if at_first > 0 {
            cutter.wait_for_cuts(before + times);
        }
        cutter.plan([]);
        cutter.heal();
        fleet.wait_until_drained(PATIENCE);
        direct.wait_until_drained(PATIENCE);
        let stored = Stored::read(server);
        stored.has_once(told.keys());
        assert_eq!(stored.len(), told.len(), "{point:?} {fault:?}");
        told.iter().for_each(|(id, seqs)| stored.has_at(id, seqs));
        spilled += at_first;
    }
    Course {
        told,
        spilled,
        _replicas: [fleet, direct],
    }
}

/// Pushes at once: some events at both receivers, and some only at the one that is cut. Notes where
/// they are by the answers, and tells how many of the latter's were spilled.
fn push_all([cut, direct]: [&Fleet; 2], case: usize, told: &mut Told) -> usize {
    let ids = |what: &str| -> Vec<String> {
        let numbers = 0..BATCH;
        numbers.map(|n| format!("c{case}-{what}{n}")).collect()
    };
    let (shared, own) = (ids("shared"), ids("own"));
    let pushes = shared.iter().flat_map(|id| [(cut, id), (direct, id)]);
    let pushes: Vec<_> = pushes.chain(own.iter().map(|id| (cut, id))).collect();
    let barrier = Barrier::new(pushes.len());
    let push = |fleet: &Fleet, id: &str| {
        let body = event(id, &format!("s{}", id.len()));
        barrier.wait();
        let answer = Pusher::default().push(fleet.address(0), &body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["seq"].as_i64()
    };
    let answered: Vec<Option<i64>> = std::thread::scope(|scope| {
        let threads = pushes
            .iter()
            .map(|(fleet, id)| scope.spawn(|| push(fleet, id)));
        let threads: Vec<_> = threads.collect();
        let answered = threads.into_iter().map(|thread| thread.join().unwrap());
        answered.collect()
    });
    let mut spilled = 0;
    for ((fleet, id), seq) in pushes.into_iter().zip(answered) {
        told.entry(id.clone()).or_default().extend(seq);
        spilled += usize::from(std::ptr::eq(fleet, cut) && seq.is_none());
    }
    spilled
}
