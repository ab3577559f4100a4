//! Traces of the real binary, at a collector that takes them, one that hangs, and none.

use std::time::{Duration, Instant};

use crate::certificates::{Authority, ECDSA};
use crate::collector::{Collector, Span};
use crate::fake::{FakeServer, Reply};
use crate::http::SENDER;
use crate::receiver::{BASE, Receiver, wait_until};
use crate::sender::Sender;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// Who may not push.
const STRANGER: &str = "203.0.113.9";

fn body(id: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"i_new","incident":{{"incident_id":"s-{id}","title":"x"}}}}"#
    )
}

/// Pushes as part of [`TRACE`], from `source`; the status of the answer and its `seq`.
fn push_traced(receiver: &Receiver, id: &str, source: &str) -> (u16, serde_json::Value) {
    let headers = format!("X-Forwarded-For: {source}\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n");
    let body = body(id);
    let answer = receiver
        .client()
        .push_with("/webhook", &headers, body.as_bytes())
        .unwrap();
    (answer.status, answer.json()["seq"].clone())
}

/// The only span called `name` about the event `id`.
fn of_event(spans: &[Span], name: &str, id: &str) -> Option<Span> {
    let mut its = spans
        .iter()
        .filter(|span| span.name == name && span.text("event_id") == id);
    let found = its.next().cloned();
    assert!(its.next().is_none(), "{name} is there twice: {spans:#?}");
    found
}

/// The attempts at a sink, in order.
fn attempts(spans: &[Span], sink: &str) -> Vec<Span> {
    let its = spans
        .iter()
        .filter(|span| span.name == "deliver" && span.text("sink") == sink);
    let mut its: Vec<Span> = its.cloned().collect();
    its.sort_by_key(|span| span.text("attempt").to_owned());
    its
}

#[test]
fn a_push_is_one_trace_over_kill_restart_and_retry_to_its_delivery() {
    // Nothing but what the caller decided is recorded.
    let collector = Collector::new();
    let table = collector.table("sample_ratio = 0\nservice_name = \"alerts\"");
    let hook = FakeServer::new(|_, at| match at {
        0 => Reply::Hang,
        1 => Reply::new(503, ""),
        _ => Reply::new(200, ""),
    });
    let sink = hook.sink("hook", "retry = { initial = \"10ms\" }");
    let folder = tempfile::tempdir().unwrap();
    let extra = format!("{sink}{table}");
    let mut receiver = Receiver::start_in(folder.path(), &extra);
    let (status, seq) = push_traced(&receiver, "e1", SENDER);
    assert_eq!(status, 200);
    receiver
        .lines
        .wait("the event's line", |line| line["trace_id"] == TRACE);
    hook.wait_for(1);
    let receive = collector.wait("the push", |spans| of_event(spans, "receive", "e1"));
    receiver.kill();

    let receiver = Receiver::start_in(folder.path(), &extra);
    receiver.wait_for_state(&seq, "hook", "delivered");
    let attempts = collector.wait("both attempts", |spans| {
        Some(attempts(spans, "hook")).filter(|all| all.len() == 2)
    });
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    let host = rustix::system::uname();
    let instance = format!("{}:0", host.nodename().to_str().unwrap());
    assert!(spans.iter().all(|span| {
        let resource = &span.resource;
        resource["service.name"] == "alerts" && resource["service.instance.id"] == instance
    }));

    assert_eq!(receive.parent.as_deref(), Some(CALLER));
    assert_eq!((receive.kind, receive.text("outcome")), (2, "accepted"));
    assert_eq!(receive.text("subject"), "incident:s-e1");
    assert_eq!(receive.attributes["http.response.status_code"], "200");
    assert_eq!(receive.attributes["client.address"], SENDER);
    let commit = spans.iter().find(|span| span.name == "commit").unwrap();
    assert_eq!(commit.parent.as_ref(), Some(&receive.id));
    assert_eq!(commit.text("seq"), seq.to_string());
    assert!(receive.began <= commit.began && commit.ended <= receive.ended);

    // Each attempt was handed on as the parent of what the other side does.
    let requests = hook.received();
    let handed_on = |at: usize| requests[at].header("traceparent").unwrap().to_owned();
    assert!(handed_on(0).starts_with(&format!("00-{TRACE}-")));
    for (at, (attempt, outcome)) in [("2", "retried"), ("3", "delivered")].iter().enumerate() {
        let span = &attempts[at];
        assert_eq!(span.parent.as_ref(), Some(&receive.id));
        assert_eq!((span.kind, span.text("attempt")), (3, *attempt));
        assert_eq!(span.text("outcome"), *outcome);
        assert_eq!(span.error.is_some(), *outcome == "retried", "{span:?}");
        assert_eq!(handed_on(at + 1), format!("00-{TRACE}-{}-01", span.id));
    }
}

