//! `series`: the last hour of this receiver's pushes by the minute, for charts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::Uri;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::params::Params;
use crate::intake::problem::Problem;
use crate::metrics::PushOutcome;
use crate::metrics::series::{Done, Minute, Quantiles};

/// `series`: what came in by the minute, oldest first. It is counted anew from each start.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SeriesAnswer {
    /// How long a bucket is.
    pub bucket_seconds: u32,
    /// At most an hour of them; the last one is not over yet.
    pub buckets: Vec<Bucket>,
}

/// One minute.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// When it began.
    pub at: Timestamp,
    /// Answered requests to the webhook path by outcome; those that did not occur are left out.
    pub pushes: BTreeMap<String, u64>,
    /// From the first byte of a request to its answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_ms: Option<Shares>,
    /// How long after its own time an event came, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<Shares>,
    /// What the sinks did, by name; those that did nothing are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkBucket>,
}

/// What a sink did in a minute.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SinkBucket {
    /// Deliveries that it took.
    pub delivered: u64,
    /// Attempts that failed, be they tried again or not.
    pub failed: u64,
}

/// What half of the numbers, 99 of 100 and all of them do not exceed; the first two are exact to an
/// eighth.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the quantiles by their usual names")]
pub struct Shares {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/series", get(series))
}

async fn series(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<SeriesAnswer>, Problem> {
    Params::read(&uri, &[])?;
    let now = shared.admin.clock.now();
    let minutes = shared.admin.metrics.series.last(Instant::now());
    let buckets = minutes.into_iter().map(|(ago, minute)| {
        let at = now.checked_sub(ago).unwrap_or(now);
        Bucket {
            sinks: sinks(&shared.admin.metrics.sink_series().of(&minute)),
            ..bucket(at, &minute)
        }
    });
    Ok(Json(SeriesAnswer {
        bucket_seconds: 60,
        buckets: buckets.collect(),
    }))
}

fn bucket(at: Timestamp, minute: &Minute) -> Bucket {
    let counted = PushOutcome::ALL.into_iter().zip(minute.pushes);
    let pushes = counted
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| (outcome.to_string(), count));
    Bucket {
        // Parts of a second would only be the time of the start again.
        at: Timestamp::from_second(at.as_second()).unwrap_or(at),
        pushes: pushes.collect(),
        ack_ms: minute.acks.map(|shares| in_units_of(shares, 1000.0)),
        lag_ms: minute.lags.map(|shares| in_units_of(shares, 1.0)),
        sinks: BTreeMap::new(),
    }
}

fn sinks(done: &BTreeMap<String, Done>) -> BTreeMap<String, SinkBucket> {
    let told = done.iter().map(|(name, done)| {
        let Done { delivered, failed } = *done;
        (name.clone(), SinkBucket { delivered, failed })
    });
    told.collect()
}

fn in_units_of(quantiles: Quantiles, unit: f64) -> Shares {
    let Quantiles { p50, p99, max, .. } = quantiles;
    let [p50, p99, max] = [p50, p99, max].map(|number| f64::from(number) / unit);
    Shares { p50, p99, max }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{DeliveryOutcome, Metrics};

    #[test]
    fn a_minute_is_told_with_what_occurred_in_it_and_in_milliseconds() {
        let metrics = Metrics::new();
        metrics.push(PushOutcome::accepted, Duration::from_micros(1500));
        metrics.push(PushOutcome::late, Duration::from_millis(700));
        metrics.lagged(Duration::from_millis(250));
        let minutes = metrics.series.last(Instant::now());
        let at = "2026-05-04T10:00:00.123Z".parse().unwrap();
        let told = serde_json::to_value(bucket(at, &minutes[0].1)).unwrap();
        assert_eq!(told["at"], "2026-05-04T10:00:00Z");
        let pushes = serde_json::json!({"accepted": 1, "late": 1});
        assert_eq!(told["pushes"], pushes);
        assert_eq!(told["ack_ms"]["max"], 700.0);
        assert_eq!(told["lag_ms"]["max"], 250.0);
        let sink = metrics.sink(&Arc::from("log"));
        sink.count(DeliveryOutcome::delivered, 3);
        sink.count(DeliveryOutcome::retried, 1);
        sink.count(DeliveryOutcome::dead, 1);
        sink.count(DeliveryOutcome::superseded, 9);
        let told = sinks(&metrics.sink_series().of(&minutes[0].1));
        let wanted = serde_json::json!({"log": {"delivered": 3, "failed": 2}});
        assert_eq!(serde_json::to_value(told).unwrap(), wanted);
        let quiet = metrics
            .series
            .last(Instant::now() + Duration::from_secs(60));
        let told = serde_json::to_value(bucket(at, &quiet[1].1)).unwrap();
        let wanted = serde_json::json!({"at": "2026-05-04T10:00:00Z", "pushes": {}});
        assert_eq!(told, wanted);
    }
}
