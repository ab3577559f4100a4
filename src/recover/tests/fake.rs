//! The sender's history behind its API, over real sockets, and whatever may happen to a call.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use jiff::Timestamp;
use serde_json::{Value, json};

/// One attempt that the sender remembers.
#[derive(Clone)]
pub(super) struct Past {
    pub(super) integration: i64,
    /// The record's own id.
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) at: Timestamp,
    pub(super) failed: bool,
    pub(super) body: String,
}

/// What happens to a call instead of its answer.
#[derive(Clone)]
pub(super) enum Mishap {
    /// These bytes come, and then the end.
    Bytes(String),
    /// Nothing comes.
    Silence,
}

impl Mishap {
    pub(super) fn answer(status: u16, more: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(format!(
            "HTTP/1.1 {status} X\r\n{more}content-length: {length}\r\n\r\n{body}"
        ))
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = json!({"request_id": "r", "error": {"code": code, "message": "so it is"}});
        Self::answer(status, "", &body.to_string())
    }
}

type Script = dyn Fn(&str, &Value, usize) -> Option<Mishap> + Send;

pub(super) struct History {
    pub(super) past: Vec<Past>,
    /// Path and body of each call.
    pub(super) calls: Vec<(String, Value)>,
    /// Asked before each answer; the number counts calls from 0.
    pub(super) script: Box<Script>,
    /// What time it says it is.
    pub(super) there: Option<Timestamp>,
}

impl History {
    /// How many details were asked for.
    pub(super) fn details(&self) -> usize {
        let detail = |call: &&(String, Value)| call.0.contains("/detail");
        self.calls.iter().filter(detail).count()
    }

    fn answer(&mut self, path: &str, asked: &Value) -> Value {
        if path.contains("/detail") {
            let found = self.past.iter().find(|past| {
                past.id == asked["event_id"] && past.integration == asked["integration_id"]
            });
            let mut item = item(found.expect("only what was listed is asked for"));
            item["request_body"] = found.unwrap().body.clone().into();
            return item;
        }
        let millis = |name: &str| asked[name].as_i64().unwrap();
        let (from, to) = (millis("start_time"), millis("end_time"));
        assert!(to - from <= 7 * 86_400_000, "a window is a week at most");
        assert_eq!(
            (&asked["asc"], &asked["orderby"]),
            (&json!(true), &json!("event_time"))
        );
        let limit = usize::try_from(millis("limit")).unwrap();
        let after = asked["search_after_ctx"].as_str().unwrap_or_default();
        let place = |past: &Past| format!("{}|{}", past.at.as_microsecond(), past.id);
        let mut found: Vec<&Past> = self.past.iter().collect();
        found.sort_by_key(|past| place(past));
        found.retain(|past| {
            let at = past.at.as_millisecond();
            let wanted = &asked["integration_id"];
            (from..=to).contains(&at)
                && (wanted.is_null() || *wanted == past.integration)
                && (asked["status"].is_null() || past.failed)
                && *place(past) > *after
        });
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|past| place(past));
        let items: Vec<Value> = found.into_iter().map(item).collect();
        json!({"items": items, "total": 7, "search_after_ctx": next.unwrap_or_default()})
    }
}

fn item(past: &Past) -> Value {
    json!({
        "integration_id": past.integration,
        "event_id": past.id,
        "endpoint": past.endpoint,
        "webhook_type": "incident",
        "status": if past.failed { "failed" } else { "success" },
        "event_time": past.at.to_string(),
    })
}

/// The API, until the test ends.
pub(super) struct Fake {
    pub(super) base: String,
    pub(super) history: Arc<Mutex<History>>,
}

impl Fake {
    pub(super) fn new(past: Vec<Past>) -> Self {
        let history = Arc::new(Mutex::new(History {
            past,
            calls: Vec::new(),
            script: Box::new(|_, _, _| None),
            there: None,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&history);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let history = Arc::clone(&serving);
                // A connection that fails is the other side's to tell.
                thread::spawn(move || stream.and_then(|stream| serve(stream, &history)));
            }
        });
        Self { base, history }
    }

    pub(super) fn script(
        &self,
        script: impl Fn(&str, &Value, usize) -> Option<Mishap> + Send + 'static,
    ) {
        self.history.lock().unwrap().script = Box::new(script);
    }
}

fn serve(stream: TcpStream, history: &Mutex<History>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let reply = {
            let mut history = history.lock().unwrap();
            let at = history.calls.len();
            history.calls.push((path.clone(), asked.clone()));
            let mishap = (history.script)(&path, &asked, at);
            mishap.unwrap_or_else(|| {
                let data = history.answer(&path, &asked);
                let whole = json!({"request_id": "r", "data": data}).to_string();
                let date = history.there.map(|there| {
                    let date = there.strftime("%a, %d %b %Y %H:%M:%S GMT");
                    format!("date: {date}\r\n")
                });
                Mishap::answer(200, &date.unwrap_or_default(), &whole)
            })
        };
        match reply {
            Mishap::Bytes(bytes) => {
                stream.write_all(bytes.as_bytes())?;
                if !bytes.starts_with("HTTP/1.1 200") || !bytes.ends_with('}') {
                    return Ok(());
                }
            }
            Mishap::Silence => {
                let _waited_for_the_end = reader.read_line(&mut line)?;
                return Ok(());
            }
        }
    }
}
