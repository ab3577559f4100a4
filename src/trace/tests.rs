//! Spans on their way to a collector that answers by script, over real sockets.

use serde_json::json;

use super::*;
use crate::fake::{FakeServer, Reply};
use crate::lines::Lines;
use crate::metrics::Metrics;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

struct Set {
    tracer: Tracer,
    exporter: Exporter,
    metrics: SpanMetrics,
}

fn off() -> Set {
    let metrics = Metrics::new().spans.clone();
    let (tracer, exporter) = Tracer::new(&metrics);
    Set {
        tracer,
        exporter,
        metrics,
    }
}

fn options(url: &str, ratio: f64) -> DestinationOptions {
    DestinationOptions {
        endpoint: url.to_owned().into(),
        headers: vec![(
            http::HeaderName::from_static("x-team"),
            "s3cret".to_owned().into(),
        )],
        ca: None,
        resource: vec![("service.name".to_owned(), "receiver".to_owned())],
        ratio,
    }
}

fn destination(url: &str, ratio: f64) -> Arc<Destination> {
    Arc::new(Destination::new(options(url, ratio)).unwrap())
}

/// One that is on, and sends to `url`.
fn set(url: &str, ratio: f64) -> Set {
    let set = off();
    set.tracer.change(Some(destination(url, ratio)));
    set
}

impl Set {
    fn span(&self) -> Span {
        let context = self.tracer.begin(TraceParent::parse(PARENT)).unwrap();
        let times = (Timestamp::UNIX_EPOCH, Timestamp::from_second(1).unwrap());
        Span::new(context, "receive", Kind::Server, times)
    }

    /// Records so many spans, and sends them.
    async fn send(self, count: usize) -> SpanMetrics {
        for _ in 0..count {
            self.tracer.record(self.span());
        }
        self.tracer.finish();
        self.exporter.run().await;
        self.metrics
    }
}

/// Counters and servers tell nobody when they move on.
async fn until(done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "that never comes");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn counts(metrics: &SpanMetrics) -> [u64; 3] {
    [&metrics.exported, &metrics.dropped, &metrics.failed].map(|counter| counter.get())
}

#[test]
fn spans_are_written_as_otlp_has_them_in_json() {
    let parent = TraceParent::parse(PARENT).unwrap();
    let context = Context {
        own: TraceParent {
            span: SpanId::new(0x1234),
            ..parent
        },
        parent: Some(parent.span),
    };
    let began: Timestamp = "2026-05-04T10:00:00.000000001Z".parse().unwrap();
    let span = Span::new(context, "deliver", Kind::Client, (began, began))
        .with("flashduty.sink", "tickets")
        .with("flashduty.attempt", 9_007_199_254_740_993_i64)
        .with("flashduty.replay", true)
        .failed("no \"answer\"");
    let root = Context {
        parent: None,
        ..context
    };
    let other = Span::new(
        root,
        "receive",
        Kind::Server,
        (began, Timestamp::UNIX_EPOCH),
    );
    let resource = [("service.name".to_owned(), "receiver".to_owned())];
    let spans = [span, other];
    let written: serde_json::Value =
        serde_json::from_slice(&encode::request(&resource, &spans)).unwrap();
    let time = "1777888800000000001";
    let expected = json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "receiver"}},
        ]},
        "scopeSpans": [{
            "scope": {"name": "flashduty-receiver", "version": env!("CARGO_PKG_VERSION")},
            "spans": [
                {
                    "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "spanId": "0000000000001234",
                    "parentSpanId": "b7ad6b7169203331",
                    "flags": 1,
                    "name": "deliver",
                    "kind": 3,
                    "startTimeUnixNano": time,
                    "endTimeUnixNano": time,
                    "attributes": [
                        {"key": "flashduty.sink", "value": {"stringValue": "tickets"}},
                        {"key": "flashduty.attempt", "value": {"intValue": "9007199254740993"}},
                        {"key": "flashduty.replay", "value": {"boolValue": true}},
                    ],
                    "status": {"code": 2, "message": "no \"answer\""},
                },
                {
                    "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "spanId": "0000000000001234",
                    "flags": 1,
                    "name": "receive",
                    "kind": 2,
                    "startTimeUnixNano": time,
                    "endTimeUnixNano": time,
                    "attributes": [],
                },
            ],
        }],
    }]});
    assert_eq!(written, expected);
}

