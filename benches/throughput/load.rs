//! The generator: the binary's own `push`, pinned, and its report.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::server::{GENERATOR_CORE, Server};

/// What is pushed.
pub(crate) struct Load {
    arguments: Vec<String>,
    connections: usize,
}

/// What `push --json` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) pushes: u32,
    pub(crate) failed: u32,
    pub(crate) per_second: f64,
    pub(crate) latency_us: Latency,
}

/// Microseconds.
#[derive(Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Load {
    pub(crate) fn closed(connections: usize) -> Self {
        let seconds = std::env::var("BENCH_SECONDS").unwrap_or_else(|_| "4".to_owned());
        Self {
            arguments: vec!["--duration".into(), format!("{seconds}s")],
            connections,
        }
    }

    pub(crate) fn open(rate: u32, seconds: u32) -> Self {
        Self {
            arguments: vec![
                "--rate".into(),
                rate.to_string(),
                "--duration".into(),
                format!("{seconds}s"),
            ],
            connections: 64,
        }
    }

    /// So many pushes of the body in `file`, each an event of its own, or of the sample.
    pub(crate) fn count(pushes: u32, file: Option<&Path>) -> Self {
        let mut arguments = vec!["--count".into(), pushes.to_string()];
        if let Some(file) = file {
            let file = file.to_str().unwrap().to_owned();
            arguments.extend(["--fresh".to_owned(), "--file".to_owned(), file]);
        }
        Self {
            arguments,
            connections: 64,
        }
    }

    /// A short run of the same kind, whose figures are not looked at.
    pub(crate) fn warm_up(&self) -> Self {
        Self {
            arguments: vec!["--duration".into(), "1s".into()],
            connections: self.connections,
        }
    }
}

impl Report {
    pub(crate) fn tail(&self) -> String {
        let latency = &self.latency_us;
        [latency.p50, latency.p99, latency.p999, latency.max]
            .map(|micros| format!("{:>8.2}", micros / 1e3))
            .join(" ")
    }
}

pub(crate) fn run(server: &Server, load: &Load) -> Report {
    let output = Command::new("taskset")
        .args([
            "-c",
            GENERATOR_CORE,
            env!("CARGO_BIN_EXE_flashduty-receiver"),
            "push",
        ])
        .arg(format!("http://{}/webhook", server.address))
        .args(["--json", "--connections", &load.connections.to_string()])
        .args(&load.arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(report.failed, 0, "{text}");
    report
}
