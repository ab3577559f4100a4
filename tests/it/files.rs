//! Few open files: who is slow or strange still crowds out nobody.

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::http::{Client, connect_from};
use crate::receiver::{BASE, PATIENCE, Receiver, command};

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// What a push and a probe may take; typically it is a hundredth of that.
const BEARABLE: Duration = Duration::from_secs(1);

/// The sender is connected directly; whoever else is on this machine is a stranger.
fn direct() -> String {
    BASE.replace(
        "trusted_proxies = [\"127.0.0.0/8\"]",
        &format!("allow = [\"{SENDER}\"]"),
    )
}

/// So many connections that say nothing, half of them of the sender's own address.
fn silent(receiver: &Receiver, count: usize) -> Vec<TcpStream> {
    [SENDER, STRANGER]
        .into_iter()
        .cycle()
        .take(count)
        .map(|source| connect_from(source, receiver.public, PATIENCE).unwrap())
        .collect()
}

fn push(client: &mut Client, id: &str) -> Duration {
    let body = format!(r#"{{"event_id":"{id}","event_type":"i_new"}}"#);
    let begun = Instant::now();
    let answer = client.push_with("/webhook", "", body.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "accepted", "{answer:?}");
    begun.elapsed()
}

/// A push and a probe, each on a connection of its own.
fn assert_served(receiver: &Receiver, id: &str) {
    let begun = Instant::now();
    let mut sender = Client::connect_from(SENDER, receiver.public, PATIENCE).unwrap();
    push(&mut sender, id);
    let pushed = begun.elapsed();
    assert!(pushed < BEARABLE, "{id}: a push took {pushed:?}");
    let begun = Instant::now();
    let mut prober = Client::connect_from(BALANCER, receiver.public, PATIENCE).unwrap();
    assert_eq!(prober.get("/readyz").unwrap().status, 200);
    let probed = begun.elapsed();
    assert!(probed < BEARABLE, "{id}: a probe took {probed:?}");
}

/// The binary, with so few files that it cannot allow itself more.
fn with_files(folder: &std::path::Path, limit: usize) -> Command {
    let binary = command(folder, &[]);
    let mut limited = Command::new("sh");
    limited
        .current_dir(folder)
        .env_clear()
        .arg("-c")
        .arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""))
        .arg(binary.get_program())
        .args(binary.get_args());
    limited
}

#[test]
fn with_few_open_files_silent_connections_hold_up_neither_a_push_nor_a_probe() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), direct()).unwrap();
    let mut receiver = Receiver::run(folder.path(), with_files(folder.path(), 64));
    let lowered = |line: &&serde_json::Value| {
        line["message"]
            .to_string()
            .contains("server.max_connections = 4096 is lowered to 20")
    };
    let lines = receiver.lines.all();
    let lowered: Vec<_> = lines.iter().filter(lowered).collect();
    assert_eq!(lowered.len(), 1, "{lines:?}");
    assert_eq!(
        (&lowered[0]["level"], &lowered[0]["limit"]),
        (&"WARN".into(), &64.into())
    );

    for round in 0..5 {
        let _held = silent(&receiver, 300);
        assert_served(&receiver, &format!("round-{round}"));
        // One that is kept is not pushed out by strangers.
        let mut kept = Client::connect_from(SENDER, receiver.public, PATIENCE).unwrap();
        push(&mut kept, &format!("kept-{round}-a"));
        let _strangers: Vec<_> = (0..100)
            .map(|_| connect_from(STRANGER, receiver.public, PATIENCE).unwrap())
            .collect();
        let took = push(&mut kept, &format!("kept-{round}-b"));
        assert!(took < BEARABLE, "{took:?}");
        assert!(receiver.metric("flashduty_connections") <= 20.0);
    }
    let lines = receiver.lines.all();
    let failed = |line: &serde_json::Value| line["message"].to_string().contains("cannot accept");
    assert!(!lines.iter().any(failed), "{lines:?}");
    assert_eq!(receiver.stop().code(), Some(0));
}

#[test]
fn where_files_run_out_all_the_same_room_is_made_at_once() {
    let mut receiver = Receiver::configured(&direct());
    // Taken away behind its back, so that its cap on connections does not know.
    let few = Rlimit {
        current: Some(44),
        maximum: Some(44),
    };
    prlimit(
        Some(Pid::from_child(&receiver.child)),
        Resource::Nofile,
        few,
    )
    .unwrap();
    for round in 0..3 {
        let _held = silent(&receiver, 300);
        assert_served(&receiver, &format!("round-{round}"));
    }
    receiver.lines.wait("the complaint", |line| {
        line["level"] == "ERROR" && line["message"].to_string().contains("cannot accept")
    });
    assert_eq!(receiver.stop().code(), Some(0));
}