#[test]
fn who_began_a_trace_decides_whether_it_is_recorded() {
    let all = set("http://127.0.0.1:1", 1.0).tracer;
    let none = set("http://127.0.0.1:1", 0.0).tracer;
    for _ in 0..1000 {
        assert!(all.begin(None).unwrap().own.sampled);
        assert!(!none.begin(None).unwrap().own.sampled);
    }
    let sampled = TraceParent::parse(PARENT).unwrap();
    let context = none.begin(Some(sampled)).unwrap();
    assert!(context.own.sampled);
    assert_eq!(context.own.trace, sampled.trace);
    assert_eq!(context.parent, Some(sampled.span));
    assert_ne!(context.own.span, sampled.span);
    let unsampled = TraceParent {
        sampled: false,
        ..sampled
    };
    assert!(!all.begin(Some(unsampled)).unwrap().own.sampled);
    assert_eq!(all.below(Some(&unsampled.to_string())), None);
    assert_eq!(all.below(Some("whatever")), None);
    assert_eq!(all.below(None), None);
    let below = none.below(Some(PARENT)).unwrap();
    assert_eq!(below.parent, Some(sampled.span));
}

#[test]
fn a_share_of_all_traces_is_recorded_and_it_is_told_by_their_ids() {
    let quarter = set("http://127.0.0.1:1", 0.25).tracer;
    let mut recorded = 0;
    for _ in 0..10_000 {
        let own = quarter.begin(None).unwrap().own;
        // As every other tracer would decide that was told the same share.
        assert_eq!(own.sampled, own.trace.draw() < ALL / 4);
        recorded += u32::from(own.sampled);
    }
    assert!((2_000..3_000).contains(&recorded), "{recorded}");
    let high = TraceParent::parse(&PARENT.replace("8448eb211c80319c", &"f".repeat(16)));
    assert_eq!(high.unwrap().trace.draw(), ALL - 1);
}

#[test]
fn while_tracing_is_off_nothing_is_begun() {
    let set = off();
    assert!(!set.tracer.is_on());
    assert_eq!(set.tracer.begin(TraceParent::parse(PARENT)), None);
    assert_eq!(set.tracer.below(Some(PARENT)), None);
    let mut event = Arc::new(Event::sample("{}"));
    assert_eq!(set.tracer.adopt(&mut event), None);
    assert_eq!(event.trace_parent, None);
    set.tracer
        .change(Some(destination("http://127.0.0.1:1", 1.0)));
    assert!(set.tracer.adopt(&mut event).is_some());
    let stored = event.trace_parent.as_deref().and_then(TraceParent::parse);
    assert!(stored.unwrap().sampled);
    set.tracer.change(None);
    assert!(!set.tracer.is_on());
}

#[test]
fn a_destination_that_stays_is_no_other_one() {
    let (set, to) = (off(), destination("http://127.0.0.1:1", 1.0));
    let mut seen = set.tracer.0.destination.subscribe();
    let mut changes = |to| {
        set.tracer.change(to);
        let changes = seen.has_changed().unwrap();
        seen.mark_unchanged();
        changes
    };
    assert!(changes(Some(Arc::clone(&to))) && !changes(Some(to)));
    assert!(changes(None) && !changes(None));
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
    let set = set("http://127.0.0.1:1", 1.0);
    for _ in 0..QUEUE + 7 {
        set.tracer.record(set.span());
    }
    assert_eq!(counts(&set.metrics), [0, 7, 0]);
    let Set {
        tracer,
        exporter,
        metrics,
    } = set;
    drop(exporter);
    // Nor does it matter that nobody sends any more.
    let context = tracer.begin(None).unwrap();
    let times = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    tracer.record(Span::new(context, "receive", Kind::Server, times));
    assert_eq!(counts(&metrics), [0, 8, 0]);
}

#[tokio::test]
async fn what_waits_at_the_end_is_sent_in_batches_where_the_url_leads() {
    let fake = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let metrics = set(&fake.url(""), 1.0).send(export::BATCH + 1).await;
    assert_eq!(counts(&metrics), [513, 0, 0]);
    let requests = fake.received();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert_eq!(request.target, "/v1/traces");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-team"), Some("s3cret"));
    }
    let spans =
        |at: usize| requests[at].json()["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
    assert_eq!(spans(0).as_array().unwrap().len(), export::BATCH);
    assert_eq!(spans(1).as_array().unwrap().len(), 1);

    let own = FakeServer::scripted(vec![Reply::new(200, "")]);
    let metrics = set(&own.url("/a@b/api/otlp/traces?key=x"), 1.0)
        .send(1)
        .await;
    assert_eq!(counts(&metrics), [1, 0, 0]);
    assert_eq!(own.only().target, "/a@b/api/otlp/traces?key=x");
}

