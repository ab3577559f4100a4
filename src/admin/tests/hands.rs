//! Changes by hand and who made them: unreadable pushes offered and dropped, the audit, and wrong
//! tokens.

use serde_json::json;

use super::*;

/// One receiver, asked again and again, from 192.0.2.1.
struct Asking(Router);

impl Asking {
    fn here() -> Self {
        Self(Asked::default().router())
    }

    fn with_token() -> Self {
        Self(Asked::at("0.0.0.0:9090", Some("s3cret")).router())
    }

    async fn send(&self, request: http::request::Builder, body: Value) -> (u16, Value) {
        let (parts, body) = self.raw(request, body).await;
        (parts.status.as_u16(), body)
    }

    async fn raw(
        &self,
        request: http::request::Builder,
        body: Value,
    ) -> (http::response::Parts, Value) {
        let request = request.body(Body::from(body.to_string())).unwrap();
        let (parts, body) = self.0.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, target: &str, body: Value) -> (u16, Value) {
        self.send(from(request("POST", target), "192.0.2.1"), body)
            .await
    }

    async fn get(&self, target: &str) -> Value {
        let request = from(request("GET", target), "192.0.2.1");
        let (status, body) = self.send(request, Value::Null).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

fn from(request: http::request::Builder, address: &str) -> http::request::Builder {
    request.extension(Peer::new(address.parse().unwrap(), None))
}

#[tokio::test]
async fn every_filter_of_unreadable_pushes_reaches_the_inbox() {
    let asking = Asking::here();
    for (query, found) in [
        ("", true),
        ("source=47.94.95.118", true),
        ("source=::ffff:47.94.95.118", true),
        ("source=192.0.2.1", false),
        ("reason=not+JSON", true),
        ("reason=type", false),
        ("route=%3Fteam%3Da", true),
        ("route=", false),
        ("since=100s", true),
        ("since=99s", false),
        ("until=99s", true),
        ("until=100s", false),
    ] {
        let page = asking.get(&format!("/api/v1/unreadable?{query}")).await;
        assert_eq!(
            page["items"].as_array().unwrap().len() == 1,
            found,
            "{query}"
        );
    }
    let said = refusal("/api/v1/unreadable?source=here").await;
    insta::assert_snapshot!(said, @r#"400 the parameter source cannot be "here"; allowed: an address such as 192.0.2.1"#);
}

#[tokio::test]
async fn one_push_is_dropped_for_a_reason_only() {
    let asking = Asking::here();
    let drop = "/api/v1/unreadable/7/drop";
    for (body, status) in [
        (json!({"reason": " "}), 422),
        (json!({}), 400),
        (json!(["why"]), 400),
        (json!({"reason": "why", "all": true}), 400),
    ] {
        let (answered, _) = asking.post(drop, body.clone()).await;
        assert_eq!(answered, status, "{body}");
    }
    let reason = json!({"reason": "a test"});
    let gone = asking
        .post("/api/v1/unreadable/8/drop", reason.clone())
        .await;
    assert_eq!(gone.0, 404);
    assert_eq!(asking.post(drop, reason).await, (200, json!({"id": 7})));
}

#[tokio::test]
async fn steps_over_the_box_say_what_they_do_and_are_bounded() {
    let asking = Asking::here();
    let offer = async |body: Value| asking.post("/api/v1/unreadable/offer", body).await;
    let drop = async |body: Value| asking.post("/api/v1/unreadable/drop", body).await;
    let all = json!({"all": true});
    let (status, step) = offer(json!({"all": true, "dry_run": true})).await;
    assert_eq!(status, 200);
    let still =
        json!({"id": 7, "result": "unusable", "detail": "it still cannot be used: it is no JSON"});
    assert_eq!(step["items"], json!([still]));
    assert_eq!(step["skipped"], json!({"unusable": 1}));
    let (_, step) = offer(all.clone()).await;
    let wanted = json!({
        "changed": 1, "skipped": {}, "commands": 1, "upto": 7,
        "items": [{"id": 7, "event_id": "e9", "result": "accepted"}],
    });
    assert_eq!(step, wanted);
    let selected = json!({"select": {"reason": "JSON"}, "reason": "a test"});
    let (_, step) = drop(selected).await;
    assert_eq!(step["items"], json!([{"id": 7, "result": "dropped"}]));
    let (_, step) = drop(json!({"select": {"source": "192.0.2.1"}, "reason": "a test"})).await;
    assert_eq!(step["items"], json!([]));
    for body in [
        all,
        json!({"reason": "a test"}),
        json!({"all": true, "reason": "a test", "limit": 501}),
        json!({"all": true, "reason": "a test", "cursor": "7"}),
        json!({"select": {"since": "yesterday"}, "reason": "a test"}),
    ] {
        assert_eq!(drop(body.clone()).await.0, 422, "{body}");
    }
    let misspelt = json!({"select": {"sauce": "192.0.2.1"}, "reason": "a test"});
    assert_eq!(drop(misspelt).await.0, 400);
}

#[tokio::test]
async fn what_is_no_request_is_a_400_and_what_none_can_mean_a_422_whatever_is_asked_for() {
    let asking = Asking::here();
    for (target, body) in [
        ("replay", json!({"state": "dead", "since": "yesterday"})),
        ("drop", json!({"since": "yesterday", "reason": "a test"})),
        (
            "unreadable/offer",
            json!({"select": {"since": "yesterday"}}),
        ),
        ("recover", json!({"since": "yesterday"})),
    ] {
        let target = format!("/api/v1/{target}");
        let (status, problem) = asking.post(&target, body).await;
        assert_eq!(status, 422, "{target}");
        let detail = problem["detail"].as_str().unwrap();
        let begins = r#"since cannot be "yesterday"; allowed: "#;
        assert!(detail.starts_with(begins), "{target}: {detail}");
        for other in [json!(["yesterday"]), json!("2h"), json!({"sauce": "2h"})] {
            let (status, _) = asking.post(&target, other.clone()).await;
            assert_eq!(status, 400, "{target}: {other}");
        }
    }
}

#[tokio::test]
async fn the_audit_tells_the_token_the_console_and_addresses_apart() {
    let here = Asking::here();
    here.post("/api/v1/unreadable/7/drop", json!({"reason": "a test"}))
        .await;
    let lines = here.get("/api/v1/audit").await;
    let line = json!({
        "id": 1, "at": "2026-05-04T10:01:40Z", "who": "192.0.2.1", "action": "drop_unreadable",
        "selector": "id=7", "count": 1, "reason": "a test",
    });
    assert_eq!(lines["items"], json!([line]));

    let asking = Asking::with_token();
    let token = SecretString::from("s3cret");
    let session = session::begin(&token, at(100), false);
    let session = session.split(';').next().unwrap();
    let body = json!({"select": {"reason": "JSON"}, "reason": "a test"});
    for (name, value) in [("authorization", "Bearer s3cret"), ("cookie", session)] {
        let request = from(request("POST", "/api/v1/unreadable/drop"), "192.0.2.7");
        let (status, _) = asking.send(request.header(name, value), body.clone()).await;
        assert_eq!(status, 200, "{name}");
    }
    let request = request("GET", "/api/v1/audit?action=drop_unreadable&since=1h");
    let request = request.header("authorization", "Bearer s3cret");
    let (_, lines) = asking.send(request, Value::Null).await;
    let who: Vec<_> = lines["items"].as_array().unwrap().iter().collect();
    let who: Vec<_> = who
        .iter()
        .map(|line| line["who"].as_str().unwrap())
        .collect();
    assert_eq!(
        who,
        ["token (console) from 192.0.2.7", "token from 192.0.2.7"]
    );
}

#[tokio::test]
async fn the_audit_is_listed_by_action_and_time() {
    let asking = Asking::here();
    asking
        .post("/api/v1/unreadable/7/drop", json!({"reason": "a test"}))
        .await;
    for (query, found) in [
        ("action=drop_unreadable", 1),
        ("action=drop", 0),
        ("since=1s", 1),
        ("until=1s", 0),
    ] {
        let page = asking.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_limited_by_address_and_the_right_one_passes_all_the_same() {
    let asking = Asking::with_token();
    let ask = async |address: &str, token: &str| {
        let request = from(request("GET", "/api/v1/status"), address);
        let request = request.header("authorization", format!("Bearer {token}"));
        let (parts, _) = asking.raw(request, Value::Null).await;
        (
            parts.status.as_u16(),
            parts.headers.contains_key("retry-after"),
        )
    };
    for _ in 0..10 {
        assert_eq!(ask("192.0.2.1", "wr0ng").await, (401, false));
    }
    for _ in 0..3 {
        assert_eq!(ask("192.0.2.1", "wr0ng").await, (429, true));
    }
    assert_eq!(ask("192.0.2.1", "s3cret").await.0, 200, "from that address");
    assert_eq!(ask("192.0.2.2", "wr0ng").await.0, 401, "from another");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ask("192.0.2.1", "wr0ng").await.0, 401, "a minute later");
}
