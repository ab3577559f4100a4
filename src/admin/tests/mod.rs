//! The whole admin router, asked as a client would, over a fixed inbox.

mod away;
mod board;
mod events;
mod hands;
mod hooks;
mod inbox;
mod rows;
mod stream;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use self::hooks::Hooks;
use self::inbox::FixedInbox;
use self::rows::{BODY, at};
use super::*;
use crate::inbox::InboxError;
use crate::intake::health::Readiness;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        at(100)
    }
}

struct Nearly;

impl Health for Nearly {
    fn readiness(&self) -> Readiness {
        Readiness {
            warnings: vec!["the disk is nearly full".to_owned()],
            ..Readiness::ready()
        }
    }
}

pub(super) struct Asked {
    inbox: FixedInbox,
    listen: &'static str,
    token: Option<&'static str>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            inbox: FixedInbox {
                events: 3,
                failure: None,
                gate: None,
                written: Arc::default(),
            },
            listen: "127.0.0.1:9090",
            token: None,
        }
    }
}

impl Asked {
    /// A receiver whose admin listener is bound to `listen`.
    pub(super) fn at(listen: &'static str, token: Option<&'static str>) -> Self {
        Self {
            listen,
            token,
            ..Self::default()
        }
    }

    pub(super) fn router(self) -> Router {
        let token = self.token.map(|token| Arc::new(SecretString::from(token)));
        let inbox: Arc<dyn Inbox> = Arc::new(self.inbox);
        router(Admin {
            streams: stream::none(&inbox),
            inbox,
            metrics: Metrics::new(),
            health: Arc::new(Nearly),
            hooks: Arc::new(Hooks),
            token: Arc::new(ArcSwapOption::from(token)),
            listen: self.listen.parse().unwrap(),
            clock: Arc::new(FixedClock),
        })
    }

    pub(super) async fn send(
        self,
        request: http::request::Builder,
    ) -> (http::response::Parts, Vec<u8>) {
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = self.router().oneshot(request).await.unwrap().into_parts();
        (parts, body.collect().await.unwrap().to_bytes().to_vec())
    }
}

pub(super) fn request(method: &str, target: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(target);
    request.header("host", "localhost:9090")
}

/// The status and the JSON of `GET target`.
async fn get(target: &str) -> String {
    let (parts, body) = Asked::default().send(request("GET", target)).await;
    let value: Value = serde_json::from_slice(&body).unwrap();
    format!("{} {value:#}", parts.status.as_u16())
}

/// The status and the detail of a refused `GET target`.
async fn refusal(target: &str) -> String {
    let (parts, body) = Asked::default().send(request("GET", target)).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json");
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(value["status"], parts.status.as_u16());
    format!(
        "{} {}",
        parts.status.as_u16(),
        value["detail"].as_str().unwrap()
    )
}

#[tokio::test]
async fn status_shows_readiness_warnings_and_counts() {
    insta::assert_snapshot!(get("/api/v1/status").await);
}

#[tokio::test]
async fn an_event_is_shown_with_its_deliveries_and_attempts() {
    insta::assert_snapshot!(get("/api/v1/events/2").await);
}

#[tokio::test]
async fn a_subject_is_shown_with_its_routes_and_events() {
    insta::assert_snapshot!(get("/api/v1/subjects/incident:664af0?limit=1").await);
}

#[tokio::test]
async fn subjects_deliveries_and_unreadable_pushes_are_listed() {
    insta::assert_snapshot!(get("/api/v1/subjects").await);
    insta::assert_snapshot!(get("/api/v1/deliveries?state=pending&limit=1").await);
    insta::assert_snapshot!(get("/api/v1/unreadable").await);
    insta::assert_snapshot!(get("/api/v1/unreadable/7").await);
}

