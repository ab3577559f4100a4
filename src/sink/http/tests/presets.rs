//! The presets' expressions, over what the robots are known to answer.

use super::*;
use crate::preset::{Lang, NAMES, defaults};

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    /// Another try, after the whole sink was left alone for so many seconds.
    Retried(u64),
    Dead,
}

use Fate::{Dead, Delivered, Retried};

/// What becomes of a delivery by `preset` that is answered so.
async fn fate(preset: &str, status: u16, body: &str) -> Fate {
    let table = defaults(preset, Lang::Zh).unwrap();
    let expression = |key: &str| on_answer(table[key].as_str().unwrap());
    let pause = match table.get("pause").map(|pause| pause.as_str().unwrap()) {
        None => 0,
        Some("60s") => 60,
        Some("10m") => 600,
        Some(other) => panic!("{other}"),
    };
    let result = answered(Reply::new(status, body), |options| {
        options.success = expression("success");
        options.retry_on = expression("retry_on");
        options.pause = Duration::from_secs(pause);
    });
    match result.await {
        Ok(_) => Delivered,
        Err(SinkError::Refused(_)) => Dead,
        Err(SinkError::Retry(failure) | SinkError::Unknown(failure)) => {
            Retried(failure.hold.unwrap_or_default().as_secs())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[expect(clippy::too_many_lines, reason = "a table of answers")]
#[tokio::test]
async fn robots_that_answer_200_to_failures_are_understood() {
    let long = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP \
                error 429 with ContextId tcid=1";
    for (preset, status, body, expected) in [
        (
            "feishu",
            200,
            r#"{"code":0,"data":{},"msg":"success","StatusCode":0}"#,
            Delivered,
        ),
        (
            "feishu",
            200,
            r#"{"code":11232,"msg":"frequency limited psm"}"#,
            Retried(60),
        ),
        (
            "feishu",
            400,
            r#"{"code":9499,"msg":"too many request","data":{}}"#,
            Retried(60),
        ),
        (
            "feishu",
            400,
            r#"{"code":9499,"msg":"Bad Request","data":{}}"#,
            Dead,
        ),
        (
            "feishu",
            200,
            r#"{"code":19021,"msg":"sign match fail or timestamp"}"#,
            Dead,
        ),
        (
            "feishu",
            200,
            r#"{"code":19024,"msg":"Key Words Not Found"}"#,
            Dead,
        ),
        ("feishu", 502, "<html>bad gateway</html>", Retried(0)),
        ("feishu", 404, "<html>not found</html>", Dead),
        ("feishu", 200, "", Dead),
        ("dingtalk", 200, r#"{"errcode":0,"errmsg":"ok"}"#, Delivered),
        (
            "dingtalk",
            200,
            r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            Retried(600),
        ),
        (
            "dingtalk",
            200,
            r#"{"errcode":410100,"errmsg":"发送速度太快而限流"}"#,
            Retried(600),
        ),
        (
            "dingtalk",
            200,
            r#"{"errcode":310000,"errmsg":"sign not match"}"#,
            Dead,
        ),
        ("dingtalk", 500, "", Retried(0)),
        ("wecom", 200, r#"{"errcode":0,"errmsg":"ok"}"#, Delivered),
        (
            "wecom",
            200,
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            Retried(60),
        ),
        (
            "wecom",
            200,
            r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            Dead,
        ),
        ("slack", 200, "ok", Delivered),
        ("slack", 200, "no_service", Dead),
        ("slack", 403, "invalid_token", Dead),
        ("slack", 429, "rate_limited", Retried(0)),
        ("slack", 500, "rollup_error", Retried(0)),
        ("teams", 202, "", Delivered),
        ("teams", 200, "1", Delivered),
        ("teams", 200, "", Delivered),
        ("teams", 200, long, Retried(0)),
        (
            "teams",
            200,
            "Webhook Bad Request - Null or empty event",
            Dead,
        ),
        ("teams", 400, "Summary or Text is required.", Dead),
        ("teams", 429, "", Retried(0)),
        ("ticket", 201, r#"{"key":"OPS-1"}"#, Delivered),
        ("ticket", 409, "", Dead),
        ("ticket", 503, "", Retried(0)),
    ] {
        let became = fate(preset, status, body).await;
        assert_eq!(became, expected, "{preset} {status} {body}");
    }
}

#[test]
fn the_expressions_of_every_preset_compile() {
    for name in NAMES {
        let table = defaults(name, Lang::En).unwrap();
        for key in ["success", "retry_on"] {
            on_answer(table[key].as_str().unwrap());
        }
    }
}
