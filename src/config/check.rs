//! What is wrong with values that are right each for itself: ranges, contradictions, and what
//! deserves a warning.

use std::net::SocketAddr;
use std::time::Duration;

use toml::Value;
use tracing_subscriber::EnvFilter;

use super::origins::Origins;
use super::problem::Report;
use super::server::Server;
use super::shape::Shape;
use super::{Settings, duration, sink, size};
use crate::envelope::EnvelopeRules;
use crate::source::SourceRules;

/// What the sender waits for an answer in all of its versions.
const SENDER_BUDGET: Duration = Duration::from_secs(1);

/// How long common balancers keep an idle connection open.
const BALANCER_IDLE: Duration = Duration::from_secs(60);

/// What Kubernetes grants a container between SIGTERM and SIGKILL, unless told otherwise.
const USUAL_GRACE: Duration = Duration::from_secs(30);

/// A store with a smaller cap has no room for its own log.
const MIN_STORE: u64 = 128 << 20;

/// Reports every duration and size in `value` that is outside its range.
pub(super) fn ranges(value: &Value, shape: Option<Shape<'_>>, key: &str, report: &mut Report<'_>) {
    let Some(shape) = shape.map(|shape| shape.of(value)) else {
        return;
    };
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let key = format!("{key}.{name}");
                ranges(value, shape.key(name), &key, report);
            }
        }
        Value::String(text) => {
            if let Some(what) = out_of_range(text, shape) {
                report.add(key, what);
            }
        }
        Value::Integer(number) => match shape.bounds() {
            Some((min, _)) if *number < min => report.add(key, "is too small"),
            Some((_, max)) if *number > max => report.add(key, "is too large"),
            _ => {}
        },
        _ => {}
    }
}

/// Text that does not read as what it should is found elsewhere.
fn out_of_range(text: &str, shape: Shape<'_>) -> Option<&'static str> {
    let (measure, too_small, too_large): (fn(&str) -> Option<u128>, _, _) = match shape.kind()? {
        "duration" => (
            |text| Some(duration::parse(text).ok()?.as_millis()),
            "is too short",
            "is too long",
        ),
        _ => (
            |text| Some(size::parse(text).ok()?.into()),
            "is too small",
            "is too large",
        ),
    };
    let value = measure(text)?;
    let (min, max) = shape.range();
    if min.and_then(measure).is_some_and(|min| value < min) {
        Some(too_small)
    } else if max.and_then(measure).is_some_and(|max| value > max) {
        Some(too_large)
    } else {
        None
    }
}

/// Reports what cannot work together, of keys that are right each for itself.
pub(super) fn contradictions(settings: &Settings, report: &mut Report<'_>) {
    let Settings {
        server,
        admin,
        store,
        log,
        ..
    } = settings;
    if !is_webhook_path(&server.path) && !report.blames("server.path") {
        report.add("server.path", "is no path for the webhook");
    }
    if collide(server.listen, admin.listen) && !report.blames("admin.listen") {
        report.add_allowing(
            "admin.listen",
            format!("is taken by server.listen = \"{}\"", server.listen),
            Some("another port or address".to_owned()),
        );
    }
    bodies(server, report);
    if store.max_size != 0 && store.max_size < MIN_STORE {
        report.add_allowing(
            "store.max_size",
            "is too small for a store",
            Some(format!(
                "\"0\" for no cap, or at least \"{}\"",
                size::format(MIN_STORE)
            )),
        );
    }
    if let Err(error) = EnvFilter::builder().parse(&log.level) {
        report.add("log.level", format!("is no filter: {error}"));
    }
    source(settings, report);
    envelope(settings, report);
    flashduty(settings, report);
    recover(settings, report);
    settings.otlp.check(report);
    sink::contradictions(
        &settings.sinks,
        settings.flashduty.app_key.is_some(),
        report,
    );
}

fn flashduty(settings: &Settings, report: &mut Report<'_>) {
    if !is_plain_url(&settings.flashduty.base_url) && !report.blames("flashduty.base_url") {
        report.add("flashduty.base_url", "is no URL of an API");
    }
}

fn recover(settings: &Settings, report: &mut Report<'_>) {
    let recover = &settings.recover;
    if report.blames("recover") {
        return;
    }
    for (index, integration) in recover.integrations.iter().enumerate() {
        if *integration < 1 {
            let key = format!("recover.integrations[{index}]");
            report.add_allowing(
                &key,
                "is no integration's number",
                Some("a whole number from 1".to_owned()),
            );
        }
    }
    if !recover.endpoint.is_empty() && !is_plain_url(&recover.endpoint) {
        report.add("recover.endpoint", "is no URL that pushes go to");
    }
    let runs = settings.flashduty.app_key.is_some() && !recover.interval.is_zero();
    if runs && !recover.has_scope() {
        report.add_allowing(
            "flashduty.app_key",
            "opens the history of the whole account, and nothing says which part of it is ours",
            Some(
                "recover.integrations or recover.endpoint beside it, or recover.interval = \"0s\" \
                 to recover nothing"
                    .to_owned(),
            ),
        );
    }
}

/// An http or https URL without a user, a query or a fragment.
fn is_plain_url(text: &str) -> bool {
    let uri = text.parse::<http::Uri>();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && !text.contains(['@', '#'])
    })
}

