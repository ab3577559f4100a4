//! How often a source may fill the log with its refusals. The metrics stay exact.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Sources remembered at once; beyond it those whose window is over are forgotten first.
const REMEMBERED: usize = 4096;

/// Lets a few lines a source through in each window, and says how many it kept back.
#[derive(Debug)]
pub struct Refusals {
    lines: u32,
    window: Duration,
    sources: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    kept_back: u64,
}

impl Refusals {
    /// `lines` for each source in each `window`.
    pub fn new(lines: u32, window: Duration) -> Self {
        Self {
            lines,
            window,
            sources: Mutex::default(),
        }
    }

    /// Whether a line about `source` may be written; if so, how many were not since the last.
    pub fn admit(&self, source: Option<IpAddr>) -> Option<u64> {
        let now = Instant::now();
        let source = source.map_or(IpAddr::from([0, 0, 0, 0]), network);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= REMEMBERED && !sources.contains_key(&source) {
            sources.retain(|_, window| now - window.began < self.window);
            if sources.len() >= REMEMBERED {
                // Thousands of sources at once: their lines would fill the disk all the same.
                return None;
            }
        }
        let window = sources.entry(source).or_insert(Window {
            began: now,
            lines: 0,
            kept_back: 0,
        });
        if now - window.began >= self.window {
            window.began = now;
            window.lines = 0;
        }
        if window.lines >= self.lines {
            window.kept_back += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.kept_back))
    }
}

/// One IPv6 customer has a whole /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[4..].fill(0);
            IpAddr::from(segments)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_gets_its_lines_and_later_the_number_kept_back() {
        let refusals = Refusals::new(2, Duration::from_secs(10));
        assert_eq!(refusals.admit(ip("192.0.2.1")), Some(0));
        assert_eq!(refusals.admit(ip("192.0.2.1")), Some(0));
        assert_eq!(refusals.admit(ip("192.0.2.1")), None);
        assert_eq!(refusals.admit(ip("192.0.2.1")), None);
        assert_eq!(
            refusals.admit(ip("192.0.2.2")),
            Some(0),
            "another source is not affected"
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(refusals.admit(ip("192.0.2.1")), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_of_ipv6_counts_as_one_source() {
        let refusals = Refusals::new(1, Duration::from_secs(10));
        assert_eq!(refusals.admit(ip("2001:db8::1")), Some(0));
        assert_eq!(refusals.admit(ip("2001:db8::2")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_sources_takes_bounded_memory() {
        let refusals = Refusals::new(1, Duration::from_secs(10));
        for number in 0..100_000_u32 {
            let _line = refusals.admit(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert!(refusals.sources.lock().unwrap().len() <= REMEMBERED);
    }
}
