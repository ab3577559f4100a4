//! The report of a load, for people and for scripts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::tally::Tally;
use crate::cli::printer::counted;

const BAR_WIDTH: u64 = 40;

/// A finished load, ready to be shown: `Display` for people, `Serialize` for scripts.
#[derive(Debug, Serialize)]
pub struct Report {
    pushes: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    /// Absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_per_second: Option<f64>,
    connections: usize,
    outcomes: Outcomes,
    refused: BTreeMap<u16, u64>,
    latency_us: Percentiles,
    histogram: Vec<HistogramBar>,
    #[serde(skip)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct Outcomes {
    accepted: u64,
    duplicate: u64,
    stale: u64,
    other_ok: u64,
    timed_out: u64,
    connection_error: u64,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u128,
    p90: u128,
    p99: u128,
    p999: u128,
    max: u128,
}

#[derive(Debug, Serialize)]
struct HistogramBar {
    upto_us: u128,
    count: u64,
}

impl Report {
    /// Sums up `tally`, of a load over `connections` at a scheduled rate or in a closed loop.
    pub fn new(tally: Tally, connections: usize, scheduled_per_second: Option<f64>) -> Self {
        let seconds = tally.elapsed.as_secs_f64();
        let latencies = &tally.latencies;
        let percentile = |per_mille| latencies.percentile(per_mille).as_micros();
        let pushes = tally.pushes();
        Self {
            pushes,
            failed: tally.failed(),
            seconds: round(seconds),
            per_second: round(pushes as f64 / seconds.max(1e-9)),
            scheduled_per_second,
            connections,
            outcomes: Outcomes {
                accepted: tally.accepted,
                duplicate: tally.duplicate,
                stale: tally.stale,
                other_ok: tally.other_ok,
                timed_out: tally.timed_out,
                connection_error: tally.broken,
            },
            refused: tally.refused.iter().map(|(k, v)| (*k, v.count)).collect(),
            latency_us: Percentiles {
                p50: percentile(500),
                p90: percentile(900),
                p99: percentile(990),
                p999: percentile(999),
                max: latencies.max().as_micros(),
            },
            histogram: latencies
                .bars()
                .into_iter()
                .map(|bar| HistogramBar {
                    upto_us: bar.upto.as_micros(),
                    count: bar.count,
                })
                .collect(),
            tally,
        }
    }

    fn outcomes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcomes {
            accepted,
            duplicate,
            stale,
            other_ok,
            timed_out,
            connection_error,
        } = self.outcomes;
        for (count, what) in [
            (accepted, "accepted"),
            (duplicate, "duplicate"),
            (stale, "stale"),
            (other_ok, "200 without an outcome"),
        ] {
            if count > 0 {
                writeln!(f, "{count:>10}  {what}")?;
            }
        }
        for (status, refused) in &self.tally.refused {
            let detail = refused.detail.as_deref().unwrap_or("no detail");
            writeln!(f, "{:>10}  answered {status}: {detail}", refused.count)?;
        }
        if timed_out > 0 {
            writeln!(f, "{timed_out:>10}  without an answer in time")?;
        }
        if connection_error > 0 {
            let first = self.tally.first_error.as_deref().unwrap_or_default();
            writeln!(f, "{connection_error:>10}  connection errors: {first}")?;
        }
        Ok(())
    }

    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = &self.tally.latencies;
        if latencies.is_empty() {
            return Ok(());
        }
        let since = match self.scheduled_per_second {
            Some(_) => "from the moment each push was due",
            None => "from the sending of each push",
        };
        writeln!(f, "\nlatency, {since}")?;
        writeln!(
            f,
            "{:>10}{:>10}{:>10}{:>10}{:>10}",
            "p50", "p90", "p99", "p99.9", "max"
        )?;
        for per_mille in [500, 900, 990, 999] {
            write!(f, "{:>10}", human(latencies.percentile(per_mille)))?;
        }
        writeln!(f, "{:>10}\n", human(latencies.max()))?;
        let bars = latencies.bars();
        let most = bars.iter().map(|bar| bar.count).max().unwrap_or(1).max(1);
        for bar in bars {
            let width = (bar.count * BAR_WIDTH).div_ceil(most);
            let mut line = format!("{:>10}  {:>9}  ", human(bar.upto), bar.count);
            for _ in 0..width {
                line.push('█');
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pushes = counted(self.pushes, "push", "pushes");
        let connections = counted(self.connections, "connection", "connections");
        let mut head = format!(
            "{pushes} in {:.2} s over {connections}: {:.1}/s",
            self.seconds, self.per_second
        );
        match self.scheduled_per_second {
            Some(rate) => write!(head, ", scheduled {rate}/s")?,
            None => head.push_str(", closed loop"),
        }
        writeln!(f, "{head}")?;
        self.outcomes(f)?;
        self.latencies(f)
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Three or so significant digits: `87µs`, `1.25ms`, `2.05s`.
fn human(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..1000.0 => format!("{micros:.0}µs"),
        ..10_000.0 => format!("{:.2}ms", micros / 1e3),
        ..100_000.0 => format!("{:.1}ms", micros / 1e3),
        ..1_000_000.0 => format!("{:.0}ms", micros / 1e3),
        _ => format!("{:.2}s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::cli::push::connection::Answer;
    use crate::cli::push::tally::Ending;

    fn tally() -> Tally {
        let mut tally = Tally::default();
        let accepted = Ending::Answered(Answer {
            status: 200,
            body: br#"{"outcome":"accepted"}"#,
        });
        for millis in 1..=97 {
            tally.record(accepted, Duration::from_micros(millis * 100));
        }
        let refused = Ending::Answered(Answer {
            status: 403,
            body: br#"{"detail":"192.0.2.7 is not in source.allow"}"#,
        });
        tally.record(refused, Duration::from_micros(80));
        tally.record(Ending::TimedOut, Duration::from_secs(1));
        let error = io::Error::other("connection reset by peer");
        tally.record(Ending::Broken(&error), Duration::from_secs(1));
        tally.elapsed = Duration::from_millis(1250);
        tally
    }

    #[test]
    fn people_read_counts_reasons_and_the_shape_of_the_latencies() {
        insta::assert_snapshot!(Report::new(tally(), 4, Some(80.0)).to_string());
    }

    #[test]
    fn scripts_read_one_object() {
        let json = serde_json::to_string(&Report::new(tally(), 4, None)).unwrap();
        insta::assert_snapshot!(json);
    }
}
