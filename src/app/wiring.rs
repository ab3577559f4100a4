//! From settings to what each part wants to know.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::descriptors;
use crate::config::{Loaded, LogFormat, OnLate, ProxyProtocol, Settings, Sink};
use crate::envelope::EnvelopeRules;
use crate::inbox::{SinkId, UnreadableBounds};
use crate::intake::{self, Rules};
use crate::lifecycle::Farewell;
use crate::listener::ListenerOptions;
use crate::routing::{Routing, Target};
use crate::sink::log::Format;
use crate::source::SourceRules;

pub(super) fn rules(loaded: &Loaded, routing: Routing) -> anyhow::Result<Rules> {
    let settings = &loaded.settings;
    let source = SourceRules::new(settings.source.options())
        .map_err(|error| loaded.problem(error.key(), error.to_string()))?;
    let envelope = EnvelopeRules::new(settings.envelope_options())
        .map_err(|error| loaded.problem(error.key, error.to_string()))?;
    let (server, admission) = (&settings.server, &settings.admission);
    Ok(Rules {
        source: Arc::new(source),
        envelope: Arc::new(envelope),
        routing,
        max_body: server.max_body,
        max_inflight: server.max_inflight,
        ack_deadline: server.ack_deadline,
        on_late: match server.on_late {
            OnLate::Answer => intake::OnLate::Answer,
            OnLate::Close => intake::OnLate::Close,
        },
        body_timeout: server.header_timeout,
        max_clock_skew: admission.max_clock_skew,
        unreadable: UnreadableBounds {
            count: usize::try_from(admission.keep_unreadable).unwrap_or(usize::MAX),
            bytes: admission.keep_unreadable_bytes,
        },
    })
}

/// How long an answer may take once closing began, where the next process waits: those whose
/// request is complete still wait for one commit.
const LAST_ANSWERS: Duration = Duration::from_millis(130);

pub(super) fn listener_options(settings: &Settings, farewell: Farewell) -> ListenerOptions {
    let server = &settings.server;
    ListenerOptions {
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        max_connections: room(settings).public,
        proxy_protocol: settings.source.proxy_protocol == ProxyProtocol::Required,
        drain_timeout: drain_timeout(settings, farewell),
        farewell,
        ..ListenerOptions::default()
    }
}

/// How long what is in flight may take once closing began.
pub(super) fn drain_timeout(settings: &Settings, farewell: Farewell) -> Duration {
    match farewell {
        Farewell::Patient => settings.server.drain_timeout,
        Farewell::Brief => LAST_ANSWERS,
    }
}

/// The admin listener's limits: few connections, no PROXY header, no wait for them at the end.
pub(super) fn admin_options(settings: &Settings, farewell: Farewell) -> ListenerOptions {
    ListenerOptions {
        max_connections: room(settings).admin,
        proxy_protocol: false,
        drain_timeout: drain_timeout(settings, farewell).min(Duration::from_secs(1)),
        ..listener_options(settings, farewell)
    }
}

/// Says it where the limit of open files allows fewer connections than the configuration.
pub(super) fn warn_of_few_files(settings: &Settings) {
    let (room, wanted) = (room(settings), settings.server.max_connections);
    if room.public < most_connections(settings) {
        tracing::warn!(
            limit = descriptors::limit(),
            "server.max_connections = {wanted} is lowered to {}: each takes an open file, and so do \
             the store, the log and the admin port; raise the hard limit of open files (ulimit \
             -Hn, or LimitNOFILE= of systemd)",
            room.public
        );
    }
}

fn room(settings: &Settings) -> descriptors::Room {
    descriptors::room(descriptors::limit(), most_connections(settings))
}

fn most_connections(settings: &Settings) -> usize {
    usize::try_from(settings.server.max_connections).unwrap_or(usize::MAX)
}

pub(super) fn format(settings: &Settings) -> Format {
    match settings.log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    }
}

/// What routing knows of a sink; its number is what the store calls it.
pub(super) fn target(name: &str, sink: &Sink, number: SinkId, filter_errors: Counter) -> Target {
    let delivery = &sink.delivery;
    Target {
        name: Arc::from(name),
        sink: number,
        order: delivery.order.into(),
        include_stale: delivery.include_stale,
        filter: delivery.filter.clone(),
        filter_errors,
    }
}

/// Routing as it is configured, for saying what it would do: sinks have no number and count nothing.
pub fn routing(settings: &Settings) -> Routing {
    let sinks = settings.sinks.iter().filter(|(_, sink)| sink.is_enabled());
    let target = |(name, sink): (&String, &Sink)| target(name, sink, SinkId(0), Counter::default());
    Routing::new(sinks.map(target).collect())
}
