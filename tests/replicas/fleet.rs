//! Several receivers with one database, each with a folder and a spill of its own, which are killed
//! and started again; and a client of them all.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::http::{Answer, Client};
use crate::lines::Lines;
use crate::postgres::{DATABASE, PASSWORD, USER, steady_port};
use crate::receiver::{PATIENCE, Receiver, base_with, command};

/// For the table `server` where it is not timeliness that is tried: a busy disk may stand still for a
/// second, and then nothing can be made durable.
pub(crate) const PATIENT: &str = "ack_deadline = \"1500ms\"";

/// What each replica is told.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// The database's URL.
    pub(crate) url: String,
    /// Further keys of the table `server`.
    pub(crate) server: String,
    /// Further keys of the table `store`.
    pub(crate) store: String,
    /// Further tables.
    pub(crate) tables: String,
    /// Whether each keeps its port when it is started again.
    pub(crate) steady: bool,
}

impl Setup {
    /// With the database at `address`, without TLS.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            url: format!("postgres://{USER}@{address}/{DATABASE}?sslmode=disable"),
            ..Self::default()
        }
    }
}

/// Receivers that run, or are down for now.
pub(crate) struct Fleet {
    replicas: Vec<Replica>,
}

struct Replica {
    folder: tempfile::TempDir,
    receiver: Mutex<Option<Receiver>>,
    /// Where it was last.
    address: Mutex<SocketAddr>,
    /// The logs of its runs.
    logs: Mutex<Vec<Lines>>,
}

impl Fleet {
    /// Starts so many and waits until each is ready.
    pub(crate) fn start(count: usize, setup: &Setup) -> Self {
        let fleet = Self::prepare(count, setup);
        (0..count).for_each(|replica| fleet.restart(replica));
        fleet
    }

    /// So many, none of which runs yet.
    pub(crate) fn prepare(count: usize, setup: &Setup) -> Self {
        let replicas = (0..count).map(|_| Replica::prepare(setup)).collect();
        Self { replicas }
    }

    pub(crate) fn len(&self) -> usize {
        self.replicas.len()
    }

    /// Where a replica is at home.
    pub(crate) fn folder(&self, replica: usize) -> &Path {
        self.replicas[replica].folder.path()
    }

    /// Where a replica takes pushes, or took them last.
    pub(crate) fn address(&self, replica: usize) -> SocketAddr {
        *self.replicas[replica].address.lock().unwrap()
    }

    /// Starts a replica that is down and waits until it is ready.
    pub(crate) fn restart(&self, replica: usize) {
        let replica = &self.replicas[replica];
        let mut receiver = replica.receiver.lock().unwrap();
        assert!(receiver.is_none(), "it runs already");
        let folder = replica.folder.path();
        let started = Receiver::run(folder, command(folder, &[]));
        *replica.address.lock().unwrap() = started.public;
        replica.logs.lock().unwrap().push(started.lines.clone());
        *receiver = Some(started);
    }

    /// Starts a replica that is to end before it is ready, and tells what it said.
    pub(crate) fn refuse(&self, replica: usize) -> String {
        let folder = self.replicas[replica].folder.path();
        let output = command(folder, &[]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    /// Ends it as `kill -9` does, if it runs.
    pub(crate) fn kill(&self, replica: usize) {
        let receiver = self.replicas[replica].receiver.lock().unwrap().take();
        if let Some(mut receiver) = receiver {
            receiver.kill();
            receiver.lines.wait_for_end();
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(&self, replica: usize) {
        let receiver = self.replicas[replica].receiver.lock().unwrap().take();
        let mut receiver = receiver.unwrap();
        assert_eq!(receiver.stop().code(), Some(0));
        receiver.lines.wait_for_end();
    }

    /// What `ask` gives of a replica that runs.
    pub(crate) fn ask<T>(&self, replica: usize, ask: impl FnOnce(&Receiver) -> T) -> T {
        let receiver = self.replicas[replica].receiver.lock().unwrap();
        ask(receiver.as_ref().unwrap())
    }

    /// What `ask` gives of each replica that runs.
    pub(crate) fn each<T>(&self, mut ask: impl FnMut(&Receiver) -> T) -> Vec<T> {
        let running = self.replicas.iter().filter_map(|replica| {
            let receiver = replica.receiver.lock().unwrap();
            receiver.as_ref().map(&mut ask)
        });
        running.collect()
    }

    /// How many events wait in the spills of the replicas that run.
    pub(crate) fn spilled(&self) -> f64 {
        let each = self.each(|receiver| receiver.metric("flashduty_spilled_events"));
        each.iter().sum()
    }

    /// Waits until nothing is in any spill, and tells how long that took.
    pub(crate) fn wait_until_drained(&self, patience: Duration) -> Duration {
        let begun = Instant::now();
        while self.spilled() > 0.0 {
            let left = self.spilled();
            assert!(begun.elapsed() < patience, "{left} are spilled still");
            std::thread::sleep(Duration::from_millis(20));
        }
        begun.elapsed()
    }

    /// The logs of all runs of all replicas.
    pub(crate) fn logs(&self) -> Vec<Lines> {
        let logs = self.replicas.iter();
        logs.flat_map(|replica| replica.logs.lock().unwrap().clone())
            .collect()
    }
}

impl Replica {
    fn prepare(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = match setup.steady {
            true => SocketAddr::from(([127, 0, 0, 1], steady_port())),
            false => SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        configure(folder.path(), setup, address);
        Self {
            folder,
            receiver: Mutex::new(None),
            address: Mutex::new(address),
            logs: Mutex::default(),
        }
    }
}

fn configure(folder: &Path, setup: &Setup, address: SocketAddr) {
    let password = folder.join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let store = format!(
        "url = \"{}\"\npassword = \"file:{}\"\n{}",
        setup.url,
        password.display(),
        setup.store
    );
    let base = base_with("store", &store);
    let server = format!("[server]\n{}\n", setup.server);
    let base = base.replacen("[server]\n", &server, 1);
    let base = base.replacen("127.0.0.1:0", &address.to_string(), 1);
    std::fs::write(folder.join("config.toml"), base + &setup.tables).unwrap();
}

/// One client of all replicas, which keeps a connection to each.
#[derive(Default)]
pub(crate) struct Pusher {
    kept: HashMap<SocketAddr, Client>,
}

impl Pusher {
    /// One push to the receiver at `address`; an error is one of the connection.
    pub(crate) fn push(&mut self, address: SocketAddr, body: &str) -> io::Result<Answer> {
        let kept = self.kept.remove(&address);
        // As every client does: one that was closed meanwhile is not used again.
        let kept = kept.filter(|client| matches!(client.has_been_closed(), Ok(false)));
        let mut client = match kept {
            Some(client) => client,
            None => Client::connect(address, PATIENCE)?,
        };
        let answer = client.push("/webhook", body.as_bytes())?;
        if answer.header("connection") != Some("close") {
            self.kept.insert(address, client);
        }
        Ok(answer)
    }
}

/// An event of a subject, which is never stale.
pub(crate) fn event(id: &str, subject: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"i_r_title","event_time":1700000000000,"incident":{{"incident_id":"{subject}","title":"{id}"}}}}"#
    )
}
