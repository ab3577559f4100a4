//! Nothing is lost that the sender remembers: the real binary, and a fake of the sender.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Received, Reply};
use crate::receiver::{BASE, PATIENCE, Receiver, command, count, soak_line};
use crate::room::faketime;
use crate::sender::{KEY, Sender};
use crate::strace::{Fault, Tracer};
use crate::volume::Volume;

/// Two sinks: one that must see every step, and one that needs only what is in time.
fn sinks(tools: &FakeServer) -> String {
    let sink = |name: &str, keys: &str| {
        let url = tools.url(&format!("/{name}"));
        format!("\n[sink.{name}]\ntype = \"http\"\nurl = \"{url}\"\n{keys}\n")
    };
    sink("every", "include_stale = true") + &sink("fresh", "")
}

/// A receiver whose clock is so many hours behind.
fn start(folder: &Path, configuration: &str, hours: i64) -> Receiver {
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    let mut command = command(folder, &[]);
    faketime(&mut command, &format!("-{hours}h"));
    Receiver::run(folder, command)
}

/// The events that are stored, by their ids; none is there twice.
pub(crate) fn stored(receiver: &Receiver) -> BTreeMap<String, Value> {
    let rows = receiver.rows("events");
    let id = |row: &Value| row["event_id"].as_str().unwrap().to_owned();
    let stored: BTreeMap<String, Value> = rows.iter().map(|row| (id(row), row.clone())).collect();
    assert_eq!(stored.len(), rows.len(), "an event is there twice");
    stored
}

/// Waits until all that happened is in the inbox.
pub(crate) fn wait_for_all(sender: &Sender, receiver: &Receiver) {
    let deadline = Instant::now() + PATIENCE * u32::try_from(count(4, 40)).unwrap();
    loop {
        let there = receiver.api("/api/v1/status").json()["inbox"]["events"].clone();
        if there == sender.count() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{there} of {} are there; {:?}",
            sender.count(),
            remarks(receiver)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the log says apart from events and pushes.
fn remarks(receiver: &Receiver) -> Vec<Value> {
    let mut lines = receiver.lines.all();
    let own = |line: &Value| {
        line["target"]
            .as_str()
            .unwrap()
            .starts_with("flashduty_receiver")
    };
    lines.retain(own);
    lines
}

/// One receiver's misfortunes.
struct Story {
    sender: Sender,
    tools: FakeServer,
    volume: Volume,
    configuration: String,
    /// Events of each chapter.
    some: usize,
    /// What all its processes logged.
    lines: Vec<Value>,
}

impl Story {
    fn new() -> Self {
        let (sender, tools) = (Sender::new(), FakeServer::new(|_, _| Reply::new(200, "")));
        sender.trouble(count(31, 500));
        let tables = sender.tables("interval = \"500ms\"\nrate = \"2000/1s\"");
        Self {
            configuration: format!("{BASE}{tables}{}", sinks(&tools)),
            volume: Volume::of(u32::try_from(count(96, 256)).unwrap()),
            sender,
            tools,
            some: count(60, 2_250),
            lines: Vec::new(),
        }
    }

    fn start(&self, hours: i64) -> Receiver {
        self.sender.back(hours);
        start(self.volume.path(), &self.configuration, hours)
    }

    fn push(&self, address: SocketAddr) {
        (0..self.some).for_each(|_| self.sender.push(address));
    }

    /// It works, its disk is full for a while, and then it is killed while it is pushed to.
    fn full_and_killed_while_it_is_pushed_to(&mut self) -> SocketAddr {
        let mut receiver = self.start(30);
        receiver.lines.wait("the beginning", |line| {
            let message = line["message"].as_str().unwrap();
            message.starts_with("from now on")
        });
        let address = receiver.public;
        self.push(address);
        // Nothing is old enough yet to be given up for room.
        let filler = self.volume.fill(0);
        self.push(address);
        std::fs::remove_file(filler).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| self.push(address));
            while self.sender.count() < 2 * self.some + self.some / 3 {
                std::thread::yield_now();
            }
            receiver.kill();
        });
        self.lines.extend(receiver.lines.all());
        address
    }

    /// It stays away for hours, and is killed once more while it recovers.
    fn away_and_killed_while_it_recovers(&mut self, address: SocketAddr) {
        self.sender.back(24);
        self.push(address);
        let mut receiver = self.start(20);
        while receiver.metric("flashduty_recovered_total{outcome=\"accepted\"}") < 10.0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        receiver.kill();
        self.lines.extend(receiver.lines.all());
    }

    /// It refuses the sender by a wrong allow-list, until somebody corrects that.
    fn refusing(&mut self) {
        let right = self.configuration.clone();
        let wrong = "[source]\nallow = [\"192.0.2.1\"]\n";
        self.configuration = right.replace("[source]\n", wrong);
        let mut receiver = self.start(20);
        self.configuration = right;
        let address = receiver.public;
        self.push(address);
        assert!(receiver.pushes("denied") >= self.some as f64);
        assert_eq!(receiver.reconfigure(&self.configuration).status, 200);
        self.push(address);
        receiver.stop();
        self.lines.extend(receiver.lines.all());
    }

    /// A sync of its disk fails, and it leaves.
    fn failing_its_disk(&mut self) {
        let mut receiver = self.start(20);
        let fault = Fault {
            call: "fdatasync",
            error: "EIO",
            nth: 1,
            lasting: false,
        };
        let _tracer = Tracer::attach(&receiver, Some(&fault));
        self.push(receiver.public);
        assert_eq!(receiver.wait().code(), Some(74));
        self.lines.extend(receiver.lines.all());
    }

    /// Hours later it is back, and is pushed to while it catches up.
    fn back_and_busy(&mut self, address: SocketAddr) -> Receiver {
        self.sender.back(1);
        self.push(address);
        let receiver = self.start(1);
        self.push(receiver.public);
        wait_for_all(&self.sender, &receiver);
        wait_until_settled(&receiver);
        self.lines.extend(receiver.lines.all());
        receiver
    }

    /// The ids that a sink saw.
    fn seen(&self, path: &str) -> BTreeSet<String> {
        let all = self.tools.received();
        let its = all.iter().filter(|request| request.target == path);
        its.map(Received::event_id).collect()
    }

    /// How many events came in by which way, each of them once.
    fn count_what_came_in(&self, stored: &BTreeMap<String, Value>) -> BTreeMap<&str, usize> {
        let (every, fresh) = (self.seen("/every"), self.seen("/fresh"));
        let mut numbers = BTreeMap::new();
        let mut add = |what| *numbers.entry(what).or_default() += 1;
        for sent in self.sender.sent() {
            let row = &stored[&sent.id];
            let recovered = row["origin"] == "recovered";
            assert!(recovered || row["origin"] == "push", "{row}");
            assert!(!recovered || !sent.delivered, "{row}");
            if sent.command {
                assert_eq!(row["outcome"], "accepted", "{row}");
                let carried_out = every.contains(&sent.id);
                assert!(!recovered || !carried_out, "{row} was carried out");
                add(if recovered {
                    "recovered commands"
                } else {
                    "commands"
                });
                continue;
            }
            assert!(every.contains(&sent.id), "{row} was not seen");
            let stale = row["outcome"] == "stale";
            assert_eq!(fresh.contains(&sent.id), !stale, "{row}");
            add(if recovered { "recovered" } else { "pushed" });
            add(if stale { "stale" } else { "accepted" });
        }
        numbers
    }
}

