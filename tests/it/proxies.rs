//! Real proxies in front, with the configurations that are shipped: restarts of the one receiver
//! behind them, under load.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::delivery::wait_until_settled;
use crate::launcher::Launcher;
use crate::lines::Lines;
use crate::load::{Load, Plan};
use crate::proxy::{Proxy, free_address};
use crate::receiver::{BASE, PATIENCE, Receiver, base_with, command, count, soak_line, wait_until};
use crate::recover::{stored, wait_for_all};
use crate::sender::Sender;

/// A disk that stands still for a second is not what is tried here, and a shared one does at times.
const PATIENT: &str = "ack_deadline = \"1500ms\"";

/// Restarts under load, and nothing but 200 for anybody.
fn restarts_behind(what: &str, start: fn(&[SocketAddr], &Path) -> Proxy) {
    let launcher = Launcher::new(&base_with("server", PATIENT));
    let mut receiver = launcher.start();
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(&[launcher.address()], folder.path());
    let rate = u32::try_from(count(100, 500)).unwrap();
    let load = Load::start(&Plan {
        connections: 8,
        ..Plan::of_sender(proxy.address, rate)
    });
    let restarts = count(3, 20);
    let between = count(60, 5_000);
    let mut logs = Vec::new();
    for _ in 0..restarts {
        wait_for_events(&receiver.lines, between);
        assert_eq!(receiver.stop().code(), Some(0));
        receiver.lines.wait_for_end();
        logs.push(receiver.lines.clone());
        receiver = launcher.start();
    }
    wait_for_events(&receiver.lines, between);
    let tally = load.stop();
    wait_until_settled(&receiver);
    logs.push(receiver.lines.clone());
    assert_eq!(tally.failed, [""; 0]);
    let written: HashSet<String> = logs.iter().flat_map(Lines::delivered).collect();
    let ids = tally.acknowledged_ids();
    let lost: Vec<_> = ids.iter().filter(|id| !written.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let took = tally.acknowledged.iter().map(|push| push.took);
    soak_line(
        4,
        &format!("restarts behind {what}"),
        &format!(
            "{restarts} under {rate} pushes/s: {} pushes, all answered 200, none lost, the \
             slowest after {:.1?}",
            ids.len(),
            took.max().unwrap(),
        ),
    );
}

fn wait_for_events(lines: &Lines, wanted: usize) {
    let slow = Duration::from_millis(20 * wanted as u64);
    let deadline = Instant::now() + PATIENCE.max(slow);
    // Not at each line: there may be thousands.
    while lines.count_delivered() < wanted {
        assert!(Instant::now() < deadline, "too few events of this run");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn restarts_behind_nginx_answer_every_push_with_200() {
    restarts_behind("nginx", Proxy::nginx);
}

#[test]
fn restarts_behind_haproxy_answer_every_push_with_200() {
    restarts_behind("haproxy", Proxy::haproxy);
}

/// Ends the pushes also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn after_plain_restarts_behind_nginx_exactly_the_pushes_that_failed_are_recovered() {
    let (sender, address) = (Sender::new(), free_address());
    let folder = tempfile::tempdir().unwrap();
    let base = BASE.replacen("127.0.0.1:0", &address.to_string(), 1);
    let tables = sender.tables("interval = \"500ms\"\nrate = \"2000/1s\"");
    std::fs::write(folder.path().join("config.toml"), base + &tables).unwrap();
    let start = || Receiver::run(folder.path(), command(folder.path(), &[]));
    let mut receiver = start();
    receiver.lines.wait("the beginning of recovery", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("from now on")
    });
    let place = tempfile::tempdir().unwrap();
    let proxy = Proxy::nginx(&[address], place.path());
    let failed = || -> BTreeSet<String> {
        let sent = sender.sent().into_iter();
        let failed = sent.filter(|sent| !sent.delivered);
        failed.map(|sent| sent.id).collect()
    };
    let (over, restarts) = (AtomicBool::new(false), count(3, 20));
    std::thread::scope(|scope| {
        let _end = End(&over);
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                sender.push(proxy.address);
            }
        });
        for restart in 1..=restarts {
            let enough = restart * count(40, 400);
            wait_until("there are pushes", || sender.count() >= enough);
            assert_eq!(receiver.stop().code(), Some(0));
            let before = failed().len();
            wait_until("a push fails", || failed().len() > before);
            receiver = start();
        }
        let enough = sender.count() + 40;
        wait_until("there are pushes after the last restart", || {
            sender.count() >= enough
        });
    });
    wait_for_all(&sender, &receiver);
    let stored = stored(&receiver);
    let recovered = stored
        .iter()
        .filter(|(_, row)| row["origin"] == "recovered");
    let recovered: BTreeSet<String> = recovered.map(|(id, _)| id.clone()).collect();
    let failed = failed();
    assert!(failed.len() >= restarts);
    // One whose answer came too late for the sender came in by itself.
    let late = failed.difference(&recovered).count();
    assert!(
        recovered.is_subset(&failed),
        "{recovered:?}, but {failed:?} failed"
    );
    soak_line(
        44,
        "plain restarts behind nginx, and recovery",
        &format!(
            "{restarts} restarts, {} pushes, {} failed, {} of them recovered and {late} stored \
             though their answer was late; all {} in the inbox, each once",
            sender.count(),
            failed.len(),
            recovered.len(),
            stored.len()
        ),
    );
}
