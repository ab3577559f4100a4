//! Nothing that is secret is shown, whatever goes wrong.

use super::*;

const CANARY: &str = "canary";

/// Options that hold the canary wherever a secret can stand.
fn secretive(authority: &str) -> HttpOptions {
    let url = format!("http://user-canary:pass-canary@{authority}/canary/path?key=canary");
    let mut options = options(&url);
    options.headers = vec![
        header("Authorization", "Bearer canary"),
        header("X-Key", "canary"),
    ];
    options.signature = Some(Signature::Robot(
        crate::sign::Robot::Dingtalk,
        SecretString::from("canary"),
    ));
    options.timeout = Duration::from_millis(300);
    options
}

#[track_caller]
fn assert_silent(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
}

#[tokio::test]
async fn failures_show_of_a_url_nothing_but_its_host() {
    for reply in [
        Reply::Close,
        Reply::Reset,
        Reply::ResetMidway,
        Reply::Garbage,
        Reply::Hang,
        Reply::new(302, "").with("location", "/canary?canary"),
        Reply::new(302, "").with("location", "https://canary:canary@elsewhere.example/canary"),
        Reply::new(404, ""),
        Reply::new(500, ""),
    ] {
        let server = FakeServer::scripted(vec![reply]);
        let result = deliver(secretive(&server.address.to_string()), lease()).await;
        assert_silent(&format!("{result:?}"));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1"), "{error}");
        // It was there all the same.
        let request = server.only();
        assert!(request.target.contains(CANARY));
        assert_eq!(request.header("authorization"), Some("Bearer canary"));
    }
    let mut unresolvable = secretive("nobody.invalid");
    unresolvable.timeout = Duration::from_secs(10);
    let result = deliver(unresolvable, lease()).await;
    assert_silent(&format!("{result:?}"));
}

#[tokio::test]
async fn an_answer_that_repeats_what_is_secret_is_kept_without_it() {
    for status in [404, 500] {
        let server = FakeServer::new(move |request, _| {
            let (method, target) = (&request.method, &request.target);
            let escaped = target.replace('/', "\\/");
            let said = format!("Cannot {method} {target} {escaped} {:?}", request.headers);
            Reply::new(status, said)
        });
        let result = deliver(secretive(&server.address.to_string()), lease()).await;
        assert_silent(&format!("{result:?}"));
        let failure = match result {
            Err(SinkError::Refused(failure) | SinkError::Retry(failure)) => failure,
            other => panic!("{other:?}"),
        };
        let answer = failure.report.unwrap().answer.unwrap();
        assert!(answer.starts_with("Cannot POST *** *** ["), "{answer}");
        assert!(answer.contains(r#"("x-key", "***")"#), "{answer}");
    }
}

#[tokio::test]
async fn a_login_in_the_url_is_sent_as_one() {
    let server = FakeServer::scripted(vec![Reply::new(200, "")]);
    let url = server.url("/").replace("http://", "http://me:pass@");
    deliver(options(&url), lease()).await.unwrap();
    let request = server.only();
    assert_eq!(request.header("authorization"), Some("Basic bWU6cGFzcw=="));
}

#[test]
fn options_and_what_is_wrong_with_them_show_no_secret() {
    let mut proxied = secretive("tickets.example");
    proxied.proxy = Some(SecretString::from("http://canary:canary@egress:3128"));
    assert_silent(&format!("{proxied:?}"));
    assert_silent(&format!("{:?}", sink(proxied)));
    let mut bad = secretive("tickets.example");
    bad.headers = vec![header("Authorization", "canary\n")];
    let error = HttpSink::new(bad, clock()).unwrap_err();
    assert_silent(&format!("{error} {error:?}"));
    let mut bad = secretive("tickets.example");
    bad.proxy = Some(SecretString::from("canary://canary:canary"));
    let error = HttpSink::new(bad, clock()).unwrap_err();
    assert_silent(&format!("{error} {error:?}"));
    let bad = secretive("tickets.example:99999");
    let error = HttpSink::new(bad, clock()).unwrap_err();
    assert_silent(&format!("{error} {error:?}"));
}