#[tokio::test]
async fn what_a_collector_does_not_take_is_counted_and_not_sent_again() {
    let partial = r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#;
    let number = r#"{"partialSuccess":{"rejectedSpans":2}}"#;
    for (status, body, expected) in [
        (200, partial, [3, 0, 2]),
        (200, number, [3, 0, 2]),
        (200, r#"{"partialSuccess":{}}"#, [5, 0, 0]),
        (202, "no JSON", [5, 0, 0]),
        (400, "", [0, 0, 5]),
        (401, "", [0, 0, 5]),
        (301, "", [0, 0, 5]),
        (500, "", [0, 0, 5]),
    ] {
        let fake = FakeServer::scripted(vec![Reply::new(status, body)]);
        let metrics = set(&fake.url("/"), 1.0).send(5).await;
        assert_eq!(counts(&metrics), expected, "{status} {body}");
        assert_eq!(fake.requests(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn what_a_collector_says_is_told_without_the_secrets_that_it_repeats() {
    let (lines, _guard) = Lines::begin();
    let said =
        r#"{"partialSuccess":{"rejectedSpans":1,"errorMessage":"no team s3cret in /in?k=s3cret"}}"#;
    let fake = FakeServer::scripted(vec![Reply::new(200, said)]);
    let metrics = set(&fake.url("/in?k=s3cret"), 1.0).send(1).await;
    assert_eq!(counts(&metrics), [0, 0, 1]);
    let told = lines.with("does not take all spans: no team *** in ***");
    assert_eq!(told.len(), 1, "{}", lines.all());
    assert!(!lines.all().contains("s3cret"), "{}", lines.all());
}

#[tokio::test]
async fn a_collector_whose_trouble_comes_and_goes_fills_no_log() {
    let (lines, _guard) = Lines::begin();
    let partial = Reply::new(200, r#"{"partialSuccess":{"rejectedSpans":1}}"#);
    let whole = Reply::new(200, "{}");
    let fake = FakeServer::scripted(vec![partial.clone(), whole.clone(), partial, whole]);
    let metrics = set(&fake.url(""), 1.0).send(4 * export::BATCH).await;
    assert_eq!(counts(&metrics), [2046, 0, 2]);
    for said in ["does not take all spans", "takes spans again"] {
        assert_eq!(lines.with(said).len(), 1, "{}", lines.all());
    }
}

#[tokio::test]
async fn what_a_collector_cannot_take_now_is_sent_again_and_no_sooner_than_it_asks() {
    let busy = Reply::new(503, "").with("retry-after", "2");
    let replies = vec![busy, Reply::Close, Reply::new(200, "{}")];
    let fake = FakeServer::scripted(replies);
    let Set {
        tracer,
        exporter,
        metrics,
    } = set(&fake.url(""), 1.0);
    let context = tracer.begin(None).unwrap();
    let times = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    tracer.record(Span::new(context, "receive", Kind::Server, times));
    let taken = async {
        until(|| metrics.exported.get() > 0).await;
        tracer.finish();
    };
    tokio::join!(exporter.run(), taken);
    assert_eq!(counts(&metrics), [1, 0, 0]);
    let requests = fake.received();
    assert_eq!(requests.len(), 3);
    let waited = requests[1].came - requests[0].came;
    assert!(waited.as_secs() >= 2, "{waited:?}");
    let bodies: Vec<_> = requests.iter().map(|request| request.text()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn another_collector_is_not_kept_waiting_by_what_the_one_before_asked_for() {
    let busy = FakeServer::scripted(vec![Reply::new(503, "").with("retry-after", "30")]);
    let other = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let set = set(&busy.url(""), 1.0);
    set.tracer.record(set.span());
    let (tracer, exporter, metrics) = (set.tracer, set.exporter, set.metrics);
    let changed = async {
        until(|| busy.requests() > 0).await;
        tracer.change(Some(destination(&other.url(""), 1.0)));
        until(|| metrics.exported.get() > 0).await;
        tracer.finish();
    };
    let (ended, ()) = tokio::join!(tokio::time::timeout(PATIENCE, exporter.run()), changed);
    ended.unwrap();
    assert_eq!(counts(&metrics), [1, 0, 0]);
    assert_eq!((busy.requests(), other.requests()), (1, 1));
}

#[tokio::test]
async fn what_waits_for_a_destination_that_is_gone_is_dropped() {
    let set = set("http://127.0.0.1:1", 1.0);
    set.tracer.record(set.span());
    set.tracer.change(None);
    set.tracer.finish();
    set.exporter.run().await;
    assert_eq!(counts(&set.metrics), [0, 1, 0]);
}

#[test]
fn what_cannot_be_sent_to_is_refused_without_a_secret() {
    for endpoint in ["collector:4318", "ftp://h/s3cret", "http://", "s3cret"] {
        let refused = Destination::new(options(endpoint, 1.0)).unwrap_err();
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
        assert!(matches!(refused, BadDestination::Endpoint), "{endpoint}");
    }
    let mut options = options("https://h/s3cret", 1.0);
    let shown = format!(
        "{options:?} {:?}",
        Destination::new(options.clone()).unwrap()
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    options.ca = Some("no certificate".to_owned());
    let refused = Destination::new(options.clone()).unwrap_err();
    assert!(matches!(refused, BadDestination::Ca(_)), "{refused}");
    options.ca = None;
    options.headers[0].1 = "s3cret\n".to_owned().into();
    let refused = Destination::new(options).unwrap_err();
    assert!(matches!(&refused, BadDestination::Header(name) if name == "x-team"));
    assert!(!format!("{refused} {refused:?}").contains("s3cret"));
}
