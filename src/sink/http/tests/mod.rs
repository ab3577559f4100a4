//! The sink against a server that answers by script, over real sockets.

mod answers;
mod bodies;
mod connections;
mod presets;
mod secrets;
mod speed;

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use secrecy::SecretString;

use super::*;
use crate::event::{Event, Id, Route};
use crate::fake::{FakeServer, Received, Reply};
use crate::filter::Expression;
use crate::template::{Kind, Template, UrlTemplate};
use crate::words::WORDS;

const BODY: &str = r#"{"event_id":"e1","event_type":"i_new","event_time":1700000000137,"incident":
  {"incident_id":"664af","title":"磁盘 \"full\"","channel_id":123456789012345678901234567890}}"#;

/// 2023-11-14T22:13:21Z.
const NOW: i64 = 1_700_000_001;

/// Stands still until it is set.
struct StillClock(Mutex<Timestamp>);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn clock() -> Arc<dyn Clock> {
    let now = Timestamp::from_second(NOW).unwrap();
    Arc::new(StillClock(Mutex::new(now)))
}

fn event(body: &str) -> Event {
    Event {
        event_time: Some(1_700_000_000_137),
        route: Route {
            tag: Some("ops".into()),
            query: None,
        },
        ..Event::sample(body.to_owned())
    }
}

fn lease() -> Lease {
    Lease::sample(42, event(BODY))
}

fn text(source: &str) -> Template {
    Template::compile_as(Kind::Text, "method", source).unwrap()
}

fn json(source: &str) -> Template {
    Template::compile_as(Kind::Json, "ticket.json.j2", source).unwrap()
}

fn on_answer(source: &str) -> Expression {
    Expression::compile(source, &ANSWER_NAMES).unwrap()
}

fn on_words(source: &str) -> Expression {
    let names: Vec<&str> = WORDS.into_iter().chain(["remembered"]).collect();
    Expression::compile(source, &names).unwrap()
}

/// What the configuration makes by default.
fn options(url: &str) -> HttpOptions {
    HttpOptions {
        method: text("POST"),
        url: UrlTemplate::compile("url", url).unwrap(),
        headers: Vec::new(),
        body: Body::Push,
        signature: None,
        max_bytes: None,
        success: on_answer("status >= 200 && status < 300"),
        retry_on: on_answer("status in [408, 425, 429] || status >= 500"),
        pause: Duration::ZERO,
        longest_retry_after: Duration::from_secs(3600),
        proxy: None,
        ca: None,
        allow_private: true,
        timeout: Duration::from_secs(10),
        remember: Vec::new(),
        skip_when: None,
        timezone: "Asia/Shanghai".to_owned(),
        idle_connections: 64,
    }
}

fn header(name: &str, value: &str) -> (HeaderName, SecretString) {
    (name.parse().unwrap(), SecretString::from(value))
}

fn sink(options: HttpOptions) -> HttpSink {
    HttpSink::new(options, clock()).unwrap()
}

async fn deliver(options: HttpOptions, lease: Lease) -> Result<Taken, SinkError> {
    let mut results = sink(options).deliver(std::slice::from_ref(&lease)).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

/// How a delivery ends that is answered with `reply`.
async fn answered(reply: Reply, change: impl FnOnce(&mut HttpOptions)) -> Result<Taken, SinkError> {
    let server = FakeServer::scripted(vec![reply]);
    let mut options = options(&server.url("/hook"));
    change(&mut options);
    deliver(options, lease()).await
}

#[track_caller]
fn refused(result: Result<Taken, SinkError>) -> Failure {
    match result {
        Err(SinkError::Refused(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn retried(result: Result<Taken, SinkError>) -> Failure {
    match result {
        Err(SinkError::Retry(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unknown(result: Result<Taken, SinkError>) -> Failure {
    match result {
        Err(SinkError::Unknown(failure)) => failure,
        other => panic!("{other:?}"),
    }
}
