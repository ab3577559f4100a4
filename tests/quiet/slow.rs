//! Clients that take their time crowd out nobody.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::http::{Client, SENDER, connect_from};
use crate::load::{Load, Plan, body};
use crate::receiver::{BASE, PATIENCE, Receiver, command, count, soak_line, wait_until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What pushes and probes may take, the slowest hundredth left out.
const BEARABLE: Duration = Duration::from_millis(100);
/// Between two who come back: a new one pushes out the one longest without a head, and a probe that
/// just came has to be read before it is that one.
const PACE: Duration = Duration::from_millis(2);
const MORE_MEMORY: u64 = 150 << 20;

#[test]
fn slow_clients_hold_up_neither_pushes_nor_probes_and_cost_little_memory() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), BASE).unwrap();
    // As under systemd, where a process has to raise this limit by itself.
    let mut receiver = Receiver::run(folder.path(), with_few_open_files(folder.path()));
    allow_open_files();
    let idle = receiver.memory();
    let wanted = count(200, 1000);
    let crowd = Crowd::gather(
        receiver.public,
        LOCALHOST,
        wanted,
        &[half_head, half_body, silent],
    );
    wait_until("all slow clients are connected", || {
        receiver.metric("flashduty_connections") >= wanted as f64
    });

    // What its twin takes without slow clients, the machine takes.
    let twin = Receiver::start("");
    let loads = [&receiver, &twin].map(|one| Load::start(&Plan::of_sender(one.public, 100)));
    let begun = Instant::now();
    let until = begun + Duration::from_secs(count(8, 60) as u64);
    let mut memory = 0;
    let mut probes = Vec::new();
    while Instant::now() < until {
        probes.push(probe(receiver.public, LOCALHOST));
        memory = memory.max(receiver.memory());
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = Instant::now();
    let [tally, without] = loads.map(Load::stop);
    let turned_away = crowd.disperse();

    assert_eq!(tally.failed, [""; 0]);
    let pushes = tally.steady_p99(begun, ended);
    let without = without.steady_p99(begun, ended);
    let bearable = BEARABLE.max(3 * without);
    assert!(
        pushes < bearable,
        "p99 of pushes: {pushes:?}, and without slow clients {without:?}"
    );
    probes.sort_unstable();
    let probes = probes[probes.len() * 99 / 100];
    assert!(probes < bearable, "p99 of probes: {probes:?}");
    let more = memory.saturating_sub(idle);
    assert!(more < MORE_MEMORY, "{idle} bytes of memory became {memory}");
    // Those that stop within head or body have five seconds.
    assert!(
        turned_away > wanted / 2,
        "only {turned_away} were turned away"
    );
    assert_eq!(receiver.stop().code(), Some(0));
    soak_line(
        6,
        "slow clients",
        &format!(
            "{wanted} at any time, {turned_away} turned away; {} good pushes, none failed, p99 \
             {:.1?} (typically {pushes:.1?}, without slow clients {without:.1?}); p99 of probes {probes:.1?}; {} MiB above idle",
            tally.acknowledged.len(),
            tally.p99(begun, ended),
            more >> 20,
        ),
    );
}

/// The sender is connected directly; whoever else is on this machine is a stranger.
const FEW_CONNECTIONS: &str = r#"
[server]
listen = "127.0.0.1:0"
max_connections = 1000
[admin]
listen = "127.0.0.1:0"
[source]
allow = ["127.0.0.2"]
[store]
min_free_disk = "16MiB"
"#;
const DIRECT_SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

