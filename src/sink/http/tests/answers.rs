//! What an answer means.

use super::*;

#[tokio::test]
async fn success_is_delivered_without_a_report() {
    for status in [200, 201, 202, 204] {
        let taken = answered(Reply::new(status, ""), |_| {}).await;
        assert_eq!(taken, Ok(Taken::default()), "{status}");
    }
}

#[tokio::test]
async fn retry_on_is_asked_for_every_answer_that_is_no_success() {
    for status in [408, 425, 429, 500, 503] {
        let failure = retried(answered(Reply::new(status, "slow down"), |_| {}).await);
        assert_eq!(failure.reason, format!("127.0.0.1 answered {status}"));
        let report = failure.report.unwrap();
        assert_eq!(report.status, Some(status.into()));
        assert_eq!(report.answer.as_deref(), Some("slow down"));
        assert_eq!(report.began, Timestamp::from_second(NOW).ok());
    }
    // Success decides first.
    let both = answered(Reply::new(500, ""), |options| {
        options.success = on_answer("status == 500");
    });
    assert_eq!(both.await, Ok(Taken::default()));
}

#[tokio::test]
async fn a_gateway_that_had_no_answer_leaves_the_end_unknown() {
    for status in [502, 504] {
        unknown(answered(Reply::new(status, ""), |_| {}).await);
    }
}

#[tokio::test]
async fn an_answer_that_is_neither_is_dead_with_status_and_the_first_kib_kept() {
    let body = format!("no\u{7}{}", "磁".repeat(40_000));
    let failure = refused(answered(Reply::new(422, body), |_| {}).await);
    assert_eq!(
        failure.reason,
        "127.0.0.1 answered 422, which is neither success nor worth another try"
    );
    let report = failure.report.unwrap();
    assert_eq!(report.status, Some(422));
    let answer = report.answer.unwrap();
    assert!(answer.starts_with("no\\u{7}磁"), "{answer}");
    assert!((1020..=1024).contains(&answer.len()), "{}", answer.len());
}

#[tokio::test]
async fn a_redirect_is_dead_and_only_its_host_is_named() {
    for (location, named) in [
        ("https://other.example/secret?token=1", "to other.example"),
        ("/elsewhere", "to 127.0.0.1"),
        ("http://[", "without a target"),
    ] {
        let server = FakeServer::scripted(vec![
            Reply::new(307, "").with("location", location),
            Reply::new(200, ""),
        ]);
        let mut options = options(&server.url("/hook"));
        // Even where an expression would have it.
        options.success = on_answer("status < 400");
        let failure = refused(deliver(options, lease()).await);
        assert_eq!(
            failure.reason,
            format!("127.0.0.1 answered 307, a redirect {named}; redirects are not followed")
        );
        assert_eq!(failure.report.unwrap().status, Some(307));
        server.only();
    }
}

#[tokio::test]
async fn expressions_see_status_headers_body_and_text() {
    let reply = Reply::new(200, r#"{"id":123456789012345678}"#)
        .with("X-State", "Fine")
        .with("x-state", "really");
    for expression in [
        "status == 200",
        "headers['x-state'] == 'Fine, really'",
        "body.id == 123456789012345678",
        "text.startsWith('{')",
    ] {
        let taken = answered(reply.clone(), |options| {
            options.success = on_answer(expression);
            options.retry_on = on_answer("false");
        });
        assert_eq!(taken.await, Ok(Taken::default()), "{expression}");
    }
    // Neither what is no JSON nor what was cut is a body.
    for body in ["ok".to_owned(), format!("[{}1]", "1,".repeat(40_000))] {
        let taken = answered(Reply::new(200, body), |options| {
            options.success = on_answer("body == null && text != ''");
        });
        assert_eq!(taken.await, Ok(Taken::default()));
    }
}

#[tokio::test]
async fn what_cannot_be_judged_is_neither_success_nor_retried_and_the_reason_says_so() {
    let failure = answered(Reply::new(200, "{}"), |options| {
        options.success = on_answer("body.code == 0");
    });
    let reason = refused(failure.await).reason;
    assert!(reason.contains("(success cannot be judged: "), "{reason}");

    let failure = answered(Reply::new(200, "{}"), |options| {
        options.success = on_answer("body.code == 0");
        options.retry_on = on_answer("status == 200");
    });
    retried(failure.await);

    let failure = answered(Reply::new(400, "no"), |options| {
        options.retry_on = on_answer("body.code == 9499");
    });
    let reason = refused(failure.await).reason;
    assert!(reason.contains("(retry_on cannot be judged: "), "{reason}");
}

#[tokio::test]
async fn retry_after_is_honoured_as_seconds_and_as_a_date_and_capped() {
    for (value, seconds) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("999999", Some(3600)),
        ("99999999999999999999999", Some(3600)),
        ("Tue, 14 Nov 2023 22:14:21 GMT", Some(60)),
        ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
        ("Wed, 14 Nov 2096 22:00:00 GMT", Some(3600)),
        ("-7", None),
        ("soon", None),
        ("", None),
    ] {
        for status in [429, 500, 503] {
            let reply = Reply::new(status, "").with("Retry-After", value);
            let failure = retried(answered(reply, |_| {}).await);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(failure.after, expected, "{value}");
            let expected = expected.filter(|_| status != 500);
            assert_eq!(failure.hold, expected, "{value} with {status}");
        }
    }
}

#[tokio::test]
async fn pause_holds_the_whole_sink_for_answers_below_500_only() {
    let pause = |options: &mut HttpOptions| options.pause = Duration::from_secs(60);
    let failure = retried(answered(Reply::new(429, ""), pause).await);
    assert_eq!(failure.hold, Some(Duration::from_secs(60)));
    let reply = Reply::new(429, "").with("retry-after", "90");
    let failure = retried(answered(reply, pause).await);
    assert_eq!(failure.hold, Some(Duration::from_secs(90)));
    let failure = retried(answered(Reply::new(500, ""), pause).await);
    assert_eq!(failure.hold, None);
}

#[tokio::test]
async fn texts_and_numbers_of_a_success_are_remembered() {
    let wishes = |options: &mut HttpOptions| {
        for (name, pointer) in [("ticket", "/key"), ("number", "/id"), ("none", "/fields")] {
            options.remember.push((name.to_owned(), pointer.to_owned()));
        }
    };
    let body = r#"{"key":"OPS-7","id":123456789012345678901,"fields":{}}"#;
    let taken = answered(Reply::new(201, body), wishes).await.unwrap();
    let report = taken.report.unwrap();
    let expected = [("ticket", "OPS-7"), ("number", "123456789012345678901")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(report.remember, expected);
    assert_eq!(report.status, Some(201));
    assert_eq!(report.answer.as_deref(), Some(body));

    let failure = refused(answered(Reply::new(400, body), wishes).await);
    assert_eq!(failure.report.unwrap().remember, []);
}
