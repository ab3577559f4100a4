//! Good pushes at a steady rate over kept connections, and what became of each.
//!
//! The loop is open: a push's time runs from when it was due, so that one that waits behind a slow
//! answer counts as slow too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Client, SENDER};
use crate::receiver::PATIENCE;

/// As long as a usual push.
const LENGTH: usize = 1_400;

/// What to send, and how often.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// The near end's address.
    pub(crate) source: IpAddr,
    /// Lines of the head, each with its CRLF.
    pub(crate) headers: String,
    /// How ids begin; unique within a test.
    pub(crate) prefix: &'static str,
    /// Pushes a second, over all connections.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
    /// About how many bytes a body has.
    pub(crate) length: usize,
    /// The events are about so many subjects in turn; zero: each about its own. A multiple of the
    /// connections, so that the events of one subject come one after the other.
    pub(crate) subjects: u32,
}

impl Plan {
    /// From the sender's own address, as a trusted proxy tells it.
    pub(crate) fn of_sender(address: SocketAddr, rate: u32) -> Self {
        Self {
            address,
            source: Ipv4Addr::LOCALHOST.into(),
            headers: format!("X-Forwarded-For: {SENDER}\r\n"),
            prefix: "load",
            rate,
            connections: 4,
            length: LENGTH,
            subjects: 0,
        }
    }
}

/// One push that was answered with 200.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) id: String,
    pub(crate) due: Instant,
    pub(crate) took: Duration,
}

/// What became of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// How the others failed.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// The 99th percentile of those that were due between `from` and `to`, as it typically is: the
    /// median of that of each second. A neighbour's sync can hold up the disk for one of them; a
    /// slow receiver spoils all.
    pub(crate) fn steady_p99(&self, from: Instant, to: Instant) -> Duration {
        let seconds = (to - from).as_secs().max(1);
        let mut each: Vec<_> = (0..seconds)
            .map(|second| from + Duration::from_secs(second))
            .map(|from| self.p99(from, from + Duration::from_secs(1)))
            .collect();
        each.sort_unstable();
        each[each.len() / 2]
    }

    /// The ids of those that were acknowledged.
    pub(crate) fn acknowledged_ids(&self) -> Vec<String> {
        let ids = self.acknowledged.iter().map(|push| push.id.clone());
        ids.collect()
    }

    /// The 99th percentile of those that were due between `from` and `to`.
    pub(crate) fn p99(&self, from: Instant, to: Instant) -> Duration {
        let within = |push: &&Acknowledged| (from..to).contains(&push.due);
        let mut times: Vec<_> = self
            .acknowledged
            .iter()
            .filter(within)
            .map(|push| push.took)
            .collect();
        assert!(
            times.len() >= 20,
            "too few for a percentile: {}",
            times.len()
        );
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

/// A push of 1.4 KB that is like no other, with `id` as its event's and its incident's.
pub(crate) fn body(id: &str) -> Vec<u8> {
    body_of(id, LENGTH)
}

/// The same of about `length` bytes.
pub(crate) fn body_of(id: &str, length: usize) -> Vec<u8> {
    body_about(id, id, length)
}

fn body_about(id: &str, incident: &str, length: usize) -> Vec<u8> {
    let filler = "all disks of the storage tier are filling up; ";
    let filler = filler.repeat(length.saturating_sub(200) / filler.len());
    format!(
        r#"{{"event_id":"{id}","event_type":"i_new","event_time":1700000000000,"incident":{{"incident_id":"{incident}","title":"disk almost full","description":"{filler}"}}}}"#
    )
    .into_bytes()
}

/// Pushes that go on until [`Load::stop`].
pub(crate) struct Load {
    begun: Instant,
    /// Milliseconds after the beginning from which on no push is due any more.
    end: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Begins; each connection is a thread.
    pub(crate) fn start(plan: &Plan) -> Self {
        let end = Arc::new(AtomicU64::new(u64::MAX));
        let begun = Instant::now();
        let workers = (0..plan.connections)
            .map(|number| {
                let (plan, end) = (plan.clone(), Arc::clone(&end));
                std::thread::spawn(move || run(&plan, number, begun, &end))
            })
            .collect();
        Self {
            begun,
            end,
            workers,
        }
    }

    /// Ends the load once all that is due by now was pushed, and tells what became of it.
    pub(crate) fn stop(self) -> Tally {
        let end = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        self.end.store(end, Ordering::Relaxed);
        let mut all = Tally::default();
        for worker in self.workers {
            let tally = worker.join().unwrap();
            all.acknowledged.extend(tally.acknowledged);
            all.failed.extend(tally.failed);
        }
        all
    }
}

fn run(plan: &Plan, number: u32, begun: Instant, end: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    for turn in (number..).step_by(plan.connections as usize) {
        let after = Duration::from_secs(1) * turn / plan.rate;
        let due = begun + after;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if after.as_millis() > end.load(Ordering::Relaxed).into() {
            break;
        }
        let id = format!("{}-{turn}", plan.prefix);
        let incident = match plan.subjects {
            0 => id.clone(),
            subjects => format!("{}-of-{}", plan.prefix, turn % subjects),
        };
        let body = body_about(&id, &incident, plan.length);
        match push(&mut client, plan, &body) {
            Ok(()) => tally.acknowledged.push(Acknowledged {
                id,
                due,
                took: due.elapsed(),
            }),
            Err(error) => {
                client = None;
                tally.failed.push(format!("{id}: {error}"));
            }
        }
    }
    tally
}

fn push(client: &mut Option<Client>, plan: &Plan, body: &[u8]) -> std::io::Result<()> {
    // As every client that keeps connections does: one that was closed meanwhile is not used again.
    if let Some(kept) = client
        && kept.has_been_closed()?
    {
        *client = None;
    }
    let open = match client {
        Some(open) => open,
        None => client.insert(Client::connect_from(plan.source, plan.address, PATIENCE)?),
    };
    let answer = open.push_with("/webhook", &plan.headers, body)?;
    if answer.status != 200 {
        return Err(std::io::Error::other(format!("{answer:?}")));
    }
    if answer.header("connection") == Some("close") {
        *client = None;
    }
    Ok(())
}
