//! `/metrics`: the service's registry, the build and the process, as `OpenMetrics` text.
//!
//! What is printed is also valid in the older Prometheus text format, so a scraper that asks for
//! that one gets the same bytes under its name.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::process::Process;
use crate::build;
use crate::metrics::Metrics;

/// The content type for scrapers that take `OpenMetrics`, or do not say what they take.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type for scrapers that ask for something else.
pub(super) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The content type that suits an `Accept` header.
pub(super) fn content_type(accept: Option<&str>) -> &'static str {
    match accept {
        Some(accept) if !accept.contains("openmetrics") && accept.contains("text/plain") => PLAIN,
        _ => OPENMETRICS,
    }
}

/// Prints what is registered besides the service's own metrics, and those.
#[derive(Debug)]
pub(super) struct Exposition {
    around: Registry,
}

impl Exposition {
    /// Registers `flashduty_build_info` and the `process_*` metrics.
    pub(super) fn new() -> Self {
        let mut around = Registry::default();
        let info = Family::<[(&str, &str); 3], Gauge>::default();
        let labels = [
            ("version", build::VERSION),
            ("commit", build::COMMIT),
            ("build_date", build::date()),
        ];
        info.get_or_create(&labels).set(1);
        around.register("flashduty_build_info", "The running build; always 1", info);
        around.register_collector(Box::new(ProcessCollector));
        Self { around }
    }

    /// The whole text, up to and with `# EOF`.
    pub(super) fn text(&self, metrics: &Metrics) -> Result<String, fmt::Error> {
        // About what a receiver with one sink prints; saves growing step by step.
        let mut out = String::with_capacity(16 * 1024);
        text::encode_registry(&mut out, metrics.registry())?;
        text::encode_registry(&mut out, &self.around)?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }
}

#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Each value that the system does not tell is left out: a zero would be a lie.
        let process = Process::read();
        if let Some(seconds) = process.cpu_seconds {
            let metric = ConstCounter::new(seconds);
            let help = "User and system time spent";
            add(&mut encoder, "process_cpu_seconds", help, &metric)?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory that is resident",
                process.resident_bytes,
            ),
            (
                "process_open_fds",
                "File descriptors that are open",
                process.open_fds,
            ),
            (
                "process_max_fds",
                "File descriptors that may be open",
                process.max_fds,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                add(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        if let Some(seconds) = process.start_time_seconds {
            let name = "process_start_time_seconds";
            let help = "Start of the process, in seconds since the Unix epoch";
            add(&mut encoder, name, help, &ConstGauge::new(seconds))?;
        }
        Ok(())
    }
}

fn add(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_build_the_process_and_the_service_and_ends_once() {
        let text = Exposition::new().text(&Metrics::new()).unwrap();
        let (version, commit, date) = (build::VERSION, build::COMMIT, build::date());
        for wanted in [
            format!(
                "flashduty_build_info{{version=\"{version}\",commit=\"{commit}\",\
                 build_date=\"{date}\"}} 1\n"
            ),
            "flashduty_pushes_total{outcome=\"accepted\"} 0\n".to_owned(),
            "# TYPE process_cpu_seconds counter\n".to_owned(),
            "\nprocess_cpu_seconds_total ".to_owned(),
            "\nprocess_resident_memory_bytes ".to_owned(),
            "\nprocess_open_fds ".to_owned(),
            "\nprocess_max_fds ".to_owned(),
            "\nprocess_start_time_seconds ".to_owned(),
        ] {
            assert!(text.contains(&wanted), "{wanted:?} is not in {text}");
        }
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn room_that_is_not_known_is_left_out() {
        let (exposition, metrics) = (Exposition::new(), Metrics::new());
        let free = || {
            let text = exposition.text(&metrics).unwrap();
            let lines = text.lines().filter(|line| line.contains("store_free"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(free().is_empty());
        metrics.store_free_bytes.set(Some(0));
        assert_eq!(free().last().unwrap(), "flashduty_store_free_bytes 0");
        metrics.store_free_bytes.set(Some(4096));
        assert_eq!(free().last().unwrap(), "flashduty_store_free_bytes 4096");
        metrics.store_free_bytes.set(None);
        assert!(free().is_empty());
    }

    #[test]
    fn a_scraper_gets_openmetrics_unless_it_takes_only_plain_text() {
        assert_eq!(content_type(None), OPENMETRICS);
        assert_eq!(content_type(Some("*/*")), OPENMETRICS);
        assert_eq!(
            content_type(Some("application/openmetrics-text;q=0.9,text/plain;q=0.1")),
            OPENMETRICS
        );
        assert_eq!(content_type(Some("text/plain;version=0.0.4")), PLAIN);
    }
}
