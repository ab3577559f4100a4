//! No fault at all, and a receiver that runs meanwhile.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{TOKEN, Visit, allow, doctor, tools};
use crate::database::steady_port;
use crate::power::image::Image;
use crate::receiver::{BASE, Receiver, base_with, command};
use crate::sender::Sender;

/// The user of the image.
const IMAGE_UID: &str = "65532";

#[test]
fn where_all_is_well_nothing_is_found() {
    // A file system on a loop device where that can be had, which waits for no disk.
    let image = Image::of("ext4");
    let temporary = tempfile::tempdir().unwrap();
    let folder = match &image {
        Ok(image) => image.path().join("home"),
        Err(_no_image) => temporary.path().join("home"),
    };
    std::fs::create_dir(&folder).unwrap();
    allow(temporary.path(), 0o755);
    let (tools, sender) = (tools(), Sender::new());
    let configuration = base_with("source", "token = \"file:token\"").replacen(
        "[server]\n",
        "[server]\nmax_connections = 100\n",
        1,
    ) + &sender.tables("")
        + &tools.sink("tickets", "")
        + "[sink.heal]\ntype = \"exec\"\ncommand = [\"true\"]\n";
    let inner = doctor(&folder, &configuration);
    let token = folder.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    allow(&token, 0o600);
    // Where it was built another user may not be let in.
    let binary = temporary.path().join("flashduty-receiver");
    std::fs::copy(inner.get_program(), &binary).unwrap();
    for place in [&folder, &token] {
        let owner = format!("{IMAGE_UID}:{IMAGE_UID}");
        let given = Command::new("chown").arg(owner).arg(place).status();
        assert!(given.unwrap().success());
    }
    let mut doctor = Command::new("setpriv");
    doctor
        .args(["--reuid", IMAGE_UID, "--regid", IMAGE_UID, "--clear-groups"])
        .arg(binary)
        .args(inner.get_args())
        .current_dir(&folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let visit = Visit::of(doctor);
    assert_eq!(visit.report["status"], "ok", "{}", visit.report);
    assert_eq!(visit.report["complete"], true);
    let checks = visit.report["checks"].as_array().unwrap().iter();
    let checks: Vec<&str> = checks
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        checks,
        [
            "configuration",
            "secrets",
            "listeners",
            "source",
            "store",
            "sync",
            "names",
            "recovery",
            "sink heal",
            "sink log",
            "sink tickets",
            "open files",
            "memory",
            "user",
            "clock",
        ]
    );
    assert_eq!(visit.code, Some(0));
    assert_eq!(names(&folder), ["config.toml", "token"], "nothing was made");
}

#[test]
fn a_receiver_that_runs_is_recognised_and_not_disturbed() {
    let tools = tools();
    let (public, admin) = (steady_port(), steady_port());
    let configuration = on_ports(BASE, [public, admin]) + &tools.sink("tickets", "");
    let mut receiver = Receiver::configured(&configuration);
    let event = |id: &str| format!(r#"{{"event_id":"{id}","event_type":"i_new"}}"#);
    assert_eq!(receiver.push(&event("before")).outcome(), "accepted");
    assert_eq!(tools.wait_for(1).len(), 1);
    let data = receiver.folder.join("data");
    let lock = data.join("inbox.db.lock");
    let (files, holder) = (names(&data), std::fs::read(&lock).unwrap());
    let complaints = complaints(&receiver);
    for _ in 0..3 {
        let visit = Visit::of(command(&receiver.folder, &["doctor", "--json"]));
        assert_eq!(visit.code, Some(0), "{}", visit.report);
        assert_eq!(
            visit.check("listeners")["detail"],
            format!(
                "127.0.0.1:{public} is held by a receiver that is ready; 127.0.0.1:{admin} is \
                 held by a receiver that is ready"
            )
        );
    }
    assert_eq!(names(&data), files);
    assert_eq!(std::fs::read(&lock).unwrap(), holder);
    let greetings = tools.received().split_off(1);
    assert_eq!(greetings.len(), 3);
    for greeting in &greetings {
        assert_eq!((&*greeting.method, &*greeting.target), ("HEAD", "/"));
        assert_eq!(greeting.header("idempotency-key"), None);
    }
    assert_eq!(receiver.push(&event("after")).outcome(), "accepted");
    tools.wait_for(5);
    assert_eq!(self::complaints(&receiver), complaints);
    let pushes = receiver.api("/metrics").body;
    let pushes = String::from_utf8(pushes).unwrap();
    let counted = pushes
        .lines()
        .filter(|line| line.starts_with("flashduty_pushes_total{"));
    let counted: f64 = counted
        .filter_map(|line| line.split(' ').nth(1)?.parse::<f64>().ok())
        .sum();
    assert_eq!(counted, 2.0);
    assert_eq!(receiver.stop().code(), Some(0));
}

#[test]
fn a_receiver_that_listens_to_proxies_alone_is_asked_as_one_of_them_asks() {
    let (public, admin) = (steady_port(), steady_port());
    let keys = "proxy_protocol = \"required\"\nclient_ip_header = \"none\"";
    let configuration = on_ports(&base_with("source", keys), [public, admin]);
    let receiver = Receiver::configured(&configuration);
    let held = |port| format!("127.0.0.1:{port} is held by a receiver that is ready");
    let visit = Visit::of(command(&receiver.folder, &["doctor", "--json"]));
    let told = &visit.check("listeners")["detail"];
    assert_eq!(*told, format!("{}; {}", held(public), held(admin)));
    // A machine that is no proxy does not ask.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = configuration.replace("127.0.0.0/8", "192.0.2.1");
    let visit = Visit::of(doctor(elsewhere.path(), &stranger));
    let taken = format!("127.0.0.1:{public} is taken, and wants the PROXY protocol");
    let told = &visit.check("listeners")["detail"];
    assert_eq!(*told, format!("{taken}; {}", held(admin)));
    let lines = receiver.lines.all();
    let refused = |line: &Value| line.to_string().contains("connection refused");
    assert!(!lines.iter().any(refused), "{lines:?}");
}

#[test]
fn that_a_receiver_lets_nobody_in_is_found() {
    let admin = steady_port();
    // Behind the first port, which stays any.
    let (public, rest) = BASE.split_once("[admin]").unwrap();
    let rest = rest.replacen("127.0.0.1:0", &format!("127.0.0.1:{admin}"), 1);
    let receiver = Receiver::configured(&format!("{public}[admin]{rest}"));
    let mut client = receiver.client();
    let denied = client.push_with("/webhook", "", b"{}").unwrap();
    assert_eq!(denied.status, 403);
    let visit = Visit::of(command(&receiver.folder, &["doctor", "--json"]));
    assert_eq!(
        visit.finding("source", "warning"),
        [
            "no push was let in since the start, and 1 were denied for their address",
            "read the hint in the log lines with outcome denied: mostly source.trusted_proxies \
             lacks the proxy or balancer in front",
        ]
    );
}

/// `base` with a port each for its public and its admin listener.
fn on_ports(base: &str, ports: [u16; 2]) -> String {
    ports.iter().fold(base.to_owned(), |text, port| {
        text.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1)
    })
}

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// How many lines of its log say that something is wrong.
fn complaints(receiver: &Receiver) -> usize {
    let lines = receiver.lines.all();
    let wrong = |line: &&Value| line["level"] == "WARN" || line["level"] == "ERROR";
    lines.iter().filter(wrong).count()
}