#[test]
fn every_event_comes_in_once_whatever_befell_the_receiver_and_the_history() {
    let mut story = Story::new();
    let address = story.full_and_killed_while_it_is_pushed_to();
    story.away_and_killed_while_it_recovers(address);
    story.refusing();
    story.failing_its_disk();
    let receiver = story.back_and_busy(address);

    let numbers = story.count_what_came_in(&stored(&receiver));
    assert!(numbers["recovered"] >= 3 * story.some, "{numbers:?}");
    assert!(
        numbers["recovered commands"] > 0 && numbers["stale"] > 0,
        "{numbers:?}"
    );
    let told = format!("{:?}", story.lines);
    assert!(!told.contains(KEY), "the key is in the log");
    assert!(told.contains("that had not come in"), "{told}");
    soak_line(
        1,
        "killed, away, refusing, full, failing: recovered from the sender's history",
        &format!(
            "{} events, each stored once: {numbers:?}",
            story.sender.count()
        ),
    );
}

/// Pushes events to nobody, an hour ago.
fn missed(sender: &Sender, count: usize) {
    sender.back(1);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    (0..count).for_each(|_| sender.push(address));
}

#[test]
fn a_person_recovers_what_is_older_than_the_store_politely() {
    let sender = Sender::new();
    missed(&sender, 12);
    let receiver = Receiver::start(&sender.tables("interval = \"0s\""));
    let recover = |more: &[&str]| {
        let told = receiver.told(&[&["recover", "--since", "2h"], more].concat());
        (
            told.clone(),
            serde_json::from_str::<Value>(&told).unwrap_or_default(),
        )
    };
    let (_, would) = recover(&["--dry-run", "--json"]);
    assert_eq!(
        (&would["accepted"], &would["commands"]),
        (&12.into(), &1.into()),
        "{would}"
    );
    assert!(stored(&receiver).is_empty());
    let (table, _) = recover(&[]);
    assert!(table.contains("accepted            12 "), "{table}");
    let (_, again) = recover(&["--all", "--json"]);
    assert_eq!(
        (&again["known"], &again["accepted"]),
        (&12.into(), &0.into()),
        "{again}"
    );
    let late = receiver
        .lines
        .wait("the summary", |line| line["accepted"] == 12);
    assert!(
        late["most_late_seconds"].as_f64().unwrap() > 3590.0,
        "{late}"
    );

    let stored = stored(&receiver);
    assert!(stored.values().all(|row| row["origin"] == "recovered"));
    let command = &stored["event-7"];
    assert_eq!(command["command"], true);
    let shown = receiver.api(&format!("/api/v1/events/{}", command["seq"]));
    assert_eq!(shown.json()["deliveries"].as_array().unwrap().len(), 0);
    receiver.wait_for_delivery(&stored["event-8"]["seq"], "delivered");
    let counted = receiver.metric("flashduty_recovered_total{outcome=\"accepted\"}");
    assert_eq!(counted, 12.0);

    // Five a second, unless the configuration says otherwise.
    let calls = sender.api.received();
    for six in calls.windows(6) {
        let took = six[5].came - six[0].came;
        assert!(took >= Duration::from_millis(990), "six calls in {took:?}");
    }
}

