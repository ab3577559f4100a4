//! Following the events of several receivers at one of them.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alone;
use crate::dice::Dice;
use crate::fleet::{Fleet, PATIENT, Pusher, Setup, event};
use crate::postgres::Postgres;
use crate::receiver::{PATIENCE, count, soak_line};

const REPLICAS: usize = 2;
/// The one that is followed.
const FOLLOWED: usize = 0;
const PUSHERS: usize = 12;
/// The event behind all others.
const LAST: &str = "last";

/// What a follower has got: positions and ids, in the order in which they came.
#[derive(Default)]
struct Followed {
    events: Vec<(i64, String)>,
    /// All up to here is dealt with.
    last: i64,
}

impl Followed {
    /// Follows whoever is at `admin` until the last event comes; `connected` tells how often it had to.
    fn until_the_last(
        admin: &Mutex<SocketAddr>,
        connected: &AtomicUsize,
        patience: Duration,
    ) -> Self {
        let mut followed = Self::default();
        let deadline = Instant::now() + patience;
        loop {
            let address = *admin.lock().unwrap();
            match followed.read(address, connected) {
                Ok(()) => return followed,
                Err(error) => assert!(Instant::now() < deadline, "the last never came: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads a stream until the last event, or an error: of the connection, or that it ended.
    fn read(&mut self, admin: SocketAddr, connected: &AtomicUsize) -> io::Result<()> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let last = self.last;
        let head = format!(
            "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        if !status.contains(" 200 ") {
            return Err(io::Error::other(status));
        }
        connected.fetch_add(1, Ordering::Relaxed);
        let (mut name, mut id) = (String::new(), last);
        for line in lines {
            let line = line?;
            match line.split_once(": ") {
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("id", text)) => id = text.parse().map_err(io::Error::other)?,
                Some(("data", text)) if name == "event" => {
                    // One that is cut in the middle comes again.
                    let row: Value = serde_json::from_str(text)?;
                    let event_id = row["event_id"].as_str().unwrap().to_owned();
                    assert_eq!(row["seq"], id);
                    self.last = id;
                    let is_last = event_id == LAST;
                    self.events.push((id, event_id));
                    if is_last {
                        return Ok(());
                    }
                }
                Some(("data", text)) => assert_ne!(name, "gap", "{text}"),
                _ => {}
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Once more, at whichever replica, while there is no answer.
fn push(fleet: &Fleet, pusher: &mut Pusher, dice: &mut Dice, id: &str) {
    // Few, and each of them pushed from several sides.
    let subject = format!("s{}", id.chars().next_back().unwrap());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let address = fleet.address(dice.place(REPLICAS));
        match pusher.push(address, &event(id, &subject)) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                return;
            }
            Err(error) => assert!(Instant::now() < deadline, "{id}: {error}"),
        }
        // The next may meet the one that is down as well.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the one that is followed, by a kill or in good order, and starts it again.
fn restart(fleet: &Fleet, turn: usize, admin: &Mutex<SocketAddr>) {
    match turn % 2 {
        0 => fleet.kill(FOLLOWED),
        _ => fleet.stop(FOLLOWED),
    }
    fleet.restart(FOLLOWED);
    *admin.lock().unwrap() = fleet.ask(FOLLOWED, |receiver| receiver.admin);
}

#[test]
fn who_follows_one_of_two_receivers_over_its_restarts_sees_every_event_of_both_once() {
    let _alone = alone();
    let server = Postgres::start();
    let setup = Setup {
        server: PATIENT.to_owned(),
        ..Setup::of(server.address())
    };
    let fleet = Fleet::start(REPLICAS, &setup);
    let (each, restarts) = (count(40, 400), count(2, 8));
    let all = PUSHERS * each;
    let admin = Mutex::new(fleet.ask(FOLLOWED, |receiver| receiver.admin));
    let (pushed, connected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let patience = PATIENCE * 4 + Duration::from_millis(20) * u32::try_from(all).unwrap();
    let followed = std::thread::scope(|scope| {
        let (fleet, admin, pushed, connected) = (&fleet, &admin, &pushed, &connected);
        let following = scope.spawn(move || Followed::until_the_last(admin, connected, patience));
        let push_all = move |pusher: usize| {
            let mut dice = Dice(pusher as u64 + 1);
            let mut client = Pusher::default();
            for turn in 0..each {
                push(fleet, &mut client, &mut dice, &format!("p{pusher}-{turn}"));
                pushed.fetch_add(1, Ordering::Relaxed);
            }
        };
        let pushing: Vec<_> = (0..PUSHERS)
            .map(|pusher| scope.spawn(move || push_all(pusher)))
            .collect();
        let deadline = Instant::now() + patience;
        for turn in 0..restarts {
            let enough = all * (turn + 1) / (restarts + 1);
            // It is to be cut each time.
            while pushed.load(Ordering::Relaxed) < enough
                || connected.load(Ordering::Relaxed) <= turn
            {
                assert!(
                    Instant::now() < deadline,
                    "too few pushes, or nobody follows"
                );
                std::thread::yield_now();
            }
            restart(fleet, turn, admin);
        }
        for thread in pushing {
            thread.join().unwrap();
        }
        fleet.wait_until_drained(PATIENCE);
        let (mut client, mut dice) = (Pusher::default(), Dice(1));
        push(fleet, &mut client, &mut dice, LAST);
        following.join().unwrap()
    });

    let stored = server.rows("SELECT seq, event_id FROM events ORDER BY seq");
    let stored: Vec<(i64, String)> = stored
        .into_iter()
        .map(|row| (row[0].parse().unwrap(), row[1].clone()))
        .collect();
    assert_eq!(
        followed.events, stored,
        "in order, none missing, none twice"
    );
    assert_eq!(stored.len(), all + 1);
    soak_line(
        72,
        "following one of 2 replicas",
        &format!(
            "{restarts} restarts of the one that is followed, {all} events pushed at both: all \
             seen once, in order of their positions"
        ),
    );
}