#[tokio::test]
async fn following_the_cursor_shows_each_event_once_newest_first() {
    let mut target = "/api/v1/events?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let (parts, body) = Asked::default().send(request("GET", &target)).await;
        assert_eq!(parts.status, 200);
        let page: Value = serde_json::from_slice(&body).unwrap();
        let rows = page["items"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["seq"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(cursor) => target = format!("/api/v1/events?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [3, 2, 1]);
}

#[tokio::test]
async fn every_filter_of_events_reaches_the_inbox() {
    for (query, wanted) in [
        ("event_id=e2", vec![2]),
        ("event_type=i_new", vec![3, 1]),
        ("subject=incident:664af0", vec![3, 2, 1]),
        ("subject=incident:other", vec![]),
        ("outcome=stale", vec![]),
        ("route=ops", vec![3, 2, 1]),
        ("route=", vec![]),
        ("since=98s", vec![3, 2]),
        ("until=98s", vec![1]),
    ] {
        let target = format!("/api/v1/events?{query}");
        let (_, body) = Asked::default().send(request("GET", &target)).await;
        let page: Value = serde_json::from_slice(&body).unwrap();
        let rows = page["items"].as_array().unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| row["seq"].as_i64().unwrap())
            .collect();
        assert_eq!(seen, wanted, "{query}");
    }
}

#[tokio::test]
async fn bodies_come_back_byte_for_byte_as_a_download() {
    for (target, name) in [
        ("/api/v1/events/2/body", "event-2.json"),
        ("/api/v1/unreadable/7/body", "unreadable-7.json"),
    ] {
        let (parts, body) = Asked::default().send(request("GET", target)).await;
        assert_eq!(parts.status, 200);
        assert_eq!(body, BODY);
        assert_eq!(parts.headers[CONTENT_TYPE], "application/octet-stream");
        assert_eq!(parts.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let disposition = format!("attachment; filename=\"{name}\"");
        assert_eq!(parts.headers["content-disposition"], disposition);
    }
}

#[tokio::test]
async fn what_is_not_there_or_misspelt_is_told_apart_and_explained() {
    let mut told = Vec::new();
    for target in [
        "/api/v1/events/99",
        "/api/v1/events/two",
        "/api/v1/events/99/body",
        "/api/v1/events?cursor=x",
        "/api/v1/events?event_id=none&cursor=",
        "/api/v1/events?cursor=99999999999999999999",
        "/api/v1/events?limit=1000",
        "/api/v1/events?outcome=late",
        "/api/v1/deliveries?state=done",
        "/api/v1/deliveries?seq=two",
        "/api/v1/status?verbose=1",
        "/api/v1/subjects/incident:other",
        "/api/v1/subjects/664af0",
        "/api/v1/unreadable/8",
        "/api/v1/unreadable?cursor=x",
        "/api/v1/reload",
        "/api/v2/status",
        "/favicon.ico",
    ] {
        told.push(format!("{target}\n  {}", refusal(target).await));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn a_failing_store_is_a_503_and_a_refused_query_is_not() {
    for (failure, status) in [
        (InboxError::Full("0 bytes left".to_owned()), 503),
        (InboxError::Broken("fsync failed".to_owned()), 503),
        (InboxError::Closed, 503),
        (InboxError::Refused("no".to_owned()), 500),
    ] {
        for target in ["status", "events", "events/1", "deliveries", "unreadable"] {
            let mut asked = Asked::default();
            asked.inbox.failure = Some(failure.clone());
            let target = format!("/api/v1/{target}");
            let (parts, _) = asked.send(request("GET", &target)).await;
            assert_eq!(parts.status, status, "{target} {failure}");
        }
    }
}

#[tokio::test]
async fn changing_requests_reach_the_hooks_and_their_refusals_come_back() {
    let send = async |target: &str| {
        let (parts, body) = Asked::default().send(request("POST", target)).await;
        format!(
            "{} {}",
            parts.status.as_u16(),
            String::from_utf8(body).unwrap()
        )
    };
    insta::assert_snapshot!(send("/api/v1/unreadable/7/offer").await, @r#"200 {"outcome":"accepted","event_id":"e9","seq":9}"#);
    insta::assert_snapshot!(send("/api/v1/unreadable/8/offer").await, @r#"404 {"type":"about:blank","title":"Not Found","status":404,"detail":"it is not there"}"#);
    insta::assert_snapshot!(send("/api/v1/reload").await, @r#"422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"the new configuration is refused and the old one stays in force: config.toml:3: server.path = 7: not a path"}"#);
}

#[tokio::test]
async fn every_path_but_metrics_and_health_is_guarded_and_those_never_are() {
    let guarded = [
        ("GET", "/"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/series"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/events/1"),
        ("GET", "/api/v1/events/1/body"),
        ("GET", "/api/v1/subjects"),
        ("GET", "/api/v1/subjects/incident:1"),
        ("GET", "/api/v1/deliveries"),
        ("GET", "/api/v1/unreadable"),
        ("GET", "/api/v1/unreadable/7"),
        ("GET", "/api/v1/unreadable/7/body"),
        ("GET", "/api/v1/stream"),
        ("POST", "/api/v1/unreadable/7/offer"),
        ("POST", "/api/v1/unreadable/7/drop"),
        ("POST", "/api/v1/unreadable/offer"),
        ("POST", "/api/v1/unreadable/drop"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/spilled"),
        ("POST", "/api/v1/spilled"),
        ("POST", "/api/v1/reload"),
        ("DELETE", "/api/v1/events/1"),
        ("GET", "/no/such/path"),
        ("GET", "/api/v1"),
        ("GET", "//metrics"),
    ];
    let situations: [(&'static str, Option<&'static str>, &str, u16); 3] = [
        ("127.0.0.1:9090", Some("s3cret"), "localhost", 401),
        ("0.0.0.0:9090", None, "localhost", 401),
        ("127.0.0.1:9090", None, "rebound.example", 403),
    ];
    for (listen, token, host, status) in situations {
        let ask = async |method: &str, target: &str| {
            let asked = Asked {
                listen,
                token,
                ..Asked::default()
            };
            let request = Request::builder().method(method).uri(target);
            asked.send(request.header("host", host)).await.0
        };
        for (method, target) in guarded {
            let answer = ask(method, target).await;
            assert_eq!(answer.status, status, "{method} {target} on {listen}");
            let challenged = answer.headers.contains_key("www-authenticate");
            assert_eq!(challenged, status == 401, "{method} {target} on {listen}");
        }
        for target in ["/metrics", "/livez", "/readyz"] {
            for method in ["GET", "HEAD"] {
                let answer = ask(method, target).await;
                assert_eq!(answer.status, 200, "{method} {target} on {listen}");
            }
        }
    }
}

#[tokio::test]
async fn the_right_token_opens_what_is_guarded_and_no_answer_repeats_it() {
    for (given, status) in [("s3cret", 200), ("wr0ng", 401)] {
        let asked = Asked {
            listen: "0.0.0.0:9090",
            token: Some("s3cret"),
            ..Asked::default()
        };
        let request =
            request("GET", "/api/v1/status").header("authorization", format!("Bearer {given}"));
        let (parts, body) = asked.send(request).await;
        assert_eq!(parts.status, status);
        let body = String::from_utf8(body).unwrap();
        assert!(
            !body.contains("s3cret") && !body.contains("wr0ng"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_disarm_a_browser() {
    for target in [
        "/",
        "/metrics",
        "/readyz",
        "/api/v1/status",
        "/api/v1/events/1/body",
        "/x",
    ] {
        let (parts, _) = Asked::default().send(request("GET", target)).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(parts.headers[name], value, "{name} of {target}");
        }
    }
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_a_405_that_names_those_that_are() {
    for (method, target, allow) in [
        ("POST", "/metrics", "GET,HEAD"),
        ("DELETE", "/readyz", "GET,HEAD"),
        ("PUT", "/api/v1/events/1", "GET,HEAD"),
        ("GET", "/api/v1/reload", "POST"),
    ] {
        let (parts, body) = Asked::default().send(request(method, target)).await;
        assert_eq!(parts.status, 405, "{method} {target}");
        assert_eq!(parts.headers["allow"], allow, "{method} {target}");
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], 405);
    }
}