#[test]
fn a_replay_goes_on_with_the_trace_of_its_event() {
    let (collector, hook) = (Collector::new(), FakeServer::counting());
    let sink = hook.sink("hook", "");
    let receiver = Receiver::start(&format!("{sink}{}", collector.table("")));
    let (_, seq) = push_traced(&receiver, "e1", SENDER);
    receiver.wait_for_state(&seq, "hook", "delivered");
    receiver.told(&["replay", "--seq", &seq.to_string(), "--sink", "hook"]);
    let both = collector.wait("both attempts", |spans| {
        Some(attempts(spans, "hook")).filter(|all| all.len() == 2)
    });
    assert!(both.iter().all(|attempt| attempt.trace == TRACE));
    assert_eq!(both[0].parent, both[1].parent);
    let is_replay = |span: &&Span| span.attributes.contains_key("flashduty.replay");
    assert_eq!(both.iter().filter(is_replay).count(), 1);
}

#[test]
fn what_begins_here_is_recorded_by_its_share_and_what_strangers_send_never() {
    let (all, none) = (Collector::new(), Collector::new());
    let hook = FakeServer::counting();
    let sink = hook.sink("hook", "");
    let mut recorded = Receiver::start(&format!("{sink}{}", all.table("")));
    assert_eq!(push_traced(&recorded, "e0", STRANGER).0, 403);
    let accepted = recorded.push(&body("e1")).json();
    assert_eq!(accepted["outcome"], "accepted");
    for sink in ["hook", "log"] {
        recorded.wait_for_state(&accepted["seq"], sink, "delivered");
    }
    assert_eq!(recorded.push(&body("e1")).outcome(), "duplicate");
    let told = recorded.lines.wait("the duplicate's line", |line| {
        line["outcome"] == "duplicate"
    });
    // All of it is sent before the end.
    assert_eq!(recorded.stop().code(), Some(0));
    let spans = all.spans();
    let pushes: Vec<&Span> = spans.iter().filter(|span| span.name == "receive").collect();
    assert_eq!(pushes.len(), 2, "{spans:#?}");
    assert!(pushes.iter().all(|push| push.parent.is_none()));
    assert_ne!(pushes[0].trace, pushes[1].trace);
    let repeat = pushes
        .iter()
        .find(|push| push.text("outcome") == "duplicate");
    assert_eq!(told["trace_id"], repeat.unwrap().trace);
    for sink in ["hook", "log"] {
        assert_eq!(attempts(&spans, sink).len(), 1, "{spans:#?}");
    }

    let own = FakeServer::scripted(vec![Reply::new(200, "")]);
    let table = none.table("sample_ratio = 0.0");
    let mut silent = Receiver::start(&format!("{}{table}", own.sink("hook", "")));
    assert_eq!(silent.push(&body("e1")).outcome(), "accepted");
    let line = silent.lines.wait("the event's line", |line| {
        line["target"] == "flashduty::event"
    });
    let trace = line["trace_id"].as_str().unwrap().to_owned();
    let request = own.wait_for(1).remove(0);
    // Nobody who goes on with it is to record it either.
    let parent = request.header("traceparent").unwrap();
    assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-00"));
    assert_eq!(silent.stop().code(), Some(0));
    assert_eq!(none.requests(), 0);
}

#[test]
fn lines_and_sinks_know_the_trace_of_a_push_also_where_nothing_is_traced() {
    let hook = FakeServer::scripted(vec![Reply::new(200, "")]);
    let run = "\n[sink.run]\ntype = \"exec\"\ncommand = [\"true\"]\n";
    let receiver = Receiver::start(&format!("{}{run}", hook.sink("hook", "")));
    assert_eq!(push_traced(&receiver, "e1", SENDER).0, 200);
    for target in ["flashduty::event", "flashduty::exec"] {
        let line = receiver.lines.wait(target, |line| line["target"] == target);
        assert_eq!(line["trace_id"], TRACE);
    }
    let headers = format!("X-Forwarded-For: {SENDER}\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n");
    let refused = receiver.client().push_with("/webhook", &headers, b"{}");
    assert_eq!(refused.unwrap().status, 422);
    let line = receiver
        .lines
        .wait("the refusal", |line| line["outcome"] == "invalid");
    assert_eq!(line["trace_id"], TRACE);
    let own = format!("00-{TRACE}-{CALLER}-01");
    let requests = hook.wait_for(1);
    assert_eq!(requests[0].header("traceparent"), Some(own.as_str()));
}

