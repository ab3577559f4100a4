//! What the database says of itself, and the system of its processes.

use std::path::Path;
use std::time::Duration;

use crate::database::Server;

/// What the server has used up so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) wal_bytes: f64,
    /// Of those, images of whole pages: the first change of each after a checkpoint.
    pub(crate) images: f64,
    pub(crate) syncs: f64,
    pub(crate) cpu_seconds: f64,
}

impl Used {
    pub(crate) fn now(server: &Server) -> Self {
        let version: u32 = server
            .sql("postgres", "SHOW server_version_num")
            .parse()
            .unwrap();
        let syncs = match version {
            ..180_000 => "SELECT wal_sync FROM pg_stat_wal",
            _ => "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'",
        };
        let asked = format!(
            "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, wal_fpi, ({syncs}) FROM pg_stat_wal"
        );
        let said = server.sql("postgres", &asked);
        let figures: Vec<f64> = said
            .split('|')
            .map(|figure| figure.parse().unwrap())
            .collect();
        Self {
            wal_bytes: figures[0],
            images: figures[1],
            syncs: figures[2],
            cpu_seconds: cpu_seconds(server),
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            wal_bytes: self.wal_bytes - before.wal_bytes,
            images: self.images - before.images,
            syncs: self.syncs - before.syncs,
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
        }
    }
}

/// User and system time of the server's processes, also of those that have ended.
fn cpu_seconds(server: &Server) -> f64 {
    let file = std::fs::read_to_string(server.home.join("data/postmaster.pid")).unwrap();
    let first: u32 = file.lines().next().unwrap().parse().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap();
    let ticks: f64 = processes
        .filter_map(|entry| {
            let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let fields = stat(process)?;
            let own = fields.get(11)? + fields.get(12)?;
            // The first process has reaped those that ended.
            match process == first {
                true => Some(own + fields.get(13)? + fields.get(14)?),
                false => (fields[1] == f64::from(first)).then_some(own),
            }
        })
        .sum();
    ticks / 100.0
}

/// Numbers of a process behind its name; its state counts as zero.
fn stat(process: u32) -> Option<Vec<f64>> {
    let file = Path::new("/proc").join(process.to_string()).join("stat");
    let text = std::fs::read_to_string(file).ok()?;
    let behind_name = text.rsplit(')').next()?;
    let fields = behind_name.split_whitespace();
    Some(
        fields
            .map(|field| field.parse().unwrap_or_default())
            .collect(),
    )
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn per_second(n: i64, time: Duration) -> f64 {
    n as f64 / time.as_secs_f64()
}