/// Where a part of the section is wrong already, its default has stepped in, and what the rules
/// would say of that is no help.
fn source(settings: &Settings, report: &mut Report<'_>) {
    if report.blames("source") {
        return;
    }
    if let Err(error) = SourceRules::new(settings.source.options()) {
        report.add(error.key(), error.to_string());
    }
}

fn envelope(settings: &Settings, report: &mut Report<'_>) {
    if report.blames("envelope") || report.blames("admission.commands") {
        return;
    }
    if let Err(error) = EnvelopeRules::new(settings.envelope_options()) {
        let what = match error.entry.as_str() {
            "" => error.problem.to_owned(),
            entry => format!("{entry:?} {}", error.problem),
        };
        report.add_allowing(error.key, what, Some(error.allowed.to_owned()));
    }
}

/// One body must fit the memory that all bodies share.
fn bodies(server: &Server, report: &mut Report<'_>) {
    let known = report.blames("server.max_body") || report.blames("server.max_inflight");
    if server.max_body <= server.max_inflight || known {
        return;
    }
    let inflight = size::format(server.max_inflight);
    report.add_allowing(
        "server.max_body",
        format!("is more than server.max_inflight = \"{inflight}\" has room for"),
        Some(format!(
            "at most \"{inflight}\", or a larger server.max_inflight"
        )),
    );
}

/// What is worth saying about settings that can be used.
pub(super) fn warnings(settings: &Settings, origins: &Origins) -> Vec<String> {
    let Settings {
        server,
        admin,
        sinks,
        ..
    } = settings;
    let mut warnings = Vec::new();
    if server.ack_deadline >= SENDER_BUDGET {
        warnings.push(format!(
            "server.ack_deadline = \"{}\" is no less than the second the sender waits: late answers are lost pushes",
            duration::format(server.ack_deadline),
        ));
    }
    if server.idle_timeout <= BALANCER_IDLE {
        warnings.push(format!(
            "server.idle_timeout = \"{}\" is no longer than what nginx and ALB keep (60s): they will reuse connections that are being closed, and lose pushes",
            duration::format(server.idle_timeout),
        ));
    }
    let stop = server.drain_delay.saturating_add(server.drain_timeout);
    if stop >= USUAL_GRACE {
        warnings.push(format!(
            "stopping may take {} (server.drain_delay and server.drain_timeout): grant the container more than that, Kubernetes' default is 30s",
            duration::format(stop),
        ));
    }
    if !admin.listen.ip().to_canonical().is_loopback() && admin.token.is_none() {
        warnings.push(format!(
            "admin.listen = \"{}\" is beyond loopback and there is no admin.token: metrics and health answer, the API and the commands that use it do not",
            admin.listen,
        ));
    }
    if !sinks.values().any(super::Sink::is_enabled) {
        warnings.push("no sink is enabled: events are stored, but delivered nowhere".to_owned());
    }
    if settings.recover.has_scope() && settings.flashduty.app_key.is_none() {
        warnings.push(
            "recover says what to fetch, but there is no flashduty.app_key: nothing is recovered"
                .to_owned(),
        );
    }
    warnings.extend(sink::warnings(sinks, |key| origins.find(key).0.to_string()));
    if let Ok(rules) = SourceRules::new(settings.source.options()) {
        warnings.extend(rules.warnings());
    }
    warnings
}

/// Whether binding one keeps the other from being bound. Port 0 is a port of the system's choice.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && overlap
}

/// A tag may follow the path, and balancers probe `/`, so the path is never that itself.
fn is_webhook_path(path: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let segment =
        |part: &str| !part.is_empty() && part.chars().all(fits) && part != "." && part != "..";
    let Some(inner) = path.strip_prefix('/') else {
        return false;
    };
    inner.split('/').all(segment) && !["livez", "readyz"].contains(&inner)
}
