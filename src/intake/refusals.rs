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
    total: u32,
    window: Duration,
    sources: Mutex<Sources>,
}

#[derive(Debug)]
struct Sources {
    each: HashMap<IpAddr, Window>,
    all: Window,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    lines: u32,
    kept_back: u64,
}

impl Refusals {
    /// `lines` for each source in each `window`, and `total` for all sources together.
    pub fn new(lines: u32, total: u32, window: Duration) -> Self {
        let sources = Sources {
            each: HashMap::new(),
            all: Window::beginning(Instant::now()),
        };
        Self {
            lines,
            total,
            window,
            sources: Mutex::new(sources),
        }
    }

    /// Whether a line about `source` may be written; if so, how many were not since the last.
    pub fn admit(&self, source: Option<IpAddr>) -> Option<u64> {
        let now = Instant::now();
        let source = source.map_or(IpAddr::from([0, 0, 0, 0]), network);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Sources { each, all } = &mut *sources;
        if each.len() >= REMEMBERED && !each.contains_key(&source) {
            each.retain(|_, window| now - window.began < self.window);
            if each.len() >= REMEMBERED {
                // Far more sources than lines are left for.
                return None;
            }
        }
        let own = each.entry(source).or_insert(Window::beginning(now));
        own.turn(now, self.window);
        all.turn(now, self.window);
        if own.lines >= self.lines || all.lines >= self.total {
            own.kept_back += 1;
            return None;
        }
        own.lines += 1;
        all.lines += 1;
        Some(std::mem::take(&mut own.kept_back))
    }
}

impl Window {
    fn beginning(now: Instant) -> Self {
        Self {
            began: now,
            lines: 0,
            kept_back: 0,
        }
    }

    /// Begins anew when its time is over.
    fn turn(&mut self, now: Instant, length: Duration) {
        if now - self.began >= length {
            self.began = now;
            self.lines = 0;
        }
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
        let refusals = Refusals::new(2, 100, Duration::from_secs(10));
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
        let refusals = Refusals::new(1, 100, Duration::from_secs(10));
        assert_eq!(refusals.admit(ip("2001:db8::1")), Some(0));
        assert_eq!(refusals.admit(ip("2001:db8::2")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_sources_share_the_lines_of_all() {
        let refusals = Refusals::new(5, 100, Duration::from_secs(10));
        let burst = || {
            (0..5000_u32)
                .filter_map(|number| {
                    refusals.admit(Some(IpAddr::from((number % 1000).to_be_bytes())))
                })
                .count()
        };
        assert_eq!(burst(), 100);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(burst(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_sources_takes_bounded_memory() {
        let refusals = Refusals::new(1, 100, Duration::from_secs(10));
        for number in 0..100_000_u32 {
            let _line = refusals.admit(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert!(refusals.sources.lock().unwrap().each.len() <= REMEMBERED);
    }
}
