//! What is sent.

use standardwebhooks::Webhook;

use super::*;
use crate::build;
use crate::sign::Standard;
use crate::template::UrlPath;
use crate::trace::{Context, TraceParent};

/// The request that `lease` becomes.
async fn sent(lease: Lease, change: impl FnOnce(&mut HttpOptions)) -> Received {
    let server = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let mut options = options(&server.url("/hook?team=a"));
    change(&mut options);
    deliver(options, lease).await.unwrap();
    server.only()
}

/// Why nothing is sent for `lease`.
async fn unsent(lease: Lease, change: impl FnOnce(&mut HttpOptions)) -> String {
    let server = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let mut options = options(&server.url("/hook"));
    change(&mut options);
    let failure = refused(deliver(options, lease).await);
    assert_eq!(server.requests(), 0);
    assert!(failure.report.unwrap().began.is_some());
    failure.reason
}

#[tokio::test]
async fn the_pushed_bytes_go_out_unchanged_under_the_headers_of_every_request() {
    let mut lease = lease();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    Arc::get_mut(&mut lease.event).unwrap().trace_parent = Some(parent.into());
    let request = sent(lease, |_| {}).await;
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/hook?team=a");
    assert_eq!(request.text(), BODY);
    for (name, value) in [
        ("idempotency-key", Some("e1")),
        ("flashduty-event-id", Some("e1")),
        ("flashduty-attempt", Some("1")),
        ("flashduty-redelivered", None),
        ("flashduty-replay", None),
        ("content-type", Some("application/json")),
        ("user-agent", Some(build::USER_AGENT)),
        ("traceparent", Some(parent)),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn an_attempt_with_a_span_of_its_own_hands_that_on() {
    let mut lease = lease();
    let stored = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let own = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01";
    Arc::get_mut(&mut lease.event).unwrap().trace_parent = Some(stored.into());
    lease.trace = TraceParent::parse(own).map(|own| Context { own, parent: None });
    let request = sent(lease, |_| {}).await;
    assert_eq!(request.header("traceparent"), Some(own));
}

#[tokio::test]
async fn redelivered_and_replay_are_marked_where_it_is_so() {
    let mut again = lease();
    (again.attempt, again.replay) = (3, true);
    let request = sent(again, |_| {}).await;
    assert_eq!(request.header("flashduty-attempt"), Some("3"));
    assert_eq!(request.header("flashduty-redelivered"), Some("true"));
    assert_eq!(request.header("flashduty-replay"), Some("true"));
    let mut interrupted = lease();
    interrupted.interrupted = true;
    let request = sent(interrupted, |_| {}).await;
    assert_eq!(request.header("flashduty-redelivered"), Some("true"));
}

#[tokio::test]
async fn an_event_without_an_id_is_known_by_its_position() {
    let mut lease = lease();
    Arc::get_mut(&mut lease.event).unwrap().event_id = None;
    let request = sent(lease, |_| {}).await;
    assert_eq!(request.header("idempotency-key"), Some("seq:42"));
    assert_eq!(request.header("flashduty-event-id"), Some("seq:42"));
}

#[tokio::test]
async fn configured_headers_win_but_for_those_that_say_what_the_delivery_is() {
    let request = sent(lease(), |options| {
        options.headers = vec![
            header("Authorization", "Bearer x"),
            header("Content-Type", "application/vnd.x+json"),
            header("User-Agent", "mine"),
            header("Idempotency-Key", "mine"),
            header("Flashduty-Event-Id", "mine"),
            header("Flashduty-Attempt", "9"),
            header("Flashduty-Replay", "true"),
        ];
    })
    .await;
    for (name, value) in [
        ("authorization", Some("Bearer x")),
        ("content-type", Some("application/vnd.x+json")),
        ("user-agent", Some("mine")),
        ("idempotency-key", Some("e1")),
        ("flashduty-event-id", Some("e1")),
        ("flashduty-attempt", Some("1")),
        ("flashduty-replay", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn templates_make_method_path_and_body_of_the_event_and_of_what_is_remembered() {
    let ticket = |options: &mut HttpOptions| {
        options.method = text("{% if remembered.ticket is defined %}PUT{% else %}POST{% endif %}");
        let path = "{% if remembered.ticket is defined %}/{{ remembered.ticket }}{% endif %}";
        let url = UrlTemplate::compile("url", &options.url.origin()).unwrap();
        options.url = url.with_path(UrlPath::compile("path", path).unwrap());
        let body = r#"{"title":{{ title }},"n":{{ attempt }},"again":{{ redelivered }},"zone":"{{ timezone }}"}"#;
        options.body = Body::Template(json(body));
    };
    let request = sent(lease(), ticket).await;
    assert_eq!((&*request.method, &*request.target), ("POST", "/"));
    let expected = serde_json::json!(
        {"title": "磁盘 \"full\"", "n": 1, "again": false, "zone": "Asia/Shanghai"}
    );
    assert_eq!(request.json(), expected);

    let mut second = lease();
    second.attempt = 2;
    second.remembered = vec![("ticket".to_owned(), "OPS/1".to_owned())];
    let request = sent(second, ticket).await;
    assert_eq!((&*request.method, &*request.target), ("PUT", "/OPS%2F1"));
    assert_eq!(request.json()["again"], true);
}

#[tokio::test]
async fn a_template_that_fails_is_dead_with_its_reason_and_nothing_is_sent() {
    let reason = unsent(lease(), |options| {
        options.body = Body::Template(json("{\"x\":\n{{ severity }}}"));
    });
    let reason = reason.await;
    assert!(
        reason.starts_with("template: ticket.json.j2, line 2"),
        "{reason}"
    );
    let reason = unsent(lease(), |options| options.method = text("{{ title }}"));
    let reason = reason.await;
    assert!(
        reason.ends_with("which is none of POST, PUT, PATCH, DELETE, GET"),
        "{reason}"
    );
    let reason = unsent(lease(), |options| {
        options.url = UrlTemplate::compile("url", "http://127.0.0.1/{{ severity }}").unwrap();
    });
    let reason = reason.await;
    assert!(reason.starts_with("url: "), "{reason}");
}

#[test]
fn what_fails_for_every_event_makes_no_sink() {
    let made = |change: &dyn Fn(&mut HttpOptions)| {
        let mut options = options("http://127.0.0.1/");
        change(&mut options);
        HttpSink::new(options, clock()).map(drop)
    };
    let bad = made(&|options| options.method = text("POST IT"));
    assert!(matches!(bad, Err(BadOptions::Method(_))), "{bad:?}");
    let bad = made(&|options| options.headers = vec![header("Content-Length", "1")]);
    assert!(matches!(bad, Err(BadOptions::Header(..))), "{bad:?}");
    let bad = made(&|options| options.headers = vec![header("X-A", "a\r\nX-B: b")]);
    assert!(matches!(bad, Err(BadOptions::Header(..))), "{bad:?}");
    let bad = made(&|options| options.remember = vec![("a".to_owned(), "b".to_owned())]);
    assert_eq!(bad, Err(BadOptions::Pointer("a".to_owned())));
    let bad = made(&|options| options.proxy = Some(SecretString::from("egress:3128")));
    assert_eq!(bad, Err(BadOptions::Proxy));
    let bad = made(&|options| options.ca = Some(b"no certificate".to_vec()));
    assert!(matches!(bad, Err(BadOptions::Ca(_))), "{bad:?}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_dead_and_not_sent() {
    let long = BODY.len();
    let request = sent(lease(), |options| options.max_bytes = Some(long));
    assert_eq!(request.await.body.len(), long);
    let reason = unsent(lease(), |options| options.max_bytes = Some(long - 1)).await;
    let expected = format!(
        "the body has {long} bytes, and the other side takes {}",
        long - 1
    );
    assert_eq!(reason, expected);
}

#[tokio::test]
async fn an_event_that_is_skipped_is_needless_and_names_the_clause() {
    let server = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let with = |skip_when: &str| {
        let mut options = options(&server.url("/"));
        options.skip_when = Some(on_words(skip_when));
        options
    };
    let mut known = lease();
    known.remembered = vec![("ticket".to_owned(), "OPS-1".to_owned())];
    let skip_when = "title == 'other' || remembered.ticket == 'OPS-1'";
    let taken = deliver(with(skip_when), known).await.unwrap();
    let reason = "skip_when is true: remembered.ticket == 'OPS-1'";
    assert_eq!(taken.needless.as_deref(), Some(reason));
    assert_eq!(server.requests(), 0);
    // False, and not to be judged: sent.
    for skip_when in ["title == 'other'", "remembered.ticket == 'OPS-1'"] {
        let taken = deliver(with(skip_when), lease()).await;
        assert_eq!(taken, Ok(Taken::default()), "{skip_when}");
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_cloud_event_in_binary_form_has_its_attributes_as_headers() {
    let mut lease = lease();
    Arc::get_mut(&mut lease.event).unwrap().event_type = Id::new("i_\"%x");
    let request = sent(lease, |options| options.body = Body::CloudEventsBinary).await;
    assert_eq!(request.text(), BODY);
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "e1"),
        ("ce-source", "/flashduty/ops"),
        ("ce-type", "com.flashduty.i_%22%25x"),
        ("ce-subject", "incident:664af"),
        ("ce-time", "2023-11-14T22:13:20.137Z"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_cloud_event_in_structured_form_holds_the_push_byte_for_byte() {
    let mut lease = lease();
    let event = Arc::get_mut(&mut lease.event).unwrap();
    (event.event_time, event.subject, event.route.tag) = (None, None, None);
    event.body = Bytes::from(format!("\u{feff}{BODY}"));
    let request = sent(lease, |options| options.body = Body::CloudEventsStructured).await;
    let expected = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/flashduty\",\
         \"type\":\"com.flashduty.i_new\",\"datacontenttype\":\"application/json\",\"data\":{BODY}}}"
    );
    assert_eq!(request.text(), expected);
    let content_type = request.header("content-type");
    assert_eq!(content_type, Some("application/cloudevents+json"));
}

#[tokio::test]
async fn what_arrives_is_signed_as_the_reference_implementation_wants() {
    let secrets = ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "another one"];
    let server = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let mut options = options(&server.url("/hook"));
    options.body = Body::Template(json(r#"{"title":{{ title }}}"#));
    let standard = Standard::new(&secrets.map(SecretString::from));
    options.signature = Some(Signature::Standard(standard.unwrap()));
    // It compares with the real time.
    let sink = HttpSink::new(options, Arc::new(crate::clock::SystemClock)).unwrap();
    sink.deliver(&[lease()]).await.remove(0).unwrap();
    let request = server.only();
    let mut headers = http::HeaderMap::new();
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    assert_eq!(request.header("webhook-id"), Some("e1"));
    Webhook::new(secrets[0])
        .unwrap()
        .verify(&request.body, &headers)
        .unwrap();
    Webhook::from_bytes(secrets[1].as_bytes().to_vec())
        .unwrap()
        .verify(&request.body, &headers)
        .unwrap();
}

#[tokio::test]
async fn robots_are_signed_for_in_their_own_way_at_the_time_of_sending() {
    let secret = || SecretString::from("SEC1");
    let request = sent(lease(), |options| {
        options.signature = Some(Signature::Robot(crate::sign::Robot::Feishu, secret()));
    });
    let body = request.await.json();
    assert_eq!(body["timestamp"], NOW.to_string());
    assert_eq!(body["event_id"], "e1");
    let request = sent(lease(), |options| {
        options.signature = Some(Signature::Robot(crate::sign::Robot::Dingtalk, secret()));
    });
    let target = request.await.target;
    let now = Timestamp::from_second(NOW).unwrap();
    let pair = crate::sign::dingtalk_query(&secret(), now);
    assert_eq!(target, format!("/hook?team=a&{pair}"));
}
