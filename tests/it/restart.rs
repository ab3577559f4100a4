//! Restarts in place: the listening socket stays open in other hands, and so nobody is refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Received, Reply};
use crate::http::{Answer, Client, SENDER};
use crate::launcher::{Launcher, inheriting, listen};
use crate::load::body;
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, count, soak_line, wait_until};

/// Nobody waits for any of these to pass.
const LONG: &str = "drain_delay = \"10m\"\ndrain_timeout = \"5m\"\nheader_timeout = \"5m\"";

/// Asks for readiness, on a connection of its own each time, until it is told to end.
struct Prober {
    stop: Arc<AtomicBool>,
    probing: JoinHandle<Vec<Answer>>,
}

impl Prober {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let probing = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let probe = || Client::connect(address, PATIENCE)?.get("/readyz");
                // A probe whose connection the end cuts off may be made once more.
                answers.push(probe().or_else(|_cut_off| probe()).unwrap());
            }
            answers
        });
        Self { stop, probing }
    }

    fn finish(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::SeqCst);
        self.probing.join().unwrap()
    }
}

fn is_a_command(request: &Received) -> bool {
    request.event_id() == "press"
}

#[test]
fn sinks_are_put_down_while_readiness_stays_green_and_what_they_did_is_repeated_or_given_up() {
    let awake = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&awake);
    let fake = FakeServer::new(move |_, _| match asked.load(Ordering::SeqCst) {
        true => Reply::new(200, ""),
        false => Reply::Hang,
    });
    let sink = fake.sink("hook", "timeout = \"5m\"");
    let launcher = Launcher::new(&format!("{}{sink}", base_with("server", LONG)));
    let mut receiver = launcher.start();
    for (id, kind) in [("slow", "i_new"), ("press", "i_custom")] {
        let push = format!(
            r#"{{"event_id":"{id}","event_type":"{kind}","incident":{{"incident_id":"{id}"}}}}"#
        );
        assert_eq!(receiver.push(&push).outcome(), "accepted");
    }
    fake.wait_for(2);
    let prober = Prober::start(launcher.address());
    let begun = Instant::now();
    assert_eq!(receiver.stop().code(), Some(0));
    assert!(
        begun.elapsed() < PATIENCE,
        "none of the long times was kept"
    );
    assert!(!launcher.folder().join("data/inbox.db-wal").exists());

    awake.store(true, Ordering::SeqCst);
    let next = launcher.start();
    wait_until_settled(&next);
    let seen = fake.received();
    let (commands, events): (Vec<_>, Vec<_>) = seen.iter().partition(|one| is_a_command(one));
    assert_eq!(commands.len(), 1, "a command is begun once");
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[1].header("flashduty-redelivered"), Some("true"));
    let dead = next.rows_of("deliveries?sink=hook&state=dead");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["last_error"], "interrupted");

    let answers = prober.finish();
    let unready = answers.iter().find(|answer| answer.status != 200);
    assert!(unready.is_none(), "{unready:?}");
    let last = |answer: &&Answer| answer.header("connection") == Some("close");
    assert!(answers.iter().any(|answer| last(&answer)));
}

#[test]
fn a_push_that_is_half_sent_at_the_end_is_cut_off_unanswered_and_taken_when_it_comes_again() {
    let launcher = Launcher::new(&base_with("server", LONG));
    let mut receiver = launcher.start();
    let mut half = Client::connect(launcher.address(), PATIENCE).unwrap();
    let push = body("half");
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {SENDER}\r\n\
         Content-Length: {}\r\n\r\n",
        push.len()
    );
    half.send(head.as_bytes()).unwrap();
    half.send(&push[..100]).unwrap();
    wait_until("it is accepted", || {
        receiver.metric("flashduty_connections") >= 1.0
    });
    assert_eq!(receiver.stop().code(), Some(0));
    assert!(
        half.answer(false).is_err(),
        "no answer, so it may come again"
    );

    // Whoever comes while nobody serves waits for the next process.
    let address = launcher.address();
    let again = std::thread::spawn(move || {
        let mut client = Client::connect(address, PATIENCE).unwrap();
        client.push("/webhook", &body("half"))
    });
    let next = launcher.start();
    assert_eq!(again.join().unwrap().unwrap().outcome(), "accepted");
    assert_eq!(next.push("{").status, 400);
}

/// When each push was under way, and whether it failed.
struct Attempt {
    began: Instant,
    ended: Instant,
    failed: Option<String>,
}

/// A connection that pushes as the sender does: once more, when it ends without an answer.
struct Pusher {
    address: SocketAddr,
    client: Option<Client>,
    attempts: Vec<Attempt>,
    acknowledged: Vec<String>,
}

