//! A balancer as it is found in front of two instances: it probes `/readyz`, keeps connections, and
//! gives no new request to an instance that is not ready. It never tries a push twice.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::Client;
use crate::load::body;
use crate::receiver::PATIENCE;

const WORKERS: usize = 8;
/// Pushes a second, over all workers.
const RATE: u32 = 250;
const PROBE_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Balancer {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Pushed>>,
    prober: JoinHandle<()>,
}

struct Shared {
    instances: [Instance; 2],
    begun: Instant,
    wanted: usize,
    next: AtomicUsize,
    stop: AtomicBool,
}

struct Instance {
    address: Mutex<SocketAddr>,
    used: AtomicBool,
}

/// The ids that were acknowledged, and how the others failed.
#[derive(Default)]
struct Pushed(Vec<String>, Vec<String>);

impl Balancer {
    /// Begins to probe, and to push `wanted` events.
    pub(crate) fn start(addresses: [SocketAddr; 2], wanted: usize) -> Self {
        let instances = addresses.map(|address| Instance {
            address: Mutex::new(address),
            used: AtomicBool::new(true),
        });
        let shared = Arc::new(Shared {
            instances,
            begun: Instant::now(),
            wanted,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let workers = (0..WORKERS).map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        });
        let workers = workers.collect();
        let probing = Arc::clone(&shared);
        let prober = std::thread::spawn(move || probing.probe());
        Self {
            shared,
            workers,
            prober,
        }
    }

    /// Whether the last push was begun.
    pub(crate) fn is_done(&self) -> bool {
        self.shared.next.load(Ordering::Relaxed) >= self.shared.wanted
    }

    /// Whether an instance gets new requests.
    pub(crate) fn uses(&self, turn: usize) -> bool {
        self.shared.instances[turn].used.load(Ordering::SeqCst)
    }

    /// Waits until one of them can be spared.
    pub(crate) fn wait_until_both_are_used(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !(self.uses(0) && self.uses(1)) {
            assert!(Instant::now() < deadline, "never became ready");
            std::thread::sleep(PROBE_EVERY);
        }
    }

    /// The instance is now at `address`.
    pub(crate) fn replace(&self, turn: usize, address: SocketAddr) {
        *self.shared.instances[turn].address.lock().unwrap() = address;
    }

    /// Waits for the last push. Returns the ids that were acknowledged, and how others failed.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>) {
        let mut all = Pushed::default();
        for worker in self.workers {
            let Pushed(acknowledged, failed) = worker.join().unwrap();
            all.0.extend(acknowledged);
            all.1.extend(failed);
        }
        self.shared.stop.store(true, Ordering::SeqCst);
        self.prober.join().unwrap();
        (all.0, all.1)
    }
}

impl Shared {
    fn probe(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            for instance in &self.instances {
                let address = *instance.address.lock().unwrap();
                let status = Client::connect(address, PATIENCE)
                    .and_then(|mut client| client.get("/readyz"))
                    .map(|answer| answer.status);
                let ready = matches!(status, Ok(200));
                instance.used.store(ready, Ordering::SeqCst);
            }
            std::thread::sleep(PROBE_EVERY);
        }
    }

    fn work(&self) -> Pushed {
        let mut pushed = Pushed::default();
        let mut kept = [None, None];
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.wanted {
                return pushed;
            }
            let due = self.begun + Duration::from_secs(1) * u32::try_from(number).unwrap() / RATE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let id = format!("balanced-{number}");
            match self.push(number, &id, &mut kept) {
                Ok(()) => pushed.0.push(id),
                Err(error) => pushed.1.push(format!("{id}: {error}")),
            }
        }
    }

    /// Pushes to the instances in turn, as far as they are used.
    fn push(
        &self,
        number: usize,
        id: &str,
        kept: &mut [Option<(SocketAddr, Client)>; 2],
    ) -> io::Result<()> {
        let mut turns = [number % 2, (number + 1) % 2].into_iter();
        let turn = turns.find(|turn| self.instances[*turn].used.load(Ordering::SeqCst));
        let turn = turn.ok_or_else(|| io::Error::other("no instance is ready"))?;
        let address = *self.instances[turn].address.lock().unwrap();
        let mut client = match kept[turn].take() {
            Some((known, client)) if known == address => client,
            _ => Client::connect(address, PATIENCE)?,
        };
        let answer = client.push("/webhook", &body(id))?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("{answer:?}")));
        }
        if answer.header("connection") != Some("close") {
            kept[turn] = Some((address, client));
        }
        Ok(())
    }
}