#[test]
fn a_key_that_is_refused_is_one_warning_until_it_works() {
    let sender = Sender::new();
    sender.refuse(true);
    let tables = sender.tables("interval = \"50ms\"\nrate = \"1000/1s\"\ncommands = true");
    let receiver = Receiver::start(&tables);
    receiver.lines.wait("the beginning", |line| {
        line["message"].as_str().unwrap().starts_with("from now on")
    });
    let refused = |line: &Value| {
        let message = line["message"].as_str().unwrap();
        message.starts_with("nothing is recovered") && message.contains("AccessDenied")
    };
    receiver.lines.wait("the warning", refused);
    let by_hand = receiver.cli(&["recover", "--since", "1h"]);
    assert_eq!(by_hand.status.code(), Some(1), "{by_hand:?}");
    let told = String::from_utf8_lossy(&by_hand.stderr).into_owned();
    assert!(
        told.contains("403 AccessDenied") && !told.contains(KEY),
        "{told}"
    );

    // A reload that changes nothing of it asks nothing.
    let asked = sender.api.received().len();
    assert_eq!(receiver.reconfigure(&format!("{BASE}{tables}")).status, 200);
    receiver.cli(&["recover", "--since", "1h"]);
    assert_eq!(sender.api.received().len(), asked + 1, "by hand alone");

    // A command that comes too late is expired, also when commands are wanted.
    sender.refuse(false);
    missed(&sender, 8);
    receiver.told(&["recover", "--since", "2h"]);
    let stored = stored(&receiver);
    receiver.wait_for_delivery(&stored["event-7"]["seq"], "expired");

    // The next event fails only now, and comes in by itself since a person found the key to work.
    sender.back(0);
    sender.push("127.0.0.1:1".parse().unwrap());
    wait_for_all(&sender, &receiver);
    let lines = receiver.lines.all();
    assert_eq!(lines.iter().filter(|line| refused(line)).count(), 1);
    assert!(!format!("{lines:?}").contains(KEY));
}

#[test]
fn what_was_unreadable_when_it_was_pushed_is_kept_once() {
    let sender = Sender::new();
    let tables = sender.tables("interval = \"50ms\"\nrate = \"1000/1s\"");
    let receiver = Receiver::start(&tables);
    receiver.lines.wait("the beginning", |line| {
        line["message"].as_str().unwrap().starts_with("from now on")
    });
    sender.push_unreadable(receiver.public);
    sender.push_unreadable("127.0.0.1:1".parse().unwrap());
    // What comes behind it was recovered, so it was, too.
    sender.push("127.0.0.1:1".parse().unwrap());
    wait_for_all(&sender, &receiver);
    assert_eq!(receiver.rows("unreadable").len(), 1);
    let recovered = |outcome: &str| {
        receiver.metric(&format!(
            "flashduty_recovered_total{{outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(
        (recovered("duplicate"), recovered("unreadable")),
        (2.0, 0.0)
    );
}

#[test]
fn a_recovery_without_a_key_or_a_receiver_says_what_is_missing() {
    let mut receiver = Receiver::start("");
    let off = receiver.cli(&["recover", "--since", "1h"]);
    let told = String::from_utf8_lossy(&off.stderr).into_owned();
    assert!(told.contains("set flashduty.app_key"), "{told}");
    receiver.stop();
    let configuration = "[admin]\nlisten = \"127.0.0.1:1\"\n";
    std::fs::write(receiver.folder.join("config.toml"), configuration).unwrap();
    let alone = command(&receiver.folder, &["recover", "--since", "1h"]).output();
    let told = String::from_utf8_lossy(&alone.unwrap().stderr).into_owned();
    assert!(told.contains("no receiver runs; start it"), "{told}");
}
