//! Logging in and out, as a browser does it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tower::ServiceExt as _;

use crate::admin::session;
use crate::admin::tests::Asked;
use crate::lines::Lines;
use crate::listener::OverTls;
use crate::source::Peer;

const EVERYWHERE: &str = "0.0.0.0:9090";
const HERE: &str = "127.0.0.1:9090";

/// What the receivers of these tests take for now.
fn now() -> Timestamp {
    Timestamp::from_second(1_777_888_900).unwrap()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The cookie that it sets, as a browser sends it back.
    fn cookie(&self) -> Option<String> {
        let set = self.headers.get(SET_COOKIE)?.to_str().unwrap();
        Some(set.split(';').next().unwrap().to_owned())
    }
}

/// A receiver with the token `s3cret` that other machines reach.
fn guarded() -> Router {
    Asked::at(EVERYWHERE, Some("s3cret")).router()
}

async fn ask(router: &Router, request: http::request::Builder, body: &str) -> Answer {
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn request(method: &str, target: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(target);
    request.header("host", "localhost:9090")
}

async fn log_in(router: &Router, token: &str) -> Answer {
    let body = format!(r#"{{"token":"{token}"}}"#);
    ask(router, request("POST", "/login"), &body).await
}

/// The status of a look at the API with this cookie.
async fn seen_with(router: &Router, cookie: &str) -> u16 {
    let request = request("GET", "/api/v1/status").header(COOKIE, cookie);
    ask(router, request, "").await.status.as_u16()
}

#[tokio::test]
async fn the_token_begins_a_session_on_every_receiver_that_knows_it() {
    let answer = log_in(&guarded(), "s3cret").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let cookie = answer.cookie().unwrap();
    // Each of these is another receiver, or the same one after a restart.
    assert_eq!(seen_with(&guarded(), &cookie).await, 200);
    let here = Asked::at(HERE, Some("s3cret")).router();
    assert_eq!(seen_with(&here, &cookie).await, 200);
    let changed = Asked::at(EVERYWHERE, Some("another")).router();
    assert_eq!(seen_with(&changed, &cookie).await, 401, "token changed");
    let without = Asked::at(EVERYWHERE, None).router();
    assert_eq!(seen_with(&without, &cookie).await, 401, "token taken away");
}

#[tokio::test]
async fn a_cookie_that_is_set_over_tls_is_never_sent_in_the_clear() {
    let secure = |answer: &Answer| {
        let set = answer.headers[SET_COOKIE].to_str().unwrap();
        set.split("; ").any(|attribute| attribute == "Secure")
    };
    let router = guarded();
    for (path, body) in [("/login", r#"{"token":"s3cret"}"#), ("/logout", "")] {
        let plain = ask(&router, request("POST", path), body).await;
        assert!(!secure(&plain), "{path}");
        let over_tls = request("POST", path).extension(OverTls { client: None });
        assert!(secure(&ask(&router, over_tls, body).await), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_token_begins_nothing_and_is_not_repeated() {
    let router = guarded();
    for (body, status) in [
        (r#"{"token":"wr0ng"}"#, 401),
        (r#"{"token":""}"#, 401),
        (r#"{"token":["wr0ng"]}"#, 400),
        (r#"{"token":"s3cret","wr0ng":1}"#, 400),
        ("wr0ng", 400),
        ("token=wr0ng", 400),
        ("", 400),
    ] {
        let answer = ask(&router, request("POST", "/login"), body).await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.cookie(), None, "{body}");
        assert!(!answer.body.contains("wr0ng"), "{}", answer.body);
        assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    }
    let large = format!(r#"{{"token":"{}"}}"#, "x".repeat(5000));
    let answer = ask(&router, request("POST", "/login"), &large).await;
    assert_eq!(answer.status, 413);
    assert_eq!(log_in(&router, "s3cret").await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_does_not_end_is_refused() {
    let endless = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
    let login = request("POST", "/login").body(Body::from_stream(endless));
    let answer = guarded().oneshot(login.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_session_ends_after_its_time_and_is_no_use_when_it_was_tampered_with() {
    let token = SecretString::from("s3cret");
    let begun = |hours| {
        let then = now() - SignedDuration::from_hours(hours);
        let set = session::begin(&token, then, false);
        set.split(';').next().unwrap().to_owned()
    };
    let router = guarded();
    assert_eq!(seen_with(&router, &begun(11)).await, 200);
    assert_eq!(seen_with(&router, &begun(13)).await, 401);
    let longer = begun(13).replace("=1", "=2");
    assert_eq!(seen_with(&router, &longer).await, 401);
}

#[tokio::test]
async fn a_token_that_is_sent_decides_also_beside_a_session() {
    let router = guarded();
    let cookie = log_in(&router, "s3cret").await.cookie().unwrap();
    for (sent, status) in [("Bearer wr0ng", 401), ("Bearer s3cret", 200)] {
        let request = request("GET", "/api/v1/status")
            .header(COOKIE, &cookie)
            .header("authorization", sent);
        assert_eq!(ask(&router, request, "").await.status, status, "{sent}");
    }
}

#[tokio::test]
async fn another_site_neither_logs_in_nor_out_nor_changes_anything_by_a_session() {
    let router = guarded();
    let open = Asked::at(HERE, None).router();
    let cookie = log_in(&router, "s3cret").await.cookie().unwrap();
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ];
    let own = [
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://localhost:9090"),
    ];
    let body = r#"{"token":"s3cret"}"#;
    for (name, value) in foreign {
        for (target, router) in [
            ("/login", &router),
            ("/login", &open),
            ("/logout", &router),
            ("/api/v1/unreadable/7/offer", &router),
            ("/api/v1/unreadable/7/offer", &open),
        ] {
            let request = request("POST", target)
                .header(COOKIE, &cookie)
                .header(name, value);
            let answer = ask(router, request, body).await;
            assert_eq!(answer.status, 403, "{target} {name}: {value}");
            assert_eq!(answer.cookie(), None, "{target} {name}: {value}");
        }
    }
    for (name, value) in own {
        for (target, status) in [
            ("/login", 204),
            ("/logout", 204),
            ("/api/v1/unreadable/7/offer", 200),
        ] {
            let request = request("POST", target)
                .header(COOKIE, &cookie)
                .header(name, value);
            let answer = ask(&router, request, body).await;
            assert_eq!(answer.status, status, "{target} {name}: {value}");
        }
    }
}

#[tokio::test]
async fn without_a_token_there_is_no_login_and_beyond_loopback_it_says_what_to_set() {
    let answer = log_in(&Asked::at(HERE, None).router(), "s3cret").await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.cookie(), None);
    let router = Asked::at(EVERYWHERE, None).router();
    for answer in [
        log_in(&router, "").await,
        ask(&router, request("GET", "/api/v1/status"), "").await,
    ] {
        assert_eq!(answer.status, 401);
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["type"], "urn:flashduty-receiver:token-not-set");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("set admin.token"), "{detail}");
    }
}

#[tokio::test]
async fn the_browser_forgets_a_session_that_is_ended() {
    let answer = ask(&guarded(), request("POST", "/logout"), "").await;
    assert_eq!(answer.status, 204);
    let set = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(
        set.starts_with("flashduty_session=; ") && set.contains("Max-Age=0"),
        "{set}"
    );
}

#[tokio::test]
async fn a_cookie_is_kept_to_tls_where_the_browser_says_that_it_came_over_it() {
    let body = r#"{"token":"s3cret"}"#;
    for (origin, secure) in [
        (Some("https://console.example"), true),
        (Some("http://console.example"), false),
        (None, false),
    ] {
        for target in ["/login", "/logout"] {
            let request = Request::builder().method("POST").uri(target);
            let mut request = request.header("host", "console.example");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = ask(&guarded(), request, body).await;
            assert_eq!(answer.status, 204, "{target} from {origin:?}");
            let set = answer.headers[SET_COOKIE].to_str().unwrap();
            assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
            let ends = set.ends_with("; Secure");
            assert_eq!(ends, secure, "{target} from {origin:?}: {set}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_logins_are_limited_by_address_and_the_right_one_passes_all_the_same() {
    let router = guarded();
    let from = async |address: &str, token: &str| {
        let peer = Peer::new(address.parse().unwrap(), None);
        let request = request("POST", "/login").extension(peer);
        let body = format!(r#"{{"token":"{token}"}}"#);
        ask(&router, request, &body).await
    };
    for _ in 0..10 {
        assert_eq!(from("192.0.2.1", "wr0ng").await.status, 401);
    }
    let refused = from("192.0.2.1", "wr0ng").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers[RETRY_AFTER], "60");
    assert_eq!(from("192.0.2.1", "s3cret").await.status, 204, "from there");
    assert_eq!(from("192.0.2.2", "wr0ng").await.status, 401, "from another");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(
        from("192.0.2.1", "wr0ng").await.status,
        401,
        "a minute later"
    );
}

#[tokio::test]
async fn a_login_that_failed_leaves_a_warning_with_its_address_and_without_the_token() {
    let (lines, _collecting) = Lines::begin();
    let router = guarded();
    let peer = Peer::new([192, 0, 2, 7].into(), None);
    let request = request("POST", "/login").extension(peer);
    let answer = ask(&router, request, r#"{"token":"wr0ng"}"#).await;
    assert_eq!(answer.status, 401);
    let told = lines.all();
    let failed: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("a login to the console was refused"))
        .collect();
    assert_eq!(failed.len(), 1, "{told}");
    assert!(failed[0].contains("WARN"), "{told}");
    assert!(failed[0].contains("192.0.2.7"), "{told}");
    assert!(
        !told.contains("wr0ng") && !told.contains("s3cret"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_bearer_tokens_leave_a_warning_a_minute_for_each_address_and_never_the_token() {
    let (lines, _collecting) = Lines::begin();
    let router = guarded();
    let told = async || {
        for address in ["192.0.2.7", "192.0.2.8"] {
            for _ in 0..20 {
                let peer = Peer::new(address.parse().unwrap(), None);
                let request = request("GET", "/api/v1/status")
                    .extension(peer)
                    .header("authorization", "Bearer wr0ng");
                ask(&router, request, "").await;
            }
        }
        let told = lines.all();
        assert!(
            !told.contains("wr0ng") && !told.contains("s3cret"),
            "{told}"
        );
        let about = |line: &&str| line.contains("its bearer token is not the admin token");
        told.lines().filter(about).count()
    };
    assert_eq!(told().await, 2);
    assert_eq!(told().await, 2);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(told().await, 4);
    let last = lines.all();
    assert!(
        last.contains("WARN") && last.contains("suppressed=39"),
        "{last}"
    );
}
