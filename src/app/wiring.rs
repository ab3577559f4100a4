//! From settings to what each part wants to know.

use std::time::Duration;

use crate::config::{Loaded, LogFormat, OnLate, ProxyProtocol, Settings};
use crate::envelope::EnvelopeRules;
use crate::inbox::UnreadableBounds;
use crate::intake::{self, Rules};
use crate::listener::ListenerOptions;
use crate::routing::Routing;
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
        source,
        envelope,
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

pub(super) fn listener_options(settings: &Settings) -> ListenerOptions {
    let server = &settings.server;
    ListenerOptions {
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        max_connections: usize::try_from(server.max_connections).unwrap_or(usize::MAX),
        proxy_protocol: settings.source.proxy_protocol == ProxyProtocol::Required,
        drain_timeout: server.drain_timeout,
        ..ListenerOptions::default()
    }
}

/// The admin listener's limits: few connections, no PROXY header, no wait for them at the end.
pub(super) fn admin_options(settings: &Settings) -> ListenerOptions {
    ListenerOptions {
        max_connections: 256,
        proxy_protocol: false,
        drain_timeout: settings.server.drain_timeout.min(Duration::from_secs(1)),
        ..listener_options(settings)
    }
}

pub(super) fn format(settings: &Settings) -> Format {
    match settings.log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    }
}