#[test]
fn strangers_that_hold_on_to_connections_crowd_out_neither_the_sender_nor_a_probe() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), FEW_CONNECTIONS).unwrap();
    let mut receiver = Receiver::run(folder.path(), command(folder.path(), &[]));
    let wanted = count(200, 1000);
    let crowd = Crowd::gather(receiver.public, STRANGER, wanted, &[half_head, silent]);
    let evicted = "flashduty_connections_evicted_total";
    wait_until("strangers fill their share", || {
        receiver.metric(evicted) >= wanted as f64 / 2.0
    });

    let load = Load::start(&Plan {
        source: DIRECT_SENDER,
        headers: String::new(),
        ..Plan::of_sender(receiver.public, 50)
    });
    let until = Instant::now() + Duration::from_secs(count(4, 30) as u64);
    let mut round = 0;
    while Instant::now() < until {
        let _took = probe(receiver.public, BALANCER);
        let mut sender = Client::connect_from(DIRECT_SENDER, receiver.public, PATIENCE).unwrap();
        let answer = sender.push_with("/webhook", "", &body(&format!("new-{round}")));
        assert_eq!(answer.unwrap().outcome(), "accepted");
        assert!(receiver.metric("flashduty_connections") <= 1000.0);
        round += 1;
    }
    let tally = load.stop();
    let turned_away = crowd.disperse();
    assert_eq!(tally.failed, [""; 0]);
    assert!(round > 20, "only {round} probes");
    assert_eq!(receiver.stop().code(), Some(0));
    soak_line(
        6,
        "strangers, who share 100 connections",
        &format!(
            "{wanted} strangers, {turned_away} turned away; {round} probes and {round} pushes on \
             new connections, {} on kept ones, none failed",
            tally.acknowledged.len(),
        ),
    );
}

fn half_head() -> Vec<u8> {
    format!("POST /webhook HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {SENDER}\r\nContent-Le")
        .into()
}

/// 900 KB of a MiB.
fn half_body() -> Vec<u8> {
    let mut bytes = half_head();
    bytes.extend(b"ngth: 1048576\r\n\r\n{\"event_id\": \"");
    bytes.resize(bytes.len() + 900_000, b'x');
    bytes
}

fn silent() -> Vec<u8> {
    Vec::new()
}

/// A balancer's probe, on a connection of its own.
fn probe(address: SocketAddr, source: IpAddr) -> Duration {
    let begun = Instant::now();
    let mut client = Client::connect_from(source, address, PATIENCE).unwrap();
    client.send(b"HEAD /readyz HTTP/1.0\r\n\r\n").unwrap();
    let answer = client.answer(true).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    begun.elapsed()
}

/// Clients that never get to the end of a request. Who is turned away comes back.
struct Crowd {
    stop: Arc<AtomicBool>,
    turned_away: Arc<AtomicUsize>,
    keeper: JoinHandle<()>,
}

impl Crowd {
    /// `size` clients from `source` that send what `kinds` say, in turn, and no more.
    fn gather(address: SocketAddr, source: IpAddr, size: usize, kinds: &[fn() -> Vec<u8>]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let turned_away = Arc::new(AtomicUsize::new(0));
        let texts: Vec<Arc<[u8]>> = kinds.iter().map(|kind| kind().into()).collect();
        let keeper = {
            let (stop, turned_away) = (Arc::clone(&stop), Arc::clone(&turned_away));
            std::thread::spawn(move || {
                let open = |text: &Arc<[u8]>| Slow::open(address, source, Arc::clone(text));
                let mut crowd: Vec<_> = texts.iter().cycle().take(size).map(open).collect();
                while !stop.load(Ordering::Relaxed) {
                    for slow in &mut crowd {
                        if slow.is_turned_away() {
                            turned_away.fetch_add(1, Ordering::Relaxed);
                            *slow = open(&slow.text);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            })
        };
        Self {
            stop,
            turned_away,
            keeper,
        }
    }

    /// Ends them all, and tells how often one was turned away.
    fn disperse(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.keeper.join().unwrap();
        self.turned_away.load(Ordering::Relaxed)
    }
}

struct Slow {
    stream: TcpStream,
    text: Arc<[u8]>,
    sent: usize,
}

impl Slow {
    fn open(address: SocketAddr, source: IpAddr, text: Arc<[u8]>) -> Self {
        let stream = connect_from(source, address, PATIENCE).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut slow = Self {
            stream,
            text,
            sent: 0,
        };
        let _evicted = slow.send();
        std::thread::sleep(PACE);
        slow
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.text.len() {
            match self.stream.write(&self.text[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_turned_away(&mut self) -> bool {
        if self.send().is_err() {
            return true;
        }
        let mut refusal = [0; 1024];
        loop {
            match self.stream.read(&mut refusal) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => return true,
            }
        }
    }
}

fn with_few_open_files(folder: &std::path::Path) -> Command {
    let binary = command(folder, &[]);
    let mut limited = Command::new("sh");
    limited
        .current_dir(folder)
        .env_clear()
        .args(["-c", "ulimit -Sn 128 && exec \"$0\" \"$@\""])
        .arg(binary.get_program())
        .args(binary.get_args());
    limited
}

/// For this process, which has the other end of each connection.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
