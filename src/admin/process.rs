//! What the kernel says about this process, for the `process_*` metrics.
//!
//! A value that cannot be read is `None`; nothing here fails or blocks on anything but `/proc`.

use std::fs;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

/// One reading of the process's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    /// User and system time, with the clock tick's precision (usually 10 ms).
    pub(super) cpu_seconds: Option<f64>,
    /// Resident set.
    pub(super) resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<u64>,
    /// The soft limit of open file descriptors; absent when there is none.
    pub(super) max_fds: Option<u64>,
    /// Start of the process, seconds since the Unix epoch.
    pub(super) start_time_seconds: Option<f64>,
}

impl Process {
    /// Reads the figures now.
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        let boot = fs::read_to_string("/proc/stat").ok();
        let boot = boot.as_deref().and_then(boot_time);
        let status = fs::read_to_string("/proc/self/status").ok();
        Self {
            cpu_seconds: stat.as_ref().map(|stat| seconds(stat.cpu_ticks)),
            resident_bytes: status.as_deref().and_then(resident_bytes),
            // The descriptor that lists the folder is among those listed.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: getrlimit(Resource::Nofile).current,
            start_time_seconds: stat
                .zip(boot)
                .map(|(stat, boot)| boot + seconds(stat.start_ticks)),
        }
    }
}

/// The fields of `/proc/self/stat` that are used, in clock ticks; `proc_pid_stat(5)`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let user: u64 = fields.nth(11)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let start = fields.nth(6)?.parse().ok()?;
        Some(Self {
            cpu_ticks: user + system,
            start_ticks: start,
        })
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn boot_time(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 ticks are three million years"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 8899 \
                    1000 200 18446744073709551615";
        let stat = Stat {
            cpu_ticks: 300,
            start_ticks: 8899,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (cut"), None);
        assert_eq!(Stat::parse("7 (cut) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_start_in_the_past() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        // Later than 2020: a mistaken field would be seconds since boot.
        assert!(process.start_time_seconds.unwrap() > 1_577_836_800.0);
    }
}