impl Pusher {
    fn push_until(mut self, stop: &AtomicBool, name: usize, answered: &AtomicUsize) -> Self {
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let id = format!("c{name}-{number}");
            if !self.attempt(&id) {
                assert!(self.attempt(&id), "{id} failed twice");
            }
            answered.fetch_add(1, Ordering::SeqCst);
            self.acknowledged.push(id);
        }
        self
    }

    fn attempt(&mut self, id: &str) -> bool {
        let began = Instant::now();
        let pushed = self.push(id);
        let failed = pushed.err().map(|error| format!("{id}: {error}"));
        let went = failed.is_none();
        self.attempts.push(Attempt {
            began,
            ended: Instant::now(),
            failed,
        });
        went
    }

    fn push(&mut self, id: &str) -> io::Result<()> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address, PATIENCE)?,
        };
        let answer = client.push("/webhook", &body(id))?;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.header("connection") != Some("close") {
            self.client = Some(client);
        }
        Ok(())
    }
}

#[test]
fn after_a_kill_only_pushes_in_flight_have_failed_and_each_comes_in_by_one_repetition() {
    let launcher = Launcher::new(BASE);
    let kills = count(5, 50);
    let mut receiver = launcher.start();
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let (mut killed, mut logs) = (Vec::new(), Vec::new());
    let mut slowest_start = Duration::ZERO;
    let pushers: Vec<Pusher> = std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..4)
            .map(|name| {
                let pusher = Pusher {
                    address: launcher.address(),
                    client: None,
                    attempts: Vec::new(),
                    acknowledged: Vec::new(),
                };
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || pusher.push_until(stop, name, answered))
            })
            .collect();
        for kill in 0..kills {
            let enough = answered.load(Ordering::SeqCst) + 30 + kill * 7 % 50;
            let are_enough = || answered.load(Ordering::SeqCst) >= enough;
            wait_until("enough pushes are answered", are_enough);
            let before = Instant::now();
            receiver.kill();
            killed.push((before, Instant::now()));
            receiver.lines.wait_for_end();
            logs.push(receiver.lines.clone());
            let begun = Instant::now();
            receiver = launcher.start();
            slowest_start = slowest_start.max(begun.elapsed());
        }
        stop.store(true, Ordering::SeqCst);
        let pushers = pushing.into_iter().map(|thread| thread.join().unwrap());
        pushers.collect()
    });
    wait_until_settled(&receiver);
    logs.push(receiver.lines.clone());

    let attempts = pushers.iter().flat_map(|pusher| &pusher.attempts);
    let mut failures = 0;
    for attempt in attempts.filter(|attempt| attempt.failed.is_some()) {
        failures += 1;
        let in_flight = |(before, after): &(Instant, Instant)| {
            attempt.began <= *after && attempt.ended >= *before
        };
        assert!(killed.iter().any(in_flight), "{:?}", attempt.failed);
    }
    assert!(failures <= 4 * kills, "{failures} failures");
    let written: std::collections::HashSet<String> =
        logs.iter().flat_map(|lines| lines.delivered()).collect();
    let acknowledged = || pushers.iter().flat_map(|pusher| &pusher.acknowledged);
    let lost: Vec<_> = acknowledged().filter(|id| !written.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    soak_line(
        3,
        "kill -9 with the socket held",
        &format!(
            "{kills} kills, {} pushes, {failures} of them in flight and failed, each in by its \
             one repetition, none lost; the slowest start took {slowest_start:.1?}",
            acknowledged().count(),
        ),
    );
}

#[test]
fn two_sockets_are_told_apart_by_their_names() {
    for (names, public_first) in [(None, true), (Some("admin:public"), false)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), BASE).unwrap();
        let (first, second) = (listen(), listen());
        let [one, two] = [&first, &second].map(|socket| socket.local_addr().unwrap());
        let mut command = inheriting(folder.path(), first.into(), Some(second.into()));
        if let Some(names) = names {
            command.env("LISTEN_FDNAMES", names);
        }
        let receiver = Receiver::run(folder.path(), command);
        let wanted = if public_first { (one, two) } else { (two, one) };
        assert_eq!((receiver.public, receiver.admin), wanted, "{names:?}");
        assert_eq!(receiver.push("{").status, 400);
        assert_eq!(receiver.api("/metrics").status, 200);
    }
}

#[test]
fn what_a_sink_runs_does_not_get_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let listing = folder.path().join("files");
    let sink = format!(
        "\n[sink.run]\ntype = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"ls -l /proc/self/fd > {}\"]\n",
        listing.display()
    );
    let launcher = Launcher::new(&format!("{BASE}{sink}"));
    let receiver = launcher.start();
    let answer = receiver.push(r#"{"event_id":"a","event_type":"i_new"}"#);
    receiver.wait_for_state(&answer.json()["seq"], "run", "delivered");
    let files = std::fs::read_to_string(listing).unwrap();
    assert!(files.contains("pipe:"), "{files}");
    assert!(!files.contains(&launcher.inode()), "{files}");
}
