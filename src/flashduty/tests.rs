//! Calls over real sockets to a server that answers what it is told to.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const KEY: &str = "k3y/with+odd chars";

/// What one call came to whose answer is `reply`, and the head of the request.
async fn called(reply: &str) -> (Result<Box<RawValue>, Fault>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let patience = Patience {
        silence: Duration::from_millis(200),
        whole: Duration::from_secs(5),
    };
    let mut api = Api::new(&base, KEY.into(), patience).unwrap();
    api.most = 1000;
    let body = serde_json::json!({"limit": 1});
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"{\"limit\":1}") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
        if reply != "hang" {
            stream.write_all(reply.as_bytes()).await.unwrap();
            drop(stream);
            return (String::from_utf8(seen).unwrap(), None);
        }
        (String::from_utf8(seen).unwrap(), Some(stream))
    };
    let (called, (head, _held)) = tokio::join!(api.post("/webhook/history/list", &body), serving);
    (called, head)
}

fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn the_key_stands_in_the_query_and_the_data_comes_back() {
    let good = answer(200, r#"{"request_id":"1","data":{"items":[1,2]}}"#);
    let (called, head) = called(&good).await;
    assert_eq!(called.unwrap().get(), r#"{"items":[1,2]}"#);
    let first = head.lines().next().unwrap();
    assert_eq!(
        first,
        "POST /webhook/history/list?app_key=k3y%2Fwith%2Bodd+chars HTTP/1.1"
    );
}

#[tokio::test]
async fn whatever_is_no_good_answer_is_a_fault_that_hides_the_key() {
    let told = format!(r#"{{"error":{{"code":"Unauthorized","message":"no key {KEY} here"}}}}"#);
    let encoded =
        r#"{"error":{"code":"AccessDenied","message":"?app_key=k3y%2Fwith%2Bodd+chars"}}"#;
    let long = format!(r#"{{"data":"{}"}}"#, "x".repeat(2000));
    for (reply, wanted) in [
        (
            answer(401, &told),
            "the API answered 401 Unauthorized no key … here",
        ),
        (
            answer(403, encoded),
            "the API answered 403 AccessDenied ?app_key=…",
        ),
        (answer(502, "<html>"), "the API answered 502"),
        (answer(200, "{\"data\": [1,"), "no JSON"),
        (answer(200, &long), "longer than 1000 bytes"),
        (
            "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"data".to_owned(),
            "body",
        ),
        ("what is this?\r\n\r\n".to_owned(), "error sending request"),
        (String::new(), "error sending request"),
        ("hang".to_owned(), "timed out"),
    ] {
        let fault = called(&reply).await.0.unwrap_err();
        let text = format!("{fault} {fault:?}");
        assert!(text.contains(wanted), "{wanted}: {text}");
        assert!(
            !text.contains("k3y") && !text.contains("app_key=k"),
            "{text}"
        );
    }
}

#[test]
fn only_http_and_https_are_asked() {
    let patience = Patience {
        silence: Duration::from_secs(1),
        whole: Duration::from_secs(1),
    };
    for base in ["ftp://x", "api.flashcat.cloud", ""] {
        let api = Api::new(base, KEY.into(), patience);
        assert!(matches!(api, Err(ApiError::BadBase)), "{base}");
    }
}