#[test]
fn tracing_is_turned_on_and_off_by_a_reload() {
    let collector = Collector::new();
    let hook = FakeServer::scripted(vec![Reply::new(200, "")]);
    let sink = hook.sink("hook", "");
    let receiver = Receiver::start(&sink);
    assert_eq!(receiver.push(&body("before")).status, 200);
    assert_eq!(hook.wait_for(1)[0].header("traceparent"), None);

    let on = format!("{BASE}{sink}{}", collector.table(""));
    assert_eq!(receiver.reconfigure(&on).status, 200);
    assert_eq!(receiver.push(&body("on")).status, 200);
    collector.wait("the push", |spans| of_event(spans, "receive", "on"));
    assert!(hook.wait_for(2)[1].header("traceparent").is_some());

    let off = format!("{BASE}{sink}");
    assert_eq!(receiver.reconfigure(&off).status, 200);
    assert_eq!(receiver.push(&body("after")).status, 200);
    assert_eq!(hook.wait_for(3)[2].header("traceparent"), None);
    let spans = collector.spans();
    assert!(of_event(&spans, "receive", "before").is_none());
    assert!(of_event(&spans, "receive", "after").is_none());
}

#[test]
fn what_is_recovered_begins_a_trace_of_its_own() {
    let (sender, collector) = (Sender::new(), Collector::new());
    let tables = sender.tables("interval = \"100ms\"\nrate = \"1000/1s\"");
    let receiver = Receiver::start(&(tables + &collector.table("")));
    receiver.lines.wait("recovery to begin", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("from now on")
    });
    // Nobody answers this one.
    sender.push("127.0.0.1:1".parse().unwrap());
    let recovered = collector.wait("the recovered event", |spans| {
        spans.iter().find(|span| span.name == "recover").cloned()
    });
    assert_eq!(recovered.parent, None);
    assert_eq!(recovered.text("origin"), "recovered");
    assert_eq!(recovered.text("outcome"), "accepted");
    let delivered = collector.wait("its delivery", |spans| attempts(spans, "log").pop());
    assert_eq!(delivered.trace, recovered.trace);
    assert_eq!(delivered.parent, Some(recovered.id));
}

#[test]
fn a_collector_that_hangs_holds_up_neither_pushes_nor_the_end_for_long() {
    let collector = Collector::answering(|_| Reply::Hang);
    let mut receiver = Receiver::start(&collector.table(""));
    for number in 0..20 {
        assert_eq!(receiver.push(&body(&format!("e{number}"))).status, 200);
    }
    collector.wait_for_request();
    let begun = Instant::now();
    assert_eq!(receiver.stop().code(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_collector_of_a_private_authority_is_trusted_by_its_certificate_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.issue("collector", ECDSA);
    let collector = FakeServer::secure(authority.server("collector"), Reply::new(200, "{}"));
    let port = collector.address.port();
    let table = format!("\n[otlp]\nendpoint = \"https://localhost:{port}\"\n");
    let receiver = Receiver::start(&table);
    assert_eq!(receiver.push(&body("e1")).status, 200);
    receiver.lines.wait("the complaint", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("localhost takes no spans") && message.contains("certificate")
    });
    assert_eq!(collector.requests(), 0);
    let ca = authority.path("authority.pem");
    let trusting = format!("{BASE}{table}ca_file = {ca:?}\n");
    assert_eq!(receiver.reconfigure(&trusting).status, 200);
    let requests = collector.wait_for(1);
    assert_eq!(requests[0].target, "/v1/traces");
}

#[test]
fn what_a_collector_takes_later_is_not_lost_and_the_log_tells_both() {
    let collector = Collector::answering(|at| match at {
        0 => Reply::new(503, ""),
        _ => Reply::new(200, ""),
    });
    let receiver = Receiver::start(&collector.table(""));
    assert_eq!(receiver.push(&body("e1")).status, 200);
    let message = |part: &'static str| {
        receiver.lines.wait(part, |line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains(part)
        })
    };
    message("takes no spans, which changes nothing else: it answered 503");
    message("takes spans again");
    collector.wait("the push", |spans| of_event(spans, "receive", "e1"));
    // The collector has it before the receiver has its answer.
    let exported = "flashduty_otlp_spans_total{outcome=\"exported\"}";
    wait_until("it is counted", || receiver.metric(exported) >= 3.0);
    let failed = "flashduty_otlp_spans_total{outcome=\"failed\"}";
    assert!(receiver.metric(failed) < 1.0);
}
