//! The servers under measurement, each a process of its own on its own core.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::setup::{free_address, get, scratch};

pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const GENERATOR_CORE: &str = "1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Answer,
    Append,
    Receiver,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Answer, Self::Append, Self::Receiver];

    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Answer => "(a)",
            Self::Append => "(b)",
            Self::Receiver => "(c)",
        }
    }
}

/// A server that runs; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: Option<SocketAddr>,
    /// From the start of the process to its first 200 of a probe.
    pub(crate) ready_after: Duration,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// In `folder`, or in a fresh one below the target folder, which is on a real disk.
    pub(crate) fn start(kind: Kind, folder: Option<&Path>) -> Self {
        Self::start_with(kind, folder, "")
    }

    /// The same with further settings of the receiver.
    pub(crate) fn start_with(kind: Kind, folder: Option<&Path>, settings: &str) -> Self {
        let temporary = folder
            .is_none()
            .then(|| tempfile::tempdir_in(scratch()).unwrap());
        let folder = folder.unwrap_or_else(|| temporary.as_ref().unwrap().path());
        let address = free_address();
        let admin = free_address();
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).current_dir(folder);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        match kind {
            Kind::Receiver => {
                let config = format!(
                    "server.listen = \"{address}\"\nadmin.listen = \"{admin}\"\n\
                     source.allow = [\"127.0.0.1\"]\n{settings}\n"
                );
                std::fs::write(folder.join("config.toml"), config).unwrap();
                command
                    .arg(env!("CARGO_BIN_EXE_flashduty-receiver"))
                    .args(["--config", "config.toml"]);
            }
            Kind::Answer => {
                command
                    .arg(std::env::current_exe().unwrap())
                    .arg("serve-answer");
            }
            Kind::Append => {
                command
                    .arg(std::env::current_exe().unwrap())
                    .args(["serve-append", "appended"]);
            }
        }
        let begun = Instant::now();
        let child = command
            .env("BENCH_LISTEN", address.to_string())
            .stdout(log)
            .spawn()
            .unwrap();
        let ready_after = until_ready(address, begun);
        Self {
            child,
            address,
            admin: (kind == Kind::Receiver).then_some(admin),
            ready_after,
            _folder: temporary,
        }
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        self.status_kib("VmRSS") / 1024.0
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        self.status_kib("VmHWM") / 1024.0
    }

    fn status_kib(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// User and system time of the process so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let behind_name = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    /// A figure of the receiver's metrics; zero where it has none of that name.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self
            .admin
            .map_or_else(String::new, |admin| get(admin, "/metrics"));
        let mut lines = metrics.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }

    /// Size of the store's log and its longest stall, as the receiver's status has them.
    pub(crate) fn store_facts(&self) -> String {
        let Some(admin) = self.admin else {
            return String::new();
        };
        let status = get(admin, "/api/v1/status");
        let body = status.split("\r\n\r\n").nth(1).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        format!(
            "log {} KiB, longest stall {:.1} ms, waiting deliveries {}",
            value["store_log_bytes"].as_u64().unwrap_or_default() / 1024,
            value["longest_stall_seconds"].as_f64().unwrap_or_default() * 1e3,
            value["inbox"]["sinks"][0]["pending"]
        )
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn until_ready(address: SocketAddr, begun: Instant) -> Duration {
    loop {
        if get(address, "/readyz").starts_with("HTTP/1.1 200") {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the server does not start"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processor's name and the number of cores.
pub(crate) fn machine() -> String {
    let info = std::fs::File::open("/proc/cpuinfo").unwrap();
    let lines = BufReader::new(info).lines().map_while(Result::ok);
    let name = lines.filter(|line| line.starts_with("model name")).last();
    let name = name
        .as_deref()
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown");
    format!(
        "{name}, {} cores",
        std::thread::available_parallelism().unwrap()
    )
}
